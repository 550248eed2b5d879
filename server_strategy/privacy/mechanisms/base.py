"""What a noise mechanism is: its exact cost, what it does to the sums, how its noise flows; and what a kind of it is.

A mechanism is a frozen dataclass whose fields are all that a ledger needs to recompute its cost. Its noise comes from
a stream: one vector a release, from standard normal draws that the caller keys. Scale and clip norm are the caller's;
here one phone's update has norm 1 and a draw has deviation 1.

Sums and costs are for the releases made so far, so that a run that stops early pays for no more than it made.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from typefleet.doors import Kind
from typefleet.errors import ConfigError, InputError, expected

Vector = NDArray[np.float64]
Draw = Callable[[int], Vector]  # standard normal draws of this release; another number, other draws
StreamState = dict[str, NDArray[Any]]


class NoiseStream(Protocol):
    """The noise of one tensor, release after release."""

    def next(self, draw: Draw) -> Vector:
        """Noise of the next release: float64, of the shape of a draw."""

    def state(self) -> StreamState:
        """All that is needed to go on; the arrays are the stream's own."""

    def load_state(self, state: StreamState) -> None:
        """Go on from a state."""


@runtime_checkable
class Mechanism(Protocol):
    """A way to make noise, with its exact cost.

    Attributes:
        name: as flags, ledgers and statements have it.
        description: one line, for statements.
        independent: whether the noise of each release is drawn anew, so that each can be accounted for alone.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    independent: ClassVar[bool]

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Largest squared change by one phone in the first `releases` releases; never less after more of them.

        Args:
            releases: made so far.
            min_separation: rounds from one participation of a phone to the next, at least (1: every round).
            max_participations: of one phone, at most.

        Raises:
            ValueError: it is not known exactly.
        """

    def sum_errors(self, releases: int) -> Vector:
        """Variance of the noise in the sum of the releases so far, after each: float64 [releases]."""

    def stream(self) -> NoiseStream:
        """A stream before its first release."""

    @property
    def vectors_of_memory(self) -> int:
        """Vectors of the size of the model that a stream keeps."""


@dataclass(frozen=True)
class Horizon:
    """The run that a mechanism is made for.

    Attributes:
        rounds: releases planned.
        min_separation_rounds: rounds from one participation of a phone to the next, at least (1: every round).
        max_participations: of one phone, at most.
        momentum: of the server, if its weights are a linear function of the updates; 0 for their plain sums.
    """

    rounds: int
    min_separation_rounds: int
    max_participations: int
    momentum: float = 0.0

    @classmethod
    def planned(
        cls, rounds: int, min_separation_rounds: int, limit: int | None = None, momentum: float = 0.0
    ) -> "Horizon":
        """The horizon in which a phone takes part as often as the separation, and the limit if there is one, allow."""
        by_separation = -(-rounds // min_separation_rounds)
        most = by_separation if limit is None else min(limit, by_separation)
        return cls(rounds, min_separation_rounds, most, momentum)


def accept_all(settings: Any, horizon: Horizon) -> None:
    """The check of a kind whose settings fit every horizon."""


@dataclass(frozen=True)
class MechanismKind(Kind["Mechanism | None"]):
    """A kind of noise mechanism; `make(settings, horizon)` gives a mechanism, or None for no privacy.

    Attributes:
        makes: class of what `make` gives; None if that is None.
        check: refuses settings that do not fit a horizon, before anything is computed, with a ConfigError that
            begins with the setting as a flag has it: `bands: expected ...`.
        rebuild: makes the mechanism from the parameters that a ledger has; None: they are the fields of `makes`.
        optimised: parameters that a numerical optimiser found. Another machine may find others in the last digits,
            so that a run that is resumed goes on with those on record; all other parameters have to be the same.
    """

    makes: type[Mechanism] | None = None
    check: Callable[[Any, Horizon], None] = accept_all
    rebuild: Callable[[Mapping[str, Any]], Mechanism] | None = None
    optimised: frozenset[str] = frozenset()

    @property
    def private(self) -> bool:
        """Whether there is any noise."""
        return self.makes is not None

    @property
    def may_be_nothing(self) -> bool:
        """Whether `make` may give None: no privacy."""
        return not self.private


def sensitivity_of(mechanism: Mechanism, releases: int, min_separation: int, max_participations: int) -> float:
    """A mechanism's squared sensitivity to at least one participation, which cannot be free.

    Raises:
        InputError: it is not known exactly.
        ConfigError: the mechanism gives no number > 0.
    """
    try:
        found = mechanism.sensitivity_squared(releases, min_separation, max_participations)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"mechanism {mechanism.name!r}: {error}") from error
    return as_sensitivity(f"mechanism {mechanism.name!r}", found)


def as_sensitivity(where: str, found: Any) -> float:
    """What a mechanism gave as its squared sensitivity.

    Args:
        where: names the mechanism.
        found: what it gave.

    Raises:
        ConfigError: no number > 0.
    """
    try:
        number = float(found)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(expected(where, "a squared sensitivity > 0", type(found).__name__)) from None
    if not (math.isfinite(number) and number > 0):
        raise ConfigError(expected(where, "a squared sensitivity > 0", number))
    return number
