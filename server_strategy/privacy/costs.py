"""What something costs a phone, in which currency, and what several things cost together."""

import math
from dataclasses import dataclass
from fractions import Fraction

from server_strategy.privacy.adjacency import ZERO_OUT
from typefleet.errors import InputError, expected


@dataclass(frozen=True)
class Cost:
    """What something costs a phone."""

    zcdp_rho: float | None  # None: nothing bounds it
    own_delta: float = 0.0  # that comes on top of the delta at which rho is translated


@dataclass(frozen=True)
class Terms:
    """In which currency a cost is stated."""

    deployment: str  # whose epsilon it is, as `PrivacyPlan.epsilon_is_of`
    adjacency: str = ZERO_OUT
    delta: float | None = None  # at which the run translates its own rho; None without privacy

    @property
    def currency(self) -> tuple[str, str]:
        """Costs of one currency can be added."""
        return self.deployment, self.adjacency


def added_up(costs: list[Cost]) -> Cost:
    """What several cost together, rounded up: never below the exact sum; unbounded if one is."""
    own_delta = _up(sum((Fraction(cost.own_delta) for cost in costs), Fraction()))
    if any(cost.zcdp_rho is None for cost in costs):
        return Cost(None, own_delta)
    return Cost(_up(sum((Fraction(cost.zcdp_rho or 0.0) for cost in costs), Fraction())), own_delta)


def _up(exact: Fraction) -> float:
    """The smallest number with a fraction that is not below.

    Raises:
        InputError: there is none.
    """
    try:
        near = float(exact)
    except OverflowError as error:
        raise InputError(expected("the sum of the costs", "a number", "one that is too large")) from error
    return near if Fraction(near) >= exact else math.nextafter(near, math.inf)


def unbounded_of(costs: list[Cost]) -> int:
    """How many of them nothing bounds."""
    return sum(cost.zcdp_rho is None for cost in costs)


def covers(reserved: Cost, cost: Cost) -> bool:
    """Whether what is reserved is at least a cost."""
    if reserved.zcdp_rho is None or cost.zcdp_rho is None:
        return reserved.zcdp_rho is None
    return cost.zcdp_rho <= reserved.zcdp_rho and cost.own_delta <= reserved.own_delta
