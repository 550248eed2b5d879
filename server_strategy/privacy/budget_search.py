"""The searches of a plan: as many rounds, or participations, as the noise and the target allow."""

from collections.abc import Callable
from dataclasses import replace

from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.budget_request import MOST_ROUNDS, BudgetRequest
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.door import mechanism_kind
from server_strategy.privacy.mechanisms.record import made
from server_strategy.privacy.mechanisms.workload import WorkloadSettings
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected


def evenly_spaced(known: BudgetRequest) -> BudgetRequest:
    """Where nothing says how far apart the participations are: evenly, and as many phones as that needs."""
    rounds, most = known.rounds, known.max_participations
    if known.min_separation_rounds is not None or rounds is None or most is None:
        return known
    apart, cohort, population = rounds_apart(rounds, most), known.cohort, known.population
    if cohort is not None and population is not None:
        apart = min(apart, population // cohort)
    elif cohort is not None:
        population = -(-rounds * cohort // most)
    elif population is not None:
        cohort = min(population // apart, population * most // rounds)
        if cohort < 1:
            raise too_large("--rounds", population * most, "reports that so many phones may send", rounds)
    return replace(known, min_separation_rounds=apart, cohort=cohort, population=population)


def rounds_apart(rounds: int, participations: int) -> int:
    """Rounds from one participation to the next if they are even, and no more than lets all of them happen."""
    evenly = -(-rounds // participations)
    return max(min(evenly, (rounds - 1) // (participations - 1)), 1) if participations > 1 else evenly


def too_large(flag: str, most: int, of_what: str, found: int) -> ConfigError:
    """The error for a flag above what the other quantities leave room for."""
    return ConfigError(expected(flag, f"a number <= the {most:,} {of_what}", f"{found:,}"))


def horizon_of(known: BudgetRequest) -> Horizon:
    """The run of a request whose rounds are known."""
    rounds, separation = known.rounds or 1, known.min_separation_rounds
    if separation is None:
        if known.max_participations is None:
            others = "--max-participations, or --cohort and --population"
            raise ConfigError(expected("--min-separation-rounds", f"it, {others}", "none of them"))
        separation = rounds_apart(rounds, min(known.max_participations, rounds))
        if known.cohort is not None and known.population is not None:
            separation = min(separation, known.population // known.cohort)
    return Horizon.planned(rounds, min(separation, rounds), known.max_participations, known.momentum)


def mechanism_of(known: BudgetRequest, horizon: Horizon) -> Mechanism:
    """The mechanism that a request names, made for a run.

    Raises:
        ConfigError: its settings do not fit the run, or it makes no noise.
    """
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


def squared_sensitivity(mechanism: Mechanism, horizon: Horizon) -> float:
    """Of all the rounds of a horizon, to one phone within its bounds."""
    return sensitivity_of(mechanism, horizon.rounds, horizon.min_separation_rounds, horizon.max_participations)


def _fits(known: BudgetRequest, target: float) -> bool:
    horizon = horizon_of(known)
    sensitivity = squared_sensitivity(mechanism_of(known, horizon), horizon)
    return gaussian_rho(known.noise_multiplier or 0.0, sensitivity) <= target


def most_rounds(known: BudgetRequest, target: float | None) -> int:
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


def most_participations(known: BudgetRequest, target: float) -> int:
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
