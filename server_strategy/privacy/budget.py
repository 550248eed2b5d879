"""Planning before anything is trained: from some of the quantities of a private run, the others.

The quantities hang together in three ways.

* Enough phones: a phone that took part sits out until min_separation rounds later, so rounds of `cohort`
  reports need a population of at least cohort x min_separation.
* Participations: a phone takes part at most rounds / min_separation times, rounded up. Where both participations and
  phones are given, participations are taken at their word, also where so many phones would not need as many.
* Cost: rho = s2 / (2 z^2), s2 being the mechanism's squared sensitivity to these participations.

What is neither given nor follows from it is assumed, and each budget says what and why. The one that matters most:
participations without a separation are taken to be evenly spaced, which nothing enforces. A phone that took part as
often in neighbouring rounds would cost more with correlated noise; `Budget.worst_case` says how much.

What a mechanism is worth follows from the noise that is left in the sum of all rounds so far, which is
where the model stands: its root mean square over the rounds, in clip norms, divided by the cohort.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.accounting import default_delta, epsilon_by_rdp, gaussian_rho, rho_for
from server_strategy.privacy.budget_request import BudgetRequest as BudgetRequest
from server_strategy.privacy.budget_search import (
    evenly_spaced,
    horizon_of,
    mechanism_of,
    most_participations,
    most_rounds,
    rounds_apart,
    squared_sensitivity,
    too_large,
)
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, InputError, expected


@dataclass(frozen=True)
class Budget:
    """A complete setting and its cost."""

    mechanism: str
    noise: Mechanism
    rounds: int
    min_separation_rounds: int
    max_participations: int
    noise_multiplier: float
    sensitivity_squared: float
    rho: float
    epsilon: float  # by Renyi orders
    delta: float
    cohort: int | None  # None where nothing says it
    population: int | None
    assumed: Mapping[str, str] = field(default_factory=dict)  # by field: why it is as it is, where nobody said it
    spacing_is_assumed: bool = False  # participations are evenly spaced, which nothing enforces

    @cached_property
    def worst_case(self) -> tuple[float, float] | None:
        """(rho, epsilon) of as many participations at the worst moments, with the same noise.

        Returns:
            None where the spacing is not assumed, and where the mechanism does not know the cost.
        """
        if not self.spacing_is_assumed:
            return None
        try:
            sensitivity = sensitivity_of(self.noise, self.rounds, 1, self.max_participations)
        except InputError:
            return None
        rho = gaussian_rho(self.noise_multiplier, sensitivity)
        return rho, epsilon_by_rdp(rho, self.delta)

    @cached_property
    def sum_errors(self) -> NDArray[np.float64]:
        """Variance of the noise in the sum of all rounds so far, for unit draws: float64 [rounds]."""
        return self.noise.sum_errors(self.rounds)

    @property
    def vectors_of_memory(self) -> int:
        """Vectors of the size of the model that the noise keeps."""
        return self.noise.vectors_of_memory

    @property
    def noise_in_sums(self) -> NDArray[np.float64]:
        """Deviation of the noise in the sum of all rounds so far, in clip norms: float64 [rounds]."""
        return self.noise_multiplier * np.sqrt(self.sum_errors)

    @property
    def error(self) -> float:
        """Root mean square of `noise_in_sums` over the rounds."""
        return float(np.sqrt((self.noise_in_sums**2).mean()))

    @property
    def error_per_report(self) -> float | None:
        """`error` over the cohort: noise in the model, in clip norms; None without a cohort."""
        return None if self.cohort is None else self.error / self.cohort


def solve(request: BudgetRequest) -> Budget:
    """Fill in what is missing.

    Raises:
        ConfigError: too little is known, or what is known does not go together; the message names the flag.
        InputError: a sensitivity that is not known exactly, or a target that no noise meets.
    """
    known = _enough_phones(request)
    evenly = known.min_separation_rounds is None
    _require_possible(known)
    known = evenly_spaced(known)
    phones = known.population
    delta = known.delta if known.delta is not None else default_delta(phones or 1)
    if known.epsilon is not None and known.rho is not None:
        raise ConfigError(expected("--epsilon", "it or --rho", "both"))
    target = rho_for(known.epsilon, delta, "--epsilon") if known.epsilon is not None else known.rho
    if target is None and known.noise_multiplier is None:
        raise ConfigError(expected("--epsilon", "it, --rho or --noise-multiplier", "none of them"))
    if known.rounds is None:
        known = evenly_spaced(replace(known, rounds=most_rounds(known, target)))
    if known.max_participations is None and target is not None and known.noise_multiplier is not None:
        known = evenly_spaced(replace(known, max_participations=most_participations(known, target)))
    horizon = horizon_of(known)
    noise = mechanism_of(known, horizon)
    sensitivity = squared_sensitivity(noise, horizon)
    z = known.noise_multiplier
    if z is None:
        z = math.sqrt(sensitivity / (2 * float(target or 0)))
    rho = gaussian_rho(z, sensitivity)
    return Budget(
        mechanism=known.mechanism,
        noise=noise,
        rounds=horizon.rounds,
        min_separation_rounds=horizon.min_separation_rounds,
        max_participations=horizon.max_participations,
        noise_multiplier=z,
        sensitivity_squared=sensitivity,
        rho=rho,
        epsilon=epsilon_by_rdp(rho, delta),
        delta=delta,
        cohort=known.cohort,
        population=known.population,
        assumed=_assumed(request, horizon, evenly=evenly, phones=phones),
        spacing_is_assumed=evenly,
    )


def _require_possible(known: BudgetRequest) -> None:
    """Refuse participations that the other quantities given rule out, rather than lower or raise them.

    Raises:
        ConfigError: there are more than the rounds have room for, or too few for so many reports of so few phones.
    """
    rounds, most, separation = known.rounds, known.max_participations, known.min_separation_rounds
    if rounds is None or most is None:
        return
    room = Horizon.planned(rounds, min(separation or 1, rounds)).max_participations
    if most > room:
        what = f"{rounds:,} rounds" if separation is None else f"{rounds:,} rounds with {separation:,} apart"
        raise ConfigError(expected("--max-participations", f"a number <= the {room:,} of {what}", f"{most:,}"))
    if separation is None and known.cohort is not None and known.population is not None:
        least = -(-rounds * known.cohort // known.population)
        if most < least:
            what = f"a number >= the {least:,} that so few phones need for so many reports"
            raise ConfigError(expected("--max-participations", what, f"{most:,}"))


def _assumed(request: BudgetRequest, horizon: Horizon, *, evenly: bool, phones: int | None) -> dict[str, str]:
    """What was neither given nor follows from what was, and why it is as it is.

    Args:
        request: what was given.
        horizon: that was found.
        evenly: whether participations are evenly spaced.
        phones: known when delta was chosen.
    """
    found = {}
    if evenly:
        apart = f"{horizon.min_separation_rounds:,} round{'s' if horizon.min_separation_rounds > 1 else ''} apart"
        found["min_separation_rounds"] = f"participations evenly spaced, {apart}, which nothing enforces"
    elif request.min_separation_rounds is None:
        found["min_separation_rounds"] = "the widest that so many phones allow; a run must enforce it"
    if request.max_participations is not None and horizon.max_participations < request.max_participations:
        fewer = f"{request.max_participations:,} were given, and so few rounds have room for no more than these"
        found["max_participations"] = fewer
    if request.population is None and request.cohort is not None:
        found["population"] = "as few as the cohort needs with that separation"
    if request.cohort is None and request.population is not None:
        found["cohort"] = "the largest that so many phones allow with that separation"
    if request.delta is None:
        nobody = "1e-6, since nothing says how many phones there are"
        found["delta"] = nobody if phones is None else "population^-1.1, at most 1e-6"
    return found


def at_equal_cost(budget: Budget, request: BudgetRequest, mechanism: str) -> Budget:
    """The same run at the same rho with another mechanism and its defaults, with its own noise multiplier.

    Raises:
        InputError: the mechanism's sensitivity is not known for this setting.
    """
    solved = solve(
        replace(
            request,
            mechanism=mechanism,
            mechanism_settings=request.mechanism_settings if mechanism == request.mechanism else KindSettings(),
            epsilon=None,
            noise_multiplier=None,
            rho=budget.rho,
            rounds=budget.rounds,
            cohort=budget.cohort,
            population=budget.population,
            min_separation_rounds=budget.min_separation_rounds,
            max_participations=budget.max_participations,
            delta=budget.delta,
        )
    )
    return replace(solved, assumed=budget.assumed, spacing_is_assumed=budget.spacing_is_assumed)


def with_cohort(budget: Budget, request: BudgetRequest, cohort: int) -> Budget:
    """The same rounds at the same rho with another cohort, whose phones come back as soon as they must.

    Raises:
        InputError: more reports than phones, or the mechanism's settings do not fit their separation.
    """
    separation, participations = budget.min_separation_rounds, budget.max_participations
    if budget.population is not None:
        if cohort > budget.population:
            raise too_large("--cohort", budget.population, "phones", cohort)
        separation = min(budget.population // cohort, budget.rounds)
        participations = Horizon.planned(budget.rounds, separation).max_participations
        if budget.spacing_is_assumed and request.population is not None:  # at their word, unless more are needed
            participations = max(participations, budget.max_participations)
            separation = min(separation, rounds_apart(budget.rounds, participations))
    changed = replace(budget, cohort=cohort, min_separation_rounds=separation, max_participations=participations)
    return at_equal_cost(changed, request, budget.mechanism)


def _enough_phones(known: BudgetRequest) -> BudgetRequest:
    """Of cohort, population and separation, the third from two; no separation where participations are given.

    Raises:
        ConfigError: the three do not go together.
    """
    cohort, population, separation = known.cohort, known.population, known.min_separation_rounds
    if cohort is not None and population is not None:
        widest = population // cohort
        if widest < 1:
            raise too_large("--cohort", population, "phones", cohort)
        if separation is None:
            taken_at_its_word = known.max_participations is not None
            return known if taken_at_its_word else replace(known, min_separation_rounds=widest)
        if separation > widest:
            raise too_large("--min-separation-rounds", widest, "cohorts that the population has", separation)
    elif separation is not None and cohort is not None:
        return replace(known, population=cohort * separation)
    elif separation is not None and population is not None:
        if separation > population:
            raise too_large("--min-separation-rounds", population, "phones", separation)
        return replace(known, cohort=population // separation)
    return known
