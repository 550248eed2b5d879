"""Planning before anything is trained: from some of the quantities of a private run, the others.

The quantities hang together in three ways.

* Enough phones: a phone that took part sits out until min_separation rounds later, so rounds of `cohort`
  reports need a population of at least cohort x min_separation.
* Participations: in so many rounds a phone takes part at most rounds / min_separation times, rounded up.
* Cost: rho = s2 / (2 z^2), s2 being the mechanism's squared sensitivity to these participations.

What a mechanism is worth follows from the noise that is left in the sum of all rounds so far, which is
where the model stands: its root mean square over the rounds, in clip norms, divided by the cohort.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from server_strategy.privacy.accounting import (
    default_delta,
    epsilon_by_rdp,
    gaussian_rho,
    planned_participations,
    rho_for,
)
from server_strategy.privacy.mechanisms import Mechanism, MechanismName, make_mechanism

MOST_ROUNDS = 20_000  # looked for


@dataclass(frozen=True)
class BudgetRequest:
    """What is known; None for what is asked."""

    mechanism: MechanismName = "blt"
    """The mechanism that the answer is for; all of them are compared with it at equal cost."""
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
    """A phone takes part at most so often."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """By default population^-1.1, at most 1e-6."""
    bands: Annotated[int | None, Ge(1)] = None
    """Of the banded mechanism; by default as many as the separation."""
    buffers: Annotated[int, Ge(1), Le(8)] = 3
    """Of the blt mechanism."""
    tree_restart_rounds: Annotated[int | None, Ge(1)] = None
    """Of the tree mechanism; by default one tree."""
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Of the server's SGD, for banded and blt optimised for it; 0: for the plain sums."""


@dataclass(frozen=True)
class Budget:
    """A complete setting and its cost."""

    mechanism: MechanismName
    rounds: int
    min_separation_rounds: int
    max_participations: int
    noise_multiplier: float
    sensitivity_squared: float
    rho: float
    epsilon: float  # by Renyi orders
    delta: float
    cohort: int | None  # null where nothing says it
    population: int | None
    sum_errors: NDArray[np.float64]  # variance of the noise in the sum after each round, for unit draws: [rounds]
    vectors_of_memory: int

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
        """`error` over the cohort: noise in the model, in clip norms; null without a cohort."""
        return None if self.cohort is None else self.error / self.cohort


def solve(request: BudgetRequest) -> Budget:
    """Fill in what is missing.

    Raises:
        ValueError: too little is known, or what is known does not go together; the message names it.
    """
    known = _enough_phones(request)
    delta = known.delta if known.delta is not None else default_delta(known.population or 1)
    if known.epsilon is not None and known.rho is not None:
        raise ValueError("Expected one of epsilon and rho. Found both.")
    target = rho_for(known.epsilon, delta) if known.epsilon is not None else known.rho
    if target is None and known.noise_multiplier is None:
        raise ValueError("Expected one of epsilon, rho and noise_multiplier. Found none.")
    if known.rounds is None:
        known = replace(known, rounds=_most_rounds(known, target))
    if known.max_participations is None and target is not None and known.noise_multiplier is not None:
        known = replace(known, max_participations=_most_participations(known, target))
    mechanism, rounds, separation, participations = _mechanism(known)
    sensitivity = mechanism.sensitivity_squared(rounds, separation, participations)
    z = known.noise_multiplier
    if z is None:
        z = math.sqrt(sensitivity / (2 * float(target or 0)))
    rho = gaussian_rho(z, sensitivity)
    return Budget(
        known.mechanism,
        rounds,
        separation,
        participations,
        z,
        sensitivity,
        rho,
        epsilon_by_rdp(rho, delta),
        delta,
        known.cohort,
        known.population,
        mechanism.sum_errors(rounds),
        mechanism.vectors_of_memory,
    )


