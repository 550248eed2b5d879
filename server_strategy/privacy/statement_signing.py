"""What whoever signs a statement signs, in four points at its top, and cells of its tables."""

import math
from typing import Any

from server_strategy.privacy.ledger_lines import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_together import together_json


def signing_markdown(
    plan: PrivacyPlan, spent: PrivacySpent, facts: tuple[str, str, str], lacking: str | None, others: object
) -> list[str]:
    """The points; nothing without privacy.

    Args:
        plan: of the run.
        spent: so far.
        facts: (the unit, the data covered, the command that computes the cost again).
        lacking: what the files do not have; None where the guarantee is their own.
        others: what is said of other runs.
    """
    if spent.epsilon is None or spent.delta is None:
        return []
    unit, data, command = facts
    together = [text for text in together_json(others if isinstance(others, dict) else None).values() if text]
    beside = "other runs on the same phones are not counted"
    beside = "with other runs it costs what stands above" if together else beside
    epsilon, delta = Bound(spent.epsilon), Bound(spent.delta)
    cost = f"epsilon is at most {epsilon:.3g} at delta {delta:.2g} after {spent.releases:,} releases"
    own = "the guarantee is that of the files of this run"
    if lacking is not None:
        own = f"the guarantee is that of a deployment of {plan.modelled_cohort:,} phones per round, not of these files"
    return [
        "Who signs this signs that:",
        "",
        f"- {cost}, and {own};",
        f"- it is of {unit}: {data};",
        f"- what stands under `What the guarantee does not cover` is outside it, and {beside};",
        f"- whoever has the run's folder (RUN_DIR) can check it: `{command}`.",
        "",
    ]


def cell(value: Any) -> str:
    """A value of a table."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def cell_of_bound(value: Any) -> str:
    """The same of a bound, which is rounded up."""
    return cell(Bound(value) if isinstance(value, float) else value)


def cell_of_parameter(value: Any) -> str:
    """The same of a parameter, of which a long list is cut."""
    if not isinstance(value, list):
        return cell(value)
    shown = ", ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value[:8])
    return shown if len(value) <= 8 else f"{shown}, ... ({len(value)} in all; every digit in privacy.json)"


def separation_that_happened(spent: PrivacySpent) -> int | str:
    """The smallest number of rounds between two participations of a phone, for the page."""
    if spent.min_separation_rounds:
        return spent.min_separation_rounds
    here = " on the way to these weights" if (spent.max_participations or 0) > 1 else ""
    return f"no phone came twice{here}"


def stddev_of_the_draws(plan: PrivacyPlan) -> str | None:
    """The deviation on the sum and how it comes, for the page; None without noise."""
    if plan.noise_stddev is None or plan.noise_multiplier is None:
        return None
    factors, share = [plan.noise_multiplier, plan.clip_norm], ""
    if plan.modelled_cohort is not None:
        share = f" x {plan.goal:,}/{plan.modelled_cohort:,}"
    if not math.isclose(math.prod(factors) * plan.share_of_the_noise, plan.noise_stddev, rel_tol=1e-9):
        return f"{plan.noise_stddev:.4g}"
    return f"{plan.noise_stddev:.4g} = {' x '.join(f'{one:.4g}' for one in factors)}{share}"
