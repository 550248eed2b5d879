"""What is known when a private run is planned, and what is asked."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from server_strategy.privacy.mechanisms.door import MECHANISMS
from typefleet.doors import FLAT, KindSettings, SettingsOf

MOST_ROUNDS = 20_000  # looked for


@dataclass(frozen=True)
class BudgetRequest:
    """What is known; None for what is asked."""

    mechanism: Annotated[str, MECHANISMS.choice] = "blt"
    """The mechanism that the answer is for; all others, with their defaults, are compared with it at equal cost."""
    mechanism_settings: Annotated[KindSettings, SettingsOf("mechanism", MECHANISMS), FLAT] = KindSettings()
    """Of the mechanism itself."""
    epsilon: Annotated[float | None, Gt(0)] = None
    """Target, by Renyi orders."""
    rho: Annotated[float | None, Gt(0)] = None
    """Target in zCDP, instead of epsilon."""
    noise_multiplier: Annotated[float | None, Gt(0)] = None
    """Standard deviation of the draws over clip norm."""
    rounds: Annotated[int | None, Ge(1), Le(MOST_ROUNDS)] = None
    """Releases."""
    cohort: Annotated[int | None, Ge(1)] = None
    """Reports a round."""
    population: Annotated[int | None, Ge(1)] = None
    """Phones."""
    min_separation_rounds: Annotated[int | None, Ge(1)] = None
    """A phone that took part in completed round (release) i may next take part in i plus this."""
    max_participations: Annotated[int | None, Ge(1)] = None
    """Most participations of one phone. Without a separation they are taken to be evenly spaced: marked as assumed,
    with the cost at the worst moments beside it."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """By default population^-1.1, at most 1e-6."""
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Of the server's SGD; mechanisms with a workload are then optimised for it. 0: for the plain sums."""
