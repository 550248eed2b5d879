"""Banded Toeplitz matrix factorisation, optimised for the run (arXiv:2306.08153); see `toeplitz`."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from server_strategy.privacy import toeplitz
from server_strategy.privacy.mechanisms.base import (
    Draw,
    Horizon,
    MechanismKind,
    NoiseStream,
    StreamState,
    Vector,
)
from server_strategy.privacy.mechanisms.workload import WorkloadSettings
from typefleet.doors import PlotStyle
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class BandedSettings(WorkloadSettings):
    """Settings of the banded mechanism."""

    bands: Annotated[int | None, Ge(1)] = None
    """Bands of the matrix; by default as many as there are rounds from one participation of a phone to the next."""


@dataclass(frozen=True)
class BandedToeplitzNoise:
    """Banded Toeplitz factorisation; `coefficients` are the first column of C, see `toeplitz`."""

    coefficients: tuple[float, ...]
    name: ClassVar[str] = "banded"
    description: ClassVar[str] = "banded Toeplitz matrix factorisation (arXiv:2306.08153)"
    independent: ClassVar[bool] = False

    @cached_property
    def _column(self) -> Vector:
        return np.array(self.coefficients)

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact; also where fewer rounds lie between two participations than there are bands."""
        return toeplitz.sensitivity_squared(self._column, releases, min_separation, max_participations)

    def sum_errors(self, releases: int) -> Vector:
        """Of the prefix sums: float64 [releases]."""
        return toeplitz.sum_errors(toeplitz.inverse_coefficients(self._column, releases))

    @property
    def cyclic_bands(self) -> int:
        """Rounds from one turn of a group of phones to the next with which its columns do not overlap."""
        return len(self.coefficients)

    @property
    def vectors_of_memory(self) -> int:
        """All rounds that a band reaches back."""
        return len(self.coefficients) - 1

    def stream(self) -> NoiseStream:
        """C y = z, solved row by row."""
        return _BandedStream(self._column)


class _BandedStream:
    """y_t = (z_t - sum_j c_j y_(t-j)) / c_0, with the last bands - 1 of the y kept in a ring."""

    def __init__(self, column: Vector) -> None:
        self._column = column
        self._ring: list[Vector] = []
        self._releases = 0

    def next(self, draw: Draw) -> Vector:
        noise = draw(0).copy()
        reach = len(self._column) - 1
        for back in range(1, min(reach, self._releases) + 1):
            noise -= self._column[back] * self._ring[(self._releases - back) % reach]
        noise /= self._column[0]
        if reach and len(self._ring) < reach:
            self._ring.append(noise)
        elif reach:
            self._ring[self._releases % reach] = noise
        self._releases += 1
        return noise

    def state(self) -> StreamState:
        ring = {f"ring_{i}": vector for i, vector in enumerate(self._ring)}
        return {"releases": np.array(self._releases), **ring}

    def load_state(self, state: StreamState) -> None:
        self._releases = int(state["releases"])
        self._ring = [state[f"ring_{i}"].copy() for i in range(len(state) - 1)]


def _most_bands(horizon: Horizon) -> int:
    """Bands with which the columns of one phone's rounds do not overlap."""
    return horizon.min_separation_rounds if horizon.max_participations > 1 else horizon.rounds


def _check(settings: BandedSettings, horizon: Horizon) -> None:
    settings.momentum_of(horizon)
    most = _most_bands(horizon)
    if settings.bands is not None and settings.bands > most:
        least_apart = f"a number <= {most}, the rounds from one participation of a phone to the next"
        raise ConfigError(expected("bands", least_apart, settings.bands))


def _make(settings: BandedSettings, horizon: Horizon) -> BandedToeplitzNoise:
    _check(settings, horizon)
    return _optimised(horizon.rounds, settings.bands or _most_bands(horizon), settings.momentum_of(horizon))


@lru_cache(maxsize=256)
def _optimised(rounds: int, bands: int, momentum: float) -> BandedToeplitzNoise:
    return BandedToeplitzNoise(tuple(toeplitz.optimal_banded(rounds, bands, momentum).tolist()))


KIND = MechanismKind(
    BandedToeplitzNoise.name,
    BandedToeplitzNoise.description,
    make=_make,
    settings=BandedSettings,
    makes=BandedToeplitzNoise,
    check=_check,
    optimised=frozenset({"coefficients"}),
    style=PlotStyle("#009E73", "^", "--"),  # dashed: in most figures it lies on blt
)
