import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder, add_to, estimate_mean, estimate_sum
from server_strategy.privacy.distributed_noise.ring import from_ring, wrapped_around
from server_strategy.privacy.distributed_noise.settle import settle
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import NonFiniteUpdateError

KINDS = ("discrete-gaussian", "skellam")
KEY = NoiseKey.secret(bytes(32), b"a run")


def noise_of(kind="skellam", z=0.5, **changes):
    return settle(kind, z, **{**dict(bits=18, dimension=100, phones=20, threshold=20), **changes})


def updates_of(phones, dimension, scale=0.1, seed=0):
    return np.random.default_rng(seed).normal(0, scale, (phones, dimension)).astype(np.float32)


def clipped(updates, clip_norm):
    norms = np.linalg.norm(updates.astype(np.float64), axis=1, keepdims=True)
    return updates * np.minimum(1, clip_norm / norms)


def total_of(encoder, updates, clip_norm, server_round=1):
    total = np.zeros(encoder.noise.padded, np.uint32)
    for phone, update in enumerate(updates):
        vector = encoder.vector(update, server_round, phone, clip_norm=clip_norm)
        add_to(total, vector, encoder.noise.bits)
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_the_clipped_sum_with_noise_of_the_promised_variance(kind):
    noise, updates = noise_of(kind, z=0.5, dimension=4096), updates_of(20, 4096, scale=1.0)
    total = total_of(PhoneEncoder(noise, KEY, 5), updates, clip_norm=2.0)
    off = estimate_sum(noise, total, 1, rotation_seed=5, clip_norm=2.0) - clipped(updates, 2.0).sum(axis=0)
    promised = noise.noise_stddev(20, 2.0)
    assert promised == pytest.approx(1.0)
    assert abs(off.mean()) < 5 * promised / 64 and off.std() == pytest.approx(promised, rel=0.06)  # 5 standard errors


@pytest.mark.parametrize("block", [None, 16])
def test_almost_without_noise_the_mean_is_the_mean(block):
    noise, updates = noise_of(z=1e-4, bits=32, block=block), updates_of(20, 100)
    total = total_of(PhoneEncoder(noise, KEY, 5), updates, clip_norm=0.7)
    mean = estimate_mean(noise, total, 1, rotation_seed=5, clip_norm=0.7, denominator=25)
    np.testing.assert_allclose(mean, clipped(updates, 0.7).sum(axis=0) / 25, atol=3e-5)


