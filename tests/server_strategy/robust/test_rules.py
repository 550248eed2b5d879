"""Each rule against another way to the same number, and what it promises whatever a few points are."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import trim_mean

from server_strategy.robust.config import least_buckets
from server_strategy.robust.rules import (
    RULES,
    geometric_median,
    krum,
    krum_scores,
    multi_krum,
    robust_mean,
    squared_distances,
    trimmed_mean,
)
from server_strategy.update_sum import NonFiniteUpdateError
from typefleet.errors import ConfigError

SHAPES = [(1, 1), (3, 2), (5, 3), (6, 1), (8, 4), (9, 40_000), (12, 7)]
each_rule = pytest.mark.parametrize("name", RULES)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def some(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def most_spoiled(name, buckets):
    return max((f for f in range(buckets) if least_buckets(name, f) <= buckets), default=None)


# Against other ways to the same number ------------------------------------------------------------------


@each_shape
def test_a_median_is_the_middle_of_what_is_sorted(shape):
    points = some(shape)
    ordered, half = np.sort(points, axis=0), shape[0] // 2
    middle = ordered[half] if shape[0] % 2 else (ordered[half - 1] + ordered[half]) / 2
    assert np.allclose(robust_mean("median", points, 0), middle, rtol=0, atol=1e-12)


@each_shape
def test_a_trimmed_mean_is_that_of_scipy(shape):
    points = some(shape)
    for spoiled in range((shape[0] + 1) // 2):
        other = trim_mean(points, spoiled / shape[0] + 1e-9, axis=0)
        assert np.allclose(trimmed_mean(points, spoiled), other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("buckets", "spoiled"), [(4, 0), (6, 1), (7, 1), (8, 2), (10, 3)])
def test_krum_is_what_trying_all_neighbours_finds(buckets, spoiled, seed):
    points = some((buckets, 3), seed)
    scores = [
        min(
            sum(float(((points[i] - points[j]) ** 2).sum()) for j in near)
            for near in itertools.combinations(set(range(buckets)) - {i}, buckets - spoiled - 2)
        )
        for i in range(buckets)
    ]
    assert np.allclose(krum_scores(points, spoiled), scores)
    best = np.argsort(scores)
    assert (krum(points, spoiled) == points[best[0]]).all()
    assert np.allclose(multi_krum(points, spoiled), points[best[: buckets - spoiled - 2]].mean(0))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(3, 2), (4, 2), (5, 3), (8, 2), (11, 5)], ids=str)
def test_no_search_finds_a_point_with_a_smaller_sum_of_distances(shape, seed):
    points = some(shape, seed)
    if seed % 2:  # the coordinate median is a point, and not the one that is looked for
        points[0] = np.median(points[1:], axis=0) + 1e-3 * (shape[0] % 2)

    def cost(at):
        return float(np.linalg.norm(points - at, axis=1).sum())

    starts = [points.mean(0), *points]
    least = min(minimize(cost, at, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10}).fun for at in starts)
    assert cost(geometric_median(points)) <= least * (1 + 1e-6)


def test_the_geometric_median_of_a_triangle_is_its_fermat_point_and_a_wide_corner_itself():
    equal = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    assert np.allclose(geometric_median(equal), equal.mean(0), atol=1e-6)
    wide = np.array([[0.0, 0.0], [10.0, 1.0], [-10.0, 1.0]])  # an angle of more than 120 degrees
    assert np.allclose(geometric_median(wide), [0, 0], atol=1e-6)


def test_distances_between_near_points_that_are_far_away_are_exact():
    points = np.array([[1e8, 0.0], [1e8 + 1, 0.0], [1e8, 2.0]])
    assert squared_distances(points).tolist() == [[0, 1, 4], [1, 0, 5], [4, 5, 0]]


# What each promises --------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_the_order_of_the_points_makes_no_difference(name, shape):
    points = some(shape, 1).round(1)  # with equal values, and equal scores
    spoiled = most_spoiled(name, shape[0])
    found = robust_mean(name, points, spoiled)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(shape[0])
        assert np.allclose(robust_mean(name, points[order], spoiled), found, rtol=0, atol=1e-6)


@each_rule
@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_points_that_are_moved_and_scaled_move_and_scale_what_comes_of_them(name, shape):
    points, by, spoiled = some(shape, 2), some(shape[1:], 3), most_spoiled(name, shape[0])
    found = robust_mean(name, points, spoiled)
    assert np.allclose(robust_mean(name, 3 * points + by, spoiled), 3 * found + by, rtol=0, atol=1e-5)


@each_rule
def test_of_points_that_are_alike_it_is_the_point(name):
    assert np.allclose(robust_mean(name, np.tile([1.5, -2.0], (7, 1)), 1), [1.5, -2.0], rtol=0, atol=1e-12)


@each_rule
@pytest.mark.parametrize("far", [3.0, 1e4, 1e30])
@pytest.mark.parametrize("shape", [(7, 3), (12, 2), (9, 50)], ids=str)
def test_as_many_as_it_withstands_move_it_no_further_than_the_others_are_apart(name, shape, far):
    points, spoiled = some(shape, 4), most_spoiled(name, shape[0])
    honest = points[spoiled:]
    points[:spoiled] = far
    found = robust_mean(name, points, spoiled)
    widest = np.sqrt(squared_distances(honest).max())
    # A geometric median is within 2 (B - f) / (B - 2 f) of the honest ones' spread (Pillutla et al. 2022, Lemma 1).
    most = widest * 2 * (shape[0] - spoiled) / (shape[0] - 2 * spoiled)
    assert np.linalg.norm(found - honest.mean(0)) <= most


@each_rule
def test_a_mean_does_not_and_neither_does_a_rule_of_which_too_much_is_asked(name):
    points = some((7, 3), 5)
    points[:4] = 1e6
    assert np.linalg.norm(points.mean(0)) > 1e5
    for spoiled in range(4, 8):
        with pytest.raises(ConfigError, match=f"robust_mean: expected at least {least_buckets(name, spoiled)} buckets"):
            robust_mean(name, points, spoiled)
    assert np.linalg.norm(RULES[name](points, 1)) > 1e5  # more are spoiled than it was told


@each_rule
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(name, bad):
    points = some((7, 3))
    points[2, 1] = bad
    with pytest.raises(NonFiniteUpdateError, match="points: expected finite numbers"):
        robust_mean(name, points, 1)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="expected one of median, trimmed-mean, krum, multi-krum, geometric-median"):
        robust_mean("mode", some((7, 3)), 1)


# What the statements say of how far one phone moves each -------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("buckets", "spoiled"), [(5, 1), (7, 2), (8, 3), (9, 0)])
def test_one_bucket_moves_the_median_and_the_trimmed_mean_no_further_than_is_stated(buckets, spoiled, seed):
    points = some((buckets, 30), seed)
    moved, step = points.copy(), some(30, seed + 100) * 10 ** (seed % 4 - 2)
    moved[seed % buckets] += step
    length = np.linalg.norm(step) * (1 + 1e-12)
    for name, share in (("median", 1), ("trimmed-mean", 1 / (buckets - 2 * spoiled))):
        apart = robust_mean(name, moved, spoiled) - robust_mean(name, points, spoiled)
        assert np.linalg.norm(apart) <= share * length + 1e-12


@pytest.mark.parametrize("name", ["krum", "multi-krum"])
def test_krum_jumps_however_little_one_bucket_moves(name):
    points = np.array([[-1.0]] * 4 + [[1.0]] * 4 + [[0.0]])
    found = []
    for little in (-1e-9, 1e-9):
        points[8] = little
        found.append(float(robust_mean(name, points, 3)[0]))
    assert found == [-1, 1]
