"""What an account has of one run, and what each of its lines makes of that."""

from dataclasses import dataclass, replace
from typing import Any

from server_strategy.privacy.account_lines import (
    ABANDONED,
    BEGUN,
    DRAWN,
    EARLIER,
    FREED,
    OPENED,
    REOPENED,
    RESERVED,
    AccountError,
)
from server_strategy.privacy.costs import Cost, Terms
from typefleet.errors import expected


@dataclass(frozen=True)
class Charge:
    """What an account has of one run."""

    run: str  # its number, which its folder knows
    name: str  # of its folder
    date: str  # on which it was opened
    state: str  # of its last step
    cost: Cost  # the most it can spend while it is open, then what it spent
    terms: Terms
    spent: float = 0.0  # rho that is certain, for it was settled before
    releases: int | None = None  # of a run that was settled, abandoned or freed
    place: str | None = None  # the digest of its folder, by which a run that dies early can be told
    words: Cost | None = None  # that it has drawn, before it may have released anything else
    folder: str | None = None  # the digest of the very folder in which it was begun
    given_up: bool = False  # for good

    @property
    def is_open(self) -> bool:
        """Whether the cost is still a bound."""
        return self.state in (OPENED, REOPENED, RESERVED, DRAWN, BEGUN)


def charge_after(before: Charge | None, entry: dict[str, Any], where: str) -> Charge:
    """What an account has of a run after one line more.

    Args:
        before: what it had; None: nothing.
        entry: the line, in its form.
        where: it stands, for the error.

    Raises:
        AccountError: the line is no step that follows.
    """
    kind = entry["kind"]
    if (before is None) != (kind in (OPENED, RESERVED, EARLIER)):
        raise _out_of_order(kind, where)
    if before is None:
        terms = Terms(entry["deployment"], entry["adjacency"], entry["delta"])
        cost = Cost(entry["zcdp_rho"], entry["own_delta"])
        charge = Charge(entry["run"], entry["name"], entry["date"], kind, cost=cost, terms=terms)
        charge = replace(charge, place=entry.get("place"), folder=entry.get("folder"))
    elif kind in (DRAWN, BEGUN, FREED):
        if before.state not in (RESERVED, *([DRAWN] if kind == BEGUN else [])):
            raise _out_of_order(kind, where)
        charge = replace(before, state=kind, folder=entry.get("folder"))
        if kind == FREED:
            charge = replace(charge, cost=Cost(0.0), releases=0)
        elif kind == DRAWN:
            charge = replace(charge, words=Cost(entry["zcdp_rho"], entry["own_delta"]))
    else:
        cost = Cost(entry["zcdp_rho"], entry["own_delta"])
        if (cost.zcdp_rho is None) != (before.cost.zcdp_rho is None) or (cost.zcdp_rho or 0.0) < before.spent:
            raise AccountError(expected(where, "no less than what was settled before", "less"))
        charge = replace(before, state=kind, cost=cost, releases=entry.get("releases"))
        charge = replace(charge, given_up=before.given_up or kind == ABANDONED)
    if charge.cost.zcdp_rho is not None and charge.terms.delta is None:
        raise AccountError(expected(where, "a cost with its delta", "one without"))
    return charge if charge.is_open else replace(charge, spent=charge.cost.zcdp_rho or 0.0)


def _out_of_order(kind: str, where: str) -> AccountError:
    return AccountError(expected(where, "a step of a run in its order", f"a run {kind} out of it"))