@given(st.sampled_from(KINDS), st.integers(1, 200), st.floats(1e-3, 1e3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_no_phone_changes_the_sum_by_more_than_the_sensitivity(kind, dimension, length, seed):
    # Its own whole numbers are what it adds beyond its noise, which is the same for any update.
    noise = noise_of(kind, bits=14, dimension=dimension)
    encoder, direction = PhoneEncoder(noise, KEY, 1), updates_of(1, dimension, seed=seed)[0]
    update = direction * np.float32(length / max(np.linalg.norm(direction), 1e-9))
    zero = encoder.whole_numbers(np.zeros(dimension, np.float32), 1, seed, clip_norm=1.0)
    change = encoder.whole_numbers(update, 1, seed, clip_norm=1.0) - zero
    assert np.linalg.norm(change) <= noise.l2_sensitivity
    assert np.abs(change).sum() <= noise.l1_sensitivity * (1 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_wraps_around_with_room_and_much_does_without(kind):
    roomy, updates = noise_of(kind, z=1.0, dimension=2048), updates_of(20, 2048)
    encoder = PhoneEncoder(roomy, KEY, 3)
    sums = sum(encoder.whole_numbers(update, 1, phone, clip_norm=1.0) for phone, update in enumerate(updates))
    assert wrapped_around(sums, roomy.bits) == 0
    np.testing.assert_array_equal(from_ring(total_of(encoder, updates, 1.0), roomy.bits), sums)

    tight = noise_of(kind, z=1.0, dimension=2048, deviations=0.5)
    encoder = PhoneEncoder(tight, KEY, 3)
    sums = sum(encoder.whole_numbers(update, 1, phone, clip_norm=1.0) for phone, update in enumerate(updates))
    share = wrapped_around(sums, tight.bits) / 2048
    assert share == pytest.approx(0.617, abs=0.06)  # of a normal number, outside half a deviation


@pytest.mark.parametrize("block", [None, 64])
def test_in_the_worst_case_that_the_scale_is_for_hardly_anything_wraps_around(block):
    # All updates the same, as long as may be: the sum is as large as a sum can be.
    noise = noise_of(z=0.3, dimension=1024, bits=16, block=block)
    encoder, update = PhoneEncoder(noise, KEY, 3), np.zeros(1024, np.float32)
    update[5] = 1.0
    sums = sum(encoder.whole_numbers(update, 1, phone, clip_norm=1.0) for phone in range(20))
    assert wrapped_around(sums, noise.bits) == 0


def test_a_vector_is_its_round_phone_and_attempt_whoever_computes_it():
    noise, (one, other) = noise_of("discrete-gaussian"), updates_of(2, 100)
    encoder = PhoneEncoder(noise, KEY, 5)
    vector = encoder.vector(one, 3, 8, clip_norm=1.0)
    assert vector.dtype == np.uint32 and vector.shape == (128,) and int(vector.max()) < 2**noise.bits
    encoder.vector(other, 4, 9, clip_norm=1.0)  # another round in between
    np.testing.assert_array_equal(vector, encoder.vector(one, 3, 8, clip_norm=1.0))
    np.testing.assert_array_equal(vector, PhoneEncoder(noise, KEY, 5).vector(one, 3, 8, clip_norm=1.0))
    for changed in (
        encoder.vector(one, 3, 9, clip_norm=1.0),
        encoder.vector(one, 4, 8, clip_norm=1.0),
        encoder.vector(one, 3, 8, clip_norm=1.0, attempt=1),
    ):
        assert (changed != vector).mean() > 0.9


def test_a_weighted_update_counts_by_its_weight():
    noise, (update,) = noise_of(z=1e-4, bits=32, phones=1, threshold=1), updates_of(1, 100, scale=3.0)
    vector = PhoneEncoder(noise, KEY, 5).vector(update, 1, 0, clip_norm=1.0, weight=0.25)
    estimate = estimate_sum(noise, vector, 1, rotation_seed=5, clip_norm=1.0)
    assert np.linalg.norm(estimate) == pytest.approx(0.25, rel=0.01)


def test_what_cannot_be_summed_is_refused():
    encoder = PhoneEncoder(noise_of(), KEY, 5)
    for bad in (np.nan, np.inf):
        with pytest.raises(NonFiniteUpdateError, match="update: expected finite numbers"):
            encoder.vector(np.full(100, bad, np.float32), 1, 0, clip_norm=1.0)
    with pytest.raises(ValueError, match="update: expected shape"):
        encoder.vector(np.zeros(99, np.float32), 1, 0, clip_norm=1.0)
    with pytest.raises(ValueError, match="weight: expected a number in"):
        encoder.vector(np.zeros(100, np.float32), 1, 0, clip_norm=1.0, weight=1.5)
    with pytest.raises(ValueError, match="total: expected shape"):
        estimate_sum(noise_of(), np.zeros(100, np.uint32), 1, rotation_seed=5, clip_norm=1.0)


@pytest.mark.parametrize("clip_norm", [np.nan, np.inf, 0.0, -1.0])
def test_a_clip_norm_that_bounds_nothing_is_refused(clip_norm):
    noise = noise_of()
    with pytest.raises(ValueError, match="clip_norm: expected a number > 0"):
        PhoneEncoder(noise, KEY, 5).vector(np.zeros(100, np.float32), 1, 0, clip_norm=clip_norm)
    with pytest.raises(ValueError, match="clip_norm: expected a number > 0"):
        estimate_sum(noise, np.zeros(noise.padded, np.uint32), 1, rotation_seed=5, clip_norm=clip_norm)
    with pytest.raises(ValueError, match="clip_norm: expected a number > 0"):
        noise.noise_stddev(20, clip_norm)


@pytest.mark.parametrize("phone", [-1, 1.5, 2**32 - 1, 2**32])
def test_a_number_that_no_phone_has_is_refused(phone):
    with pytest.raises(ValueError, match="the number of a phone: expected a whole number from 0"):
        PhoneEncoder(noise_of(), KEY, 5).vector(np.zeros(100, np.float32), 1, phone, clip_norm=1.0)


@pytest.mark.parametrize("denominator", [0, -3, np.nan])
def test_a_denominator_that_is_none_is_refused(denominator):
    noise = noise_of()
    with pytest.raises(ValueError, match="denominator: expected a number > 0"):
        total = np.zeros(noise.padded, np.uint32)
        estimate_mean(noise, total, 1, rotation_seed=5, clip_norm=1.0, denominator=denominator)
