"""Independent Gaussian noise in each round: DP-FedAvg (arXiv:1710.06963)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from server_strategy.privacy.mechanisms.base import Draw, MechanismKind, NoiseStream, StreamState, Vector
from typefleet.doors import PlotStyle


@dataclass(frozen=True)
class IndependentNoise:
    """Independent Gaussian noise: a phone pays for each of its participations."""

    name: ClassVar[str] = "gaussian"
    description: ClassVar[str] = "independent Gaussian noise in each round (DP-FedAvg, arXiv:1710.06963)"
    independent: ClassVar[bool] = True
    vectors_of_memory: ClassVar[int] = 0

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """The number of participations."""
        return float(min(max_participations, -(-releases // min_separation)))

    def sum_errors(self, releases: int) -> Vector:
        """1, 2, 3, ...: float64 [releases]."""
        return np.arange(1.0, releases + 1)

    def stream(self) -> NoiseStream:
        """The draws themselves."""
        return _IndependentStream()


class _IndependentStream:
    def next(self, draw: Draw) -> Vector:
        return draw(0)

    def state(self) -> StreamState:
        return {}

    def load_state(self, state: StreamState) -> None:
        """Nothing is kept from one release to the next."""


KIND = MechanismKind(
    IndependentNoise.name,
    IndependentNoise.description,
    make=lambda settings, horizon: IndependentNoise(),
    makes=IndependentNoise,
    style=PlotStyle("#D55E00", "o"),
)
