"""The buffered matrix: its buffers are its memory, and more of them leave no more noise."""

import pytest

from tests.server_strategy.privacy.mechanisms.dense import make


def error(mechanism):
    return mechanism.sum_errors(24).mean() * mechanism.sensitivity_squared(24, 5, 4)


def test_buffers_are_the_memory_and_more_leave_no_more_noise():
    made = [make("blt", buffers=buffers) for buffers in (1, 2, 3)]
    assert [mechanism.vectors_of_memory for mechanism in made] == [1, 2, 3]
    assert error(made[2]) <= error(made[1]) * (1 + 1e-9) <= error(made[0]) * (1 + 1e-9)


def test_one_participation_costs_what_it_does_with_independent_noise():
    assert make("blt").sensitivity_squared(24, 24, 1) == pytest.approx(1.0)
