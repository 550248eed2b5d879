"""What is left out, and that it counts as zeros."""

import numpy as np
import pytest

from server_strategy.robust.rules import RULES
from server_strategy.robust.screening import cosines_with_median, passes_norm, screened_mean
from server_strategy.robust.statements import DEFENCES
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError, l2_norm


@pytest.mark.parametrize(("length", "passes"), [(0.0, True), (1.0, True), (1.001, False), (1e30, False)])
def test_a_norm_is_held_to_its_bound(length, passes):
    update = np.zeros(70_000, np.float32)
    update[[0, 60_000]] = length * 0.6, length * 0.8
    assert passes_norm(update, 1.0 + 1e-6) is passes


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_passes(bad):
    update = np.array([0.0, bad], np.float32)
    assert not passes_norm(update, 1e300)
    with pytest.raises(NonFiniteUpdateError):
        cosines_with_median(np.stack([update, update]))


def test_a_cosine_is_that_of_the_textbook():
    points = np.random.default_rng(0).standard_normal((9, 5))
    median = np.median(points, axis=0)
    own = [p @ median / np.linalg.norm(p) / np.linalg.norm(median) for p in points]
    assert np.allclose(cosines_with_median(points), own)
    assert cosines_with_median(np.zeros((3, 2))).tolist() == [0, 0, 0]


def test_who_turns_round_is_left_out_and_counts_as_zeros():
    points = np.tile([1.0, 2.0], (5, 1))
    points[3] *= -1
    passed = cosines_with_median(points) >= 0
    assert passed.tolist() == [True, True, True, False, True]
    assert np.allclose(screened_mean(points, passed), points[0] * 4 / 5)


@pytest.mark.parametrize("length", [0.3, 1.0, 2.5, 3.5, 50.0])
def test_with_screening_by_norm_one_phone_moves_the_sum_by_the_clip_norm_at_most(length):
    """The claim of `statements`: whatever the phone sends, against zeros and against its absence."""
    rng, clip, most = np.random.default_rng(1), 1.0, 3.0
    others = [rng.standard_normal(50).astype(np.float32) for _ in range(6)]
    own = rng.standard_normal(50).astype(np.float32)
    own *= length / np.linalg.norm(own)

    def screened_sum(updates):
        total = FixedPointSum(50, clip)
        for update in updates:
            if passes_norm(update, most):
                total.add(update)
        in_a_run = FixedPointSum(50, clip, longest=most)  # as hosts do it
        norms = [in_a_run.add(update) for update in updates]
        assert norms == [np.float64(l2_norm(update)) for update in updates]
        np.testing.assert_array_equal(in_a_run.values, total.values)
        return total.values * 2.0**-40

    with_it = screened_sum([*others, own])
    for without in (screened_sum([*others, np.zeros(50, np.float32)]), screened_sum(others)):
        apart = np.linalg.norm(with_it - without)
        assert apart <= clip and bool(apart > 0) is (length <= most)


def test_every_rule_has_its_statement_and_keeps_no_claim():
    assert set(RULES) < set(DEFENCES)
    assert {name for name, one in DEFENCES.items() if one.keeps_claim} == {"clipping", "norm-screening"}
    assert all("refused with noise" in one.privacy for one in DEFENCES.values() if not one.keeps_claim)
