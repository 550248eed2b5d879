"""A noise mechanism of somebody else's, which imports no more than it needs: each process that finds it reads it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from server_strategy.privacy.mechanisms.base import MechanismKind
from typefleet.doors import KindSettings


@dataclass(frozen=True)
class ToySettings(KindSettings):
    """Settings of the toy mechanism."""

    toy_setting: Annotated[float, Gt(0)] = 2.0
    """Variance of its noise, in that of a draw."""


@dataclass(frozen=True)
class Toy:
    """Independent noise of another variance: a phone pays that much less for each participation."""

    variance: float
    name: ClassVar[str] = "toy"
    description: ClassVar[str] = "independent noise of another variance"
    independent: ClassVar[bool] = True
    vectors_of_memory: ClassVar[int] = 0

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        return min(max_participations, -(-releases // min_separation)) / self.variance

    def sum_errors(self, releases: int) -> np.ndarray:
        return self.variance * np.arange(1.0, releases + 1)

    def stream(self):
        return ToyStream(self.variance)


class ToyStream:
    def __init__(self, variance):
        self.variance = variance

    def next(self, draw):
        return np.sqrt(self.variance) * draw(0)

    def state(self):
        return {}

    def load_state(self, state):
        pass


KIND = MechanismKind(
    Toy.name,
    Toy.description,
    make=lambda settings, horizon: Toy(settings.toy_setting),
    settings=ToySettings,
    makes=Toy,
)
