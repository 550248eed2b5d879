"""Buffered linear Toeplitz matrix factorisation (BLT), optimised for the run (arXiv:2408.08868); see `toeplitz`."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

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


@dataclass(frozen=True)
class BufferedSettings(WorkloadSettings):
    """Settings of the blt mechanism."""

    buffers: Annotated[int, Ge(1), Le(8)] = 3
    """Buffers of noise, each of the size of the model."""


@dataclass(frozen=True)
class BufferedToeplitzNoise:
    """Buffered linear Toeplitz factorisation (BLT); see `toeplitz`.

    Attributes:
        rounds: releases planned, over which the first column of C has norm 1.
        buffer_decay, output_scale: theta and omega, one a buffer.
    """

    rounds: int
    buffer_decay: tuple[float, ...]
    output_scale: tuple[float, ...]
    name: ClassVar[str] = "blt"
    description: ClassVar[str] = "buffered linear Toeplitz matrix factorisation (BLT, arXiv:2408.08868)"
    independent: ClassVar[bool] = False

    @cached_property
    def _parameters(self) -> tuple[Vector, Vector, float]:
        """(decay, scale, norm of the first column over the run); C is divided by the norm."""
        decay, scale = np.array(self.buffer_decay), np.array(self.output_scale)
        return decay, scale, float(np.linalg.norm(toeplitz.blt_coefficients(decay, scale, self.rounds)))

    def _coefficients(self, releases: int) -> Vector:
        decay, scale, norm = self._parameters
        return toeplitz.blt_coefficients(decay, scale, releases) / norm

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact, by the worst schedule of arXiv:2405.13763, Theorem 2."""
        return toeplitz.sensitivity_squared(self._coefficients(releases), releases, min_separation, max_participations)

    def sum_errors(self, releases: int) -> Vector:
        """Of the prefix sums: float64 [releases]."""
        return toeplitz.sum_errors(toeplitz.inverse_coefficients(self._coefficients(releases), releases))

    @property
    def vectors_of_memory(self) -> int:
        """One for each buffer."""
        return len(self.buffer_decay)

    def stream(self) -> NoiseStream:
        """C^-1 z through the buffers."""
        return _BufferedStream(*self._parameters)


class _BufferedStream:
    """y = z - omega S; S = theta S + y (arXiv:2404.16706, Algorithm 1)."""

    def __init__(self, decay: Vector, scale: Vector, norm: float) -> None:
        self._decay, self._scale, self._norm = decay, scale, norm
        self._buffers: list[Vector] = []

    def next(self, draw: Draw) -> Vector:
        noise = draw(0).copy()
        if not self._buffers:
            self._buffers = [np.zeros_like(noise) for _ in self._decay]
        for scale, buffer in zip(self._scale, self._buffers, strict=True):
            noise -= scale * buffer
        for decay, buffer in zip(self._decay, self._buffers, strict=True):
            buffer *= decay
            buffer += noise
        return noise * self._norm

    def state(self) -> StreamState:
        return {f"buffer_{i}": buffer for i, buffer in enumerate(self._buffers)}

    def load_state(self, state: StreamState) -> None:
        self._buffers = [state[f"buffer_{i}"].copy() for i in range(len(state))]


def _check(settings: BufferedSettings, horizon: Horizon) -> None:
    settings.momentum_of(horizon)


def _make(settings: BufferedSettings, horizon: Horizon) -> BufferedToeplitzNoise:
    return _optimised(replace(horizon, momentum=settings.momentum_of(horizon)), settings.buffers)


@lru_cache(maxsize=256)
def _optimised(horizon: Horizon, buffers: int) -> BufferedToeplitzNoise:
    schedule = (horizon.rounds, horizon.min_separation_rounds, horizon.max_participations)
    decay, scale = toeplitz.optimal_blt(*schedule, buffers, horizon.momentum)
    return BufferedToeplitzNoise(horizon.rounds, tuple(decay.tolist()), tuple(scale.tolist()))


KIND = MechanismKind(
    BufferedToeplitzNoise.name,
    BufferedToeplitzNoise.description,
    make=_make,
    settings=BufferedSettings,
    makes=BufferedToeplitzNoise,
    check=_check,
    optimised=frozenset({"buffer_decay", "output_scale"}),
    style=PlotStyle("#0072B2", "D"),
)
