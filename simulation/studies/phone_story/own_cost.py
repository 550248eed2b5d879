"""What the releases of a run cost some of its phones, by their own participations alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import PrivacySpent, decode_labels
from server_strategy.privacy.ledger_paths import cost_beside, given_up, way_to
from server_strategy.privacy.participation_log import NOTHING_BESIDE, ParticipationLog, privacy_spent
from server_strategy.privacy.plan import PrivacyPlan


def own_cost(
    entries: list[dict[str, Any]], last: int | None, plan: PrivacyPlan, labels: NDArray[np.uint64]
) -> PrivacySpent:
    """What every release and sum on record cost whichever of some phones it cost most.

    What a phone's data can do to the releases is bounded by the sums that it was in, whatever others were in: the same
    formulas as of all phones, of a log in which these are alone. Of several phones the most participations and the
    smallest separation among them count, which is an upper bound for each.

    Args:
        entries: of the ledger.
        last: line of its last release; None: there is none.
        plan: on record.
        labels: uint64 [phones].
    """
    order = np.sort(labels)

    def phones(line: int) -> NDArray[np.int64]:
        there = decode_labels(entries[line]["participants"])
        return np.searchsorted(order, there[np.isin(there, order)])

    log, beside, releases = ParticipationLog(len(order)), NOTHING_BESIDE, 0
    for line in [] if last is None else way_to(entries, last):
        if len(own := phones(line)):
            log.record(entries[line]["release"], own)
    if last is not None:
        releases = entries[last]["release"]
        beside = cost_beside(plan, entries, given_up(entries, last, everything=True, sums=True), phones, len(order))
    return privacy_spent(plan, log, releases, beside)