def at_equal_cost(budget: Budget, request: BudgetRequest, mechanism: MechanismName) -> Budget:
    """The same run at the same rho with another mechanism, with its own noise multiplier.

    Raises:
        ValueError: the mechanism's sensitivity is not known for this setting.
    """
    return solve(
        replace(
            request,
            mechanism=mechanism,
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


def with_cohort(budget: Budget, request: BudgetRequest, cohort: int) -> Budget:
    """The same rounds at the same rho with another cohort, whose phones come back as soon as they must.

    Raises:
        ValueError: more reports than phones.
    """
    separation, participations = budget.min_separation_rounds, budget.max_participations
    if budget.population is not None:
        if cohort > budget.population:
            raise ValueError(f"Expected cohort <= population {budget.population}. Found {cohort}.")
        separation = min(budget.population // cohort, budget.rounds)
        participations = planned_participations(budget.rounds, separation, None)
    changed = replace(budget, cohort=cohort, min_separation_rounds=separation, max_participations=participations)
    return at_equal_cost(changed, replace(request, bands=None), budget.mechanism)


def _enough_phones(known: BudgetRequest) -> BudgetRequest:
    """Of cohort, population and min_separation_rounds, the third from two."""
    cohort, population, separation = known.cohort, known.population, known.min_separation_rounds
    if cohort is not None and population is not None:
        widest = population // cohort
        if widest < 1:
            raise ValueError(f"Expected cohort <= population {population}. Found {cohort}.")
        if separation is None:
            return replace(known, min_separation_rounds=widest)
        if separation > widest:
            raise ValueError(
                f"Expected min_separation_rounds <= population / cohort = {widest}, since phones must sit out so "
                f"long. Found {separation}."
            )
    elif separation is not None and cohort is not None:
        return replace(known, population=cohort * separation)
    elif separation is not None and population is not None:
        if separation > population:
            raise ValueError(f"Expected min_separation_rounds <= population {population}. Found {separation}.")
        return replace(known, cohort=population // separation)
    return known


def _mechanism(known: BudgetRequest) -> tuple[Mechanism, int, int, int]:
    """(mechanism, rounds, min_separation, max_participations) of a request whose rounds are known."""
    rounds, separation = known.rounds or 1, known.min_separation_rounds
    if separation is None:
        if known.max_participations is None:
            raise ValueError(
                "Expected min_separation_rounds, max_participations, or cohort and population. Found none of them."
            )
        separation = -(-rounds // known.max_participations)
    separation = min(separation, rounds)
    participations = planned_participations(rounds, separation, known.max_participations)
    made = make_mechanism(
        known.mechanism,
        rounds,
        separation,
        participations,
        bands=known.bands,
        buffers=known.buffers,
        restart_every=known.tree_restart_rounds,
        momentum=known.momentum,
    )
    return made, rounds, separation, participations


def _fits(known: BudgetRequest, target: float) -> bool:
    mechanism, rounds, separation, participations = _mechanism(known)
    sensitivity = mechanism.sensitivity_squared(rounds, separation, participations)
    return gaussian_rho(known.noise_multiplier or 0.0, sensitivity) <= target


def _most_rounds(known: BudgetRequest, target: float | None) -> int:
    """As many rounds as the noise and the target allow."""
    if target is None or known.noise_multiplier is None:
        raise ValueError("Expected rounds, or noise_multiplier and one of epsilon and rho to find them. Found neither.")
    if known.min_separation_rounds is None:
        raise ValueError("Expected min_separation_rounds, or cohort and population, to find rounds. Found neither.")
    rounds = _largest(lambda n: _fits(replace(known, rounds=n), target), MOST_ROUNDS)
    if rounds == 0:
        raise ValueError(f"Expected a noise_multiplier that fits one round in rho {target:.4g}. Found none that does.")
    if rounds == MOST_ROUNDS:
        raise ValueError(f"Expected a setting in which rounds cost something. Found that {MOST_ROUNDS} of them fit.")
    return rounds


def _most_participations(known: BudgetRequest, target: float) -> int:
    rounds = known.rounds or 1
    most = -(-rounds // min(known.min_separation_rounds or 1, rounds))
    fitting = _largest(lambda k: _fits(replace(known, max_participations=k), target), most)
    if fitting == 0:
        raise ValueError(
            f"Expected a noise_multiplier that fits one participation in rho {target:.4g}. "
            f"Found {known.noise_multiplier:g}."
        )
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
