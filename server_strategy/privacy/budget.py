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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from server_strategy.privacy.accounting import default_delta, epsilon_by_rdp, gaussian_rho, rho_for
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.door import MECHANISMS, mechanism_kind
from server_strategy.privacy.mechanisms.record import made
from server_strategy.privacy.mechanisms.workload import WorkloadSettings
from typefleet.doors import FLAT, KindSettings, SettingsOf, chosen
from typefleet.errors import ConfigError, InputError, expected

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
    """A phone that took part in round i may next take part in round i plus this."""
    max_participations: Annotated[int | None, Ge(1)] = None
    """Most participations of one phone. Without a separation they are taken to be evenly spaced: marked as assumed,
    with the cost at the worst moments beside it."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """By default population^-1.1, at most 1e-6."""
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Of the server's SGD; mechanisms with a workload are then optimised for it. 0: for the plain sums."""


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
    known = _evenly_spaced(known)
    phones = known.population
    delta = known.delta if known.delta is not None else default_delta(phones or 1)
    if known.epsilon is not None and known.rho is not None:
        raise ConfigError(expected("--epsilon", "it or --rho", "both"))
    target = rho_for(known.epsilon, delta) if known.epsilon is not None else known.rho
    if target is None and known.noise_multiplier is None:
        raise ConfigError(expected("--epsilon", "it, --rho or --noise-multiplier", "none of them"))
    if known.rounds is None:
        known = _evenly_spaced(replace(known, rounds=_most_rounds(known, target)))
    if known.max_participations is None and target is not None and known.noise_multiplier is not None:
        known = _evenly_spaced(replace(known, max_participations=_most_participations(known, target)))
    horizon = _horizon(known)
    noise = _mechanism(known, horizon)
    sensitivity = _sensitivity(noise, horizon)
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


def _evenly_spaced(known: BudgetRequest) -> BudgetRequest:
    """Where nothing says how far apart the participations are: evenly, and as many phones as that needs."""
    rounds, most = known.rounds, known.max_participations
    if known.min_separation_rounds is not None or rounds is None or most is None:
        return known
    apart, cohort, population = _apart(rounds, most), known.cohort, known.population
    if cohort is not None and population is not None:
        apart = min(apart, population // cohort)
    elif cohort is not None:
        population = -(-rounds * cohort // most)
    elif population is not None:
        cohort = min(population // apart, population * most // rounds)
        if cohort < 1:
            raise _too_large("--rounds", population * most, "reports that so many phones may send", rounds)
    return replace(known, min_separation_rounds=apart, cohort=cohort, population=population)


def _apart(rounds: int, participations: int) -> int:
    """Rounds from one participation to the next if they are even, and no more than lets all of them happen."""
    evenly = -(-rounds // participations)
    return max(min(evenly, (rounds - 1) // (participations - 1)), 1) if participations > 1 else evenly


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
            raise _too_large("--cohort", budget.population, "phones", cohort)
        separation = min(budget.population // cohort, budget.rounds)
        participations = Horizon.planned(budget.rounds, separation).max_participations
        if budget.spacing_is_assumed and request.population is not None:  # at their word, unless more are needed
            participations = max(participations, budget.max_participations)
            separation = min(separation, _apart(budget.rounds, participations))
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
            raise _too_large("--cohort", population, "phones", cohort)
        if separation is None:
            taken_at_its_word = known.max_participations is not None
            return known if taken_at_its_word else replace(known, min_separation_rounds=widest)
        if separation > widest:
            raise _too_large("--min-separation-rounds", widest, "cohorts that the population has", separation)
    elif separation is not None and cohort is not None:
        return replace(known, population=cohort * separation)
    elif separation is not None and population is not None:
        if separation > population:
            raise _too_large("--min-separation-rounds", population, "phones", separation)
        return replace(known, cohort=population // separation)
    return known


def _too_large(flag: str, most: int, of_what: str, found: int) -> ConfigError:
    return ConfigError(expected(flag, f"a number <= the {most:,} {of_what}", f"{found:,}"))


def _horizon(known: BudgetRequest) -> Horizon:
    """The run of a request whose rounds are known."""
    rounds, separation = known.rounds or 1, known.min_separation_rounds
    if separation is None:
        if known.max_participations is None:
            others = "--max-participations, or --cohort and --population"
            raise ConfigError(expected("--min-separation-rounds", f"it, {others}", "none of them"))
        separation = _apart(rounds, min(known.max_participations, rounds))
        if known.cohort is not None and known.population is not None:
            separation = min(separation, known.population // known.cohort)
    return Horizon.planned(rounds, min(separation, rounds), known.max_participations, known.momentum)


def _mechanism(known: BudgetRequest, horizon: Horizon) -> Mechanism:
    kind, settings = mechanism_kind(known.mechanism), chosen(known, "mechanism")[1]
    if horizon.momentum and isinstance(settings, WorkloadSettings):
        settings = replace(settings, workload="momentum")
    try:
        kind.check(settings, horizon)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error
    mechanism = made(kind.name, settings, horizon)
    if mechanism is None:
        raise ConfigError(expected("--mechanism", "one that makes noise", known.mechanism))
    return mechanism


def _sensitivity(mechanism: Mechanism, horizon: Horizon) -> float:
    return sensitivity_of(mechanism, horizon.rounds, horizon.min_separation_rounds, horizon.max_participations)


def _fits(known: BudgetRequest, target: float) -> bool:
    horizon = _horizon(known)
    sensitivity = _sensitivity(_mechanism(known, horizon), horizon)
    return gaussian_rho(known.noise_multiplier or 0.0, sensitivity) <= target


def _most_rounds(known: BudgetRequest, target: float | None) -> int:
    """As many rounds as the noise and the target allow."""
    if target is None or known.noise_multiplier is None:
        others = "--noise-multiplier and one of --epsilon and --rho to find it"
        raise ConfigError(expected("--rounds", f"it, or {others}", "neither"))
    enough = MOST_ROUNDS
    if known.min_separation_rounds is None:
        if known.cohort is None or known.population is None:
            others = "--cohort and --population, to find --rounds"
            raise ConfigError(expected("--min-separation-rounds", f"it, or {others}", "neither"))
        enough = min(known.population * (known.max_participations or 1) // known.cohort, enough)
    if enough < MOST_ROUNDS and _fits(replace(known, rounds=enough), target):
        return enough  # looked at first, since fewer rounds may cost more: as many participations are closer together
    rounds = _largest(lambda n: _fits(replace(known, rounds=n), target), enough)
    if rounds == 0:
        fitting = f"a number with which one round fits in rho {target:.4g}"
        raise ConfigError(expected("--noise-multiplier", fitting, f"{known.noise_multiplier:g}"))
    if rounds == MOST_ROUNDS:
        raise ConfigError(expected("--rounds", "a setting in which they cost something", f"that {MOST_ROUNDS:,} fit"))
    return rounds


def _most_participations(known: BudgetRequest, target: float) -> int:
    """As many participations as the noise and the target allow."""
    rounds = known.rounds or 1
    most = Horizon.planned(rounds, min(known.min_separation_rounds or 1, rounds)).max_participations
    fitting = _largest(lambda k: _fits(replace(known, max_participations=k), target), most)
    if fitting == 0:
        least = f"a number with which one participation fits in rho {target:.4g}"
        raise ConfigError(expected("--noise-multiplier", least, f"{known.noise_multiplier:g}"))
    return fitting


def _largest(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number up to `limit` that fits, given that smaller ones fit then; 0 if none does."""
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
