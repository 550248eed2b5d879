import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.noise import KeyedSumQuery
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import (
    FRACTION_BITS,
    LARGEST_CLIP_NORM,
    SMALLEST_CLIP_NORM,
    FixedPointSum,
    NonFiniteUpdateError,
    l2_norm,
    moved_clip_norm,
    to_float,
)
from tests.conftest import ROOT

finite = st.floats(-1e6, 1e6, width=32)
updates = hnp.arrays(np.float32, st.integers(1, 300), elements=finite)


def exact_norm_squared(values):
    return sum(int(v) ** 2 for v in values)


@given(updates, st.sampled_from([1e-3, 0.5, 1.0, 3.7, 1e4]))
def test_what_is_summed_never_exceeds_the_bound(update, clip_norm):
    total = FixedPointSum(len(update), clip_norm)
    total.add(update)
    assert exact_norm_squared(total.values) <= 2 ** (2 * FRACTION_BITS)  # exact integer arithmetic


@pytest.mark.parametrize("size", [1, 7, 40_000, 100_001])
@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e8, 1e30])
def test_bound_at_large_sizes_and_extreme_scales(size, scale):
    update = (np.random.default_rng(size).standard_normal(size) * scale).astype(np.float32)
    total = FixedPointSum(size, 0.3)
    total.add(update)
    assert exact_norm_squared(total.values) <= 2 ** (2 * FRACTION_BITS)


@pytest.mark.parametrize("size", [10_000, 2_000_000])
def test_bound_holds_where_every_coordinate_is_rounded_up(size):
    # Each clipped coordinate lies just above a half, which adds the most that rounding can add.
    unit = 2.0**-FRACTION_BITS
    coordinate = np.float32((np.floor(2.0**FRACTION_BITS / np.sqrt(size)) + 0.501) * unit)
    total = FixedPointSum(size, 1.0)
    total.add(np.full(size, coordinate, np.float32))
    assert int(total.values[0]) ** 2 * size <= 2 ** (2 * FRACTION_BITS)
    assert (total.values == total.values[0]).all()


@given(updates, st.sampled_from([0.5, 2.0]))
@settings(deadline=None)
def test_clipping_equals_tensorflow_privacys(update, clip_norm):
    total = FixedPointSum(len(update), clip_norm)
    norm = total.add(update)
    query = KeyedSumQuery(clip_norm, 1.0, NoiseKey.seeded(0), IndependentNoise())
    params = query.derive_sample_params(query.initial_global_state())
    expected = query.preprocess_record(params, tf.constant(update)).numpy()
    np.testing.assert_allclose(to_float(total.values, clip_norm), expected, rtol=1e-5, atol=clip_norm * 2e-6)
    assert norm == pytest.approx(float(np.linalg.norm(update.astype(np.float64))), rel=1e-12)


def test_sum_is_the_same_in_any_order_and_grouping():
    rng = np.random.default_rng(0)
    parts = [(rng.standard_normal(1000) * s).astype(np.float32) for s in rng.lognormal(0, 3, 40)]
    whole = FixedPointSum(1000, 1.0)
    for p in parts:
        whole.add(p)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(40)
        shards = [FixedPointSum(1000, 1.0) for _ in range(3)]
        for i in order:
            shards[i % 3].add(parts[i])
        np.testing.assert_array_equal(sum(s.values for s in shards), whole.values)
        assert sum(s.count for s in shards) == 40


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_updates_are_refused_and_leave_no_trace(bad):
    total = FixedPointSum(3, 1.0)
    total.add(np.ones(3, np.float32))
    before = total.values.copy()
    with pytest.raises(NonFiniteUpdateError):
        total.add(np.array([1, bad, 1], np.float32))
    np.testing.assert_array_equal(total.values, before)
    assert total.count == 1


def test_zero_update():
    total = FixedPointSum(5, 1.0)
    assert total.add(np.zeros(5, np.float32)) == 0.0 and not total.values.any()


