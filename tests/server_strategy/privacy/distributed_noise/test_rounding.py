import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.distributed_noise.rounding import (
    RETRY_BOUND,
    conditionally_rounded,
    l1_bound,
    randomly_rounded,
    rounded_norm_bound,
)


def generator(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def of_norm(norm, size, seed=0):
    direction = np.random.default_rng(seed).normal(size=size)
    return direction * (norm / np.linalg.norm(direction))


class Unlucky:
    """A source that always rounds away from zero where that makes a vector longest."""

    def random(self, size):
        return np.zeros(size)


def test_the_mean_of_many_throws_is_what_is_rounded():
    values = np.array([-2.75, -0.5, 0.0, 0.1, 0.999, 3.0])
    throws = np.array([randomly_rounded(generator(seed), values) for seed in range(4000)])
    deviation = np.sqrt((values - np.floor(values)) * (np.ceil(values) - values) / 4000)
    assert (np.abs(throws.mean(axis=0) - values) <= 5 * deviation).all()
    assert (np.abs(throws - values) < 1).all()


@given(st.floats(0.01, 500), st.integers(1, 300), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_what_comes_out_is_within_its_bound_and_a_neighbour(norm, size, seed):
    values, bound = of_norm(norm, size, seed), rounded_norm_bound(norm, size)
    rounded = conditionally_rounded(generator(seed), values, bound)
    assert math.sqrt(int((rounded.astype(object) ** 2).sum())) <= bound  # whole numbers, exactly
    assert (np.abs(rounded - values) < 1).all()
    assert np.abs(rounded).sum() <= l1_bound(bound, size) * (1 + 1e-12)


@pytest.mark.parametrize(("norm", "size"), [(1.0, 64), (10.0, 64), (3.0, 1024), (200.0, 1024)])
def test_so_many_throws_keep_the_bound_as_the_proposition_says(norm, size):
    bound, values = rounded_norm_bound(norm, size), of_norm(norm, size)
    kept = [np.linalg.norm(randomly_rounded(generator(seed), values)) <= bound for seed in range(400)]
    assert np.mean(kept) > 1 - RETRY_BOUND


def test_conditions_take_little_from_the_mean():
    values = of_norm(10.0, 64)
    bound = rounded_norm_bound(10.0, 64)
    throws = np.array([conditionally_rounded(generator(seed), values, bound) for seed in range(4000)])
    assert np.linalg.norm(throws.mean(axis=0) - values) < 0.2  # of 10; 0.06 would be chance alone


def test_a_source_that_never_gets_below_ends_with_a_shorter_vector():
    values = np.full(100, 0.5)  # norm 5; every throw of this source has norm 10
    rounded = conditionally_rounded(Unlucky(), values, 6.0)
    assert np.linalg.norm(rounded) <= 6.0
    assert np.linalg.norm(conditionally_rounded(Unlucky(), np.full(100, 7.5), 60.0)) <= 60.0


def test_the_bound_is_the_smaller_of_the_two_of_the_proposition():
    assert rounded_norm_bound(1.0, 1, beta=1e-9) == 2.0
    by_hand = math.sqrt(1e8 + 1024 / 4 + 1.0 * (1e4 + 16))  # sqrt(2 log(1 / beta)) is 1
    assert rounded_norm_bound(1e4, 1024) == pytest.approx(by_hand, rel=1e-15)
    assert l1_bound(3.0, 1000) == 9.0 and l1_bound(100.0, 4) == 200.0
