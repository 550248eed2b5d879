"""What a run may cost by its plan, and what it did by its ledger, as accounts have it."""

from pathlib import Path

from server_strategy.privacy.accounting import rho_for
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.ledger import recompute
from server_strategy.privacy.ledger_lines import last_release, read_ledger
from server_strategy.privacy.plan import PrivacyPlan

_ROUNDING = 1e-8  # by which the rho of a budget is rounded down, and more


def terms_of(plan: PrivacyPlan) -> Terms:
    """In which currency a plan states its cost."""
    left = getattr(plan, "delta_left", plan.delta)  # beside parts with a delta of their own
    return Terms(plan.epsilon_is_of, plan.adjacency, left)


def most_of(plan: PrivacyPlan, *, beside_rho: float = 0.0) -> Cost:
    """The most that a run with this plan can spend: the plan's, or its budget where it stops before.

    Args:
        plan: of the run.
        beside_rho: zCDP that it has spent on releases besides, before it went back.
    """
    rho, delta = plan.zcdp_rho, terms_of(plan).delta
    if rho is None or delta is None:
        return Cost(None)
    rho += beside_rho
    if plan.epsilon_budget is not None:
        rho = min(rho, rho_for(plan.epsilon_budget, delta) * (1 + _ROUNDING))
    return Cost(max(rho, beside_rho), own_delta_of(plan))


def own_delta_of(plan: PrivacyPlan) -> float:
    """What parts of a plan add to delta by themselves."""
    vocabulary = plan.to_json().get("vocabulary")
    return float(vocabulary.get("delta") or 0.0) if isinstance(vocabulary, dict) else 0.0


def recorded(ledger: Path, plan: PrivacyPlan | None) -> tuple[float, int]:
    """(rho, releases) of all that a ledger records; of a mechanism that is registered, or is the plan's.

    Raises:
        LedgerError: the ledger was changed, or its mechanism is not known.
    """
    if not ledger.exists() or not ledger.stat().st_size:
        return 0.0, 0
    releases = last_release(read_ledger(ledger)[0])
    at_hand = None if plan is None else plan.mechanism
    return recompute(ledger, releases, at_hand, everything=True)["zcdp_rho"] or 0.0, releases
