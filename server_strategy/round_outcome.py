"""What came of a round's training, for whoever keeps records of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.vector import UpdateTotals
from server_strategy.cohorts import RoundPlan
from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.round_replies import RoundReplies


@dataclass(frozen=True)
class RoundOutcome:
    """What came of the last round's training."""

    plan: RoundPlan
    reports: int  # phones in the sum
    rejected: NDArray[np.int64]  # phones whose update was not finite
    failed: NDArray[np.int64]  # phones whose training raised
    failure_causes: tuple[str, ...]  # one for each of `failed`, in the same order
    lost: int  # reporters whose message never came back
    clip_norm: float  # in this round
    tokens: int = 0
    # None when nothing was released:
    loss_per_token: float | None = None  # nats, on the phones' own text, before each step
    clipped_share: float | None = None  # share of reports whose update was longer than clip_norm
    spent: PrivacySpent | None = None
    aggregation: Mapping[str, Any] | None = None  # what the protocol says of the round; None without one

    def figures(self) -> dict[str, int | float]:
        """What Flower's own loop shows of a round."""
        if self.spent is None:
            return {"reports": self.reports}
        return {"reports": self.reports, "tokens": self.tokens, "loss": self.loss_per_token or 0.0}


def outcome_of(
    plan: RoundPlan,
    came: RoundReplies,
    *,
    asked: int,
    clip_norm: float,
    spent: PrivacySpent | None = None,
    aggregation: Mapping[str, Any] | None = None,
) -> RoundOutcome:
    """The outcome of a round.

    Args:
        plan: of the round, with the reason if nothing is released.
        came: from the hosts.
        asked: phones that were to report.
        clip_norm: in this round.
        spent: with this release; None if nothing is released.
        aggregation: what the protocol says of the round.
    """
    outcome = RoundOutcome(
        plan=plan,
        reports=len(came.reported),
        rejected=came.rejected,
        failed=came.failed,
        failure_causes=came.failure_causes,
        lost=asked - len(came.participants),
        clip_norm=clip_norm,
        aggregation=aggregation,
    )
    if spent is None:
        return outcome
    totals, reports = came.totals(clip_norm), len(came.reported)
    return replace(
        outcome,
        tokens=totals.tokens,
        loss_per_token=totals.loss_sum / max(totals.tokens, 1),
        clipped_share=(reports - totals.reports_below) / reports,
        spent=spent,
        aggregation=None if aggregation is None else {**aggregation, "mean_update_norm": _mean_norm(totals, reports)},
    )


def _mean_norm(totals: UpdateTotals, reports: int) -> float | None:
    """Of the updates before they were clipped."""
    return None if totals.norm_sum is None else totals.norm_sum / reports