@pytest.mark.parametrize("clip_norm", [SMALLEST_CLIP_NORM, LARGEST_CLIP_NORM])
def test_at_both_ends_of_the_clip_norms_little_is_lost(clip_norm):
    size, rng = 500_000, np.random.default_rng(0)
    update = rng.normal(size=size).astype(np.float32)
    update *= np.float32(min(1.0, clip_norm) / (2 * l2_norm(update)))
    total = FixedPointSum(size, clip_norm)
    total.add(update)
    assert l2_norm(to_float(total.values, clip_norm) - update) <= max(3e-5, 1e-6 * l2_norm(update))
    empty = FixedPointSum(3, clip_norm)
    empty.add(np.zeros(3, np.float32))
    assert not empty.values.any()


@pytest.mark.parametrize(("written", "said"), [("100", "2e-8"), ("1e4", "2e-6"), ("1e5", "2e-5")])
def test_what_rounding_takes_is_what_help_and_docs_say(written, said):
    clip_norm, size = float(written), 440_456  # of the default model
    exact = np.random.default_rng(0).normal(size=size)
    exact /= l2_norm(exact)
    update = exact.astype(np.float32)
    total = FixedPointSum(size, clip_norm)
    total.add(update)
    lost = l2_norm(to_float(total.values, clip_norm) - update)
    assert lost == pytest.approx(clip_norm * 2**-FRACTION_BITS * math.sqrt(size / 12), rel=0.1)
    assert lost == pytest.approx(float(said), rel=0.3)
    assert (lost < l2_norm(update - exact)) == (clip_norm <= 100)
    assert f"| {written} | {said} |" in (ROOT / "docs/privacy.md").read_text()
    help_of_it = (ROOT / "server_strategy/privacy/config.py").read_text().partition("clip_norm: ")[2].split('"""')[1]
    assert "nothing" not in help_of_it and (written not in ("100", "1e4") or said in help_of_it)


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, np.nan, np.inf, 1e-300, 0.99e-6, 1.01e5, 1e15])
def test_clip_norm_must_be_one_that_updates_can_be_summed_by(clip_norm):
    with pytest.raises(ValueError, match="clip_norm: expected a number from 1e-06 to 100000, found"):
        FixedPointSum(3, clip_norm)


def test_too_many_weights_for_the_proof_of_the_bound():
    with pytest.raises(ValueError, match="size: expected at most 67108864 weights"):
        FixedPointSum(2**26 + 1, 1.0)


def test_wrong_shape():
    with pytest.raises(ValueError, match="shape"):
        FixedPointSum(3, 1.0).add(np.zeros(4, np.float32))


def test_norm_is_pythagoras():
    assert l2_norm(np.array([3, 4], np.float32)) == 5.0


@given(updates, st.integers(1, 5), st.sampled_from([0.5, 2.0]))
@settings(deadline=None)
def test_clipping_by_layer_bounds_each_layer_and_so_the_whole(update, layers, clip_norm):
    edges = np.linspace(0, len(update), layers + 1).astype(int)
    total = FixedPointSum(len(update), clip_norm, np.diff(edges).tolist())
    norm = total.add(update)
    parts = [update[a:b].astype(np.float64) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    bound = clip_norm / np.sqrt(layers)
    expected = np.concatenate([part * min(1.0, bound / (np.linalg.norm(part) or 1.0)) for part in parts])
    np.testing.assert_allclose(to_float(total.values, clip_norm), expected, rtol=1e-6, atol=clip_norm * 1e-6)
    assert exact_norm_squared(total.values) <= 2 ** (2 * FRACTION_BITS)
    assert norm == pytest.approx(max(np.linalg.norm(part) for part in parts) * np.sqrt(layers), rel=1e-12)


def test_layers_must_add_up():
    with pytest.raises(ValueError, match="layer_sizes: expected 5 weights in all, found 4"):
        FixedPointSum(5, 1.0, [2, 2])


@given(st.floats(SMALLEST_CLIP_NORM, LARGEST_CLIP_NORM), st.floats(-1e9, 1e9))
def test_a_clip_norm_that_adapts_stays_where_updates_can_be_summed(clip_norm, down):
    moved = moved_clip_norm(clip_norm, down)
    FixedPointSum(3, moved)
    assert (moved <= clip_norm) if down > 0 else (moved >= clip_norm)
    if abs(down) < 1 and 1e-5 < clip_norm < 1e4:
        assert moved == clip_norm * math.exp(-down)
