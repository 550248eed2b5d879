"""Tree sensitivity against exhaustive search, published values and tensorflow-privacy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import server_strategy.privacy.noise  # noqa: F401  makes tensorflow_privacy importable
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.tree_aggregation import tree_sensitivity_squared, tree_sum_errors


def nodes_of(rounds, restart):
    """(first, past the last) round of every complete node."""
    for start in range(0, rounds, restart):
        size = min(restart, rounds - start)
        for height in range(size.bit_length()):
            for begin in range(0, size - 2**height + 1, 2**height):
                yield start + begin, start + begin + 2**height


def exhaustive(rounds, b, k, restart):
    nodes = list(nodes_of(rounds, restart or rounds))
    best = 0
    for count in range(1, k + 1):
        for pi in itertools.combinations(range(rounds), count):
            if all(y - x >= b for x, y in itertools.pairwise(pi)):
                best = max(best, sum(sum(begin <= i < end for i in pi) ** 2 for begin, end in nodes))
    return best


@pytest.mark.parametrize(
    ("rounds", "k", "between", "expected"),
    [(128, 3, 31, 32), (256, 4, 60, 56), (512, 4, 100, 60), (2000, 6, 313, 79)],
)
def test_values_of_tensorflow_privacy(rounds, k, between, expected):
    assert tree_sensitivity_squared(rounds, between + 1, k) == expected
    assert rounds != 512 or gaussian_rho(7.0, expected) == pytest.approx(0.6122, rel=1e-4)


@given(st.integers(1, 13), st.integers(1, 6), st.integers(1, 4), st.sampled_from([None, 1, 3, 4, 7]))
@settings(deadline=None, max_examples=120)
def test_it_is_the_maximum_over_all_schedules(rounds, b, k, restart):
    assert tree_sensitivity_squared(rounds, b, k, restart) == exhaustive(rounds, b, k, restart)


@pytest.mark.parametrize("restart", [None, 2, 3, 4])
def test_without_a_separation_the_first_rounds_are_the_worst(restart):
    for rounds, k in itertools.product((1, 2, 5, 8, 11), range(1, 6)):
        assert tree_sensitivity_squared(rounds, 1, k, restart) == exhaustive(rounds, 1, k, restart)
    # 2^6 leaves of one subtree, all of whose nodes are full, and the eight nodes above it.
    assert tree_sensitivity_squared(20_000, 1, 64) == sum(2 ** (6 - h) * 4**h for h in range(7)) + 8 * 64**2


@pytest.mark.parametrize(("steps", "k", "between"), [(20, 3, 4), (33, 2, 7), (16, 4, 2)])
def test_against_the_accountant_of_the_library(steps, k, between):
    from tensorflow_privacy.privacy.analysis.tree_aggregation_accountant import compute_zcdp_single_tree

    rho = compute_zcdp_single_tree(1.0, steps, k, between)
    assert tree_sensitivity_squared(steps, between + 1, k) / 2 == pytest.approx(rho)


@given(st.integers(2, 200), st.integers(1, 40), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_it_grows_with_rounds_and_participations_and_falls_with_separation(rounds, b, k):
    here = tree_sensitivity_squared(rounds, b, k)
    assert tree_sensitivity_squared(rounds - 1, b, k) <= here <= tree_sensitivity_squared(rounds, b, k + 1)
    assert tree_sensitivity_squared(rounds, b + 1, k) <= here


def test_what_it_cannot_search_it_refuses():
    with pytest.raises(ValueError, match="at most 64 participations"):
        tree_sensitivity_squared(1000, 1, 100)
    for bad in ((0, 1, 1, None), (1, 0, 1, None), (1, 1, 0, None), (5, 1, 1, -1)):
        with pytest.raises(ValueError, match=">= 1"):
            tree_sensitivity_squared(*bad)


@pytest.mark.parametrize("restart", [None, 8, 5])
def test_errors_are_those_of_the_least_squares_estimate(restart):
    # The sum of a tile's leaves, estimated from all noisy nodes under the tile: generalised least squares.
    rounds = 23
    errors = tree_sum_errors(rounds, restart)
    for t in range(1, rounds + 1):
        expected = 0.0
        for start in range(0, t, restart or rounds):
            size, begin = min(restart or rounds, t - start), 0
            for height in reversed(range(size.bit_length())):
                if size >> height & 1:
                    leaves = 2**height
                    nodes = np.array([[a <= i < e for i in range(leaves)] for a, e in nodes_of(leaves, leaves)], float)
                    ones = np.ones(leaves)
                    expected += ones @ np.linalg.inv(nodes.T @ nodes) @ ones
                    begin += leaves
        assert errors[t - 1] == pytest.approx(expected)
    # At the published model's shape; without Honaker's estimate every node of a tile counts whole.
    assert np.sqrt(tree_sum_errors(2000).mean() * 79) == pytest.approx(15.7, rel=1e-3)
    whole = np.mean([t.bit_count() for t in range(1, 2001)])
    assert np.sqrt(whole * 79) == pytest.approx(20.7, abs=0.05)
