"""What every mechanism is made for, and what none may say of its cost."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from tests.server_strategy.privacy.mechanisms.dense import PRIVATE, make
from typefleet.errors import InputError


@given(st.integers(1, 120), st.one_of(st.integers(1, 30), st.just(1000)))
def test_planned_participations_against_a_greedy_phone(rounds, separation):
    taken, last = 0, -(10**6)
    for t in range(rounds):
        if t - last >= separation:
            taken, last = taken + 1, t
    assert Horizon.planned(rounds, separation).max_participations == taken
    assert Horizon.planned(rounds, separation, 2).max_participations == min(taken, 2)
    assert Horizon.planned(rounds, separation, None, 0.9) == Horizon(rounds, separation, taken, 0.9)


@pytest.mark.parametrize("name", PRIVATE)
def test_every_kind_makes_mechanisms(name):
    assert isinstance(make(name), Mechanism)


@dataclass(frozen=True)
class Claims(IndependentNoise):
    """Says of its cost whatever it is told to."""

    cost: float = 1.0

    def sensitivity_squared(self, releases, min_separation, max_participations):
        if self.cost == 7.0:
            raise ValueError("not known for 7")
        return self.cost


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_a_participation_is_never_free(cost):
    with pytest.raises(InputError, match="mechanism 'gaussian': expected a squared sensitivity > 0"):
        sensitivity_of(Claims(cost), 5, 1, 2)
    assert sensitivity_of(Claims(2.5), 5, 1, 2) == 2.5


def test_a_cost_that_is_not_known_is_said_of_its_mechanism():
    with pytest.raises(InputError, match="mechanism 'gaussian': not known for 7"):
        sensitivity_of(Claims(7.0), 5, 1, 2)
