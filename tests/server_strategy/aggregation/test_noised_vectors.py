"""What phones hand in that add the noise, and what the server reads of the sum."""

import numpy as np
import pytest

from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.noised_vectors import NoisedVectors, noised_ring
from server_strategy.aggregation.vector import TAIL, PhoneFigures, SumError, ring_for, tail_of
from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder
from server_strategy.privacy.distributed_noise.settle import settle
from server_strategy.privacy.noise_key import NoiseKey

KINDS = ("discrete-gaussian", "skellam")
FIGURES = PhoneFigures(norm=3.0, loss_sum=12.5, tokens=7, below=True)


def form_of(kind="skellam", z=1.0, bits=20, dimension=50, phones=6, rotation_seed=3, is_modelled=False):
    noise = settle(kind, z, bits=bits, dimension=dimension, phones=phones, threshold=phones)
    return NoisedVectors(noise, rotation_seed, is_modelled)


def vectors_of(form, updates, clip_norm, server_round=2):
    encoder = PhoneEncoder(form.noise, NoiseKey.seeded(1).of_phones(), form.rotation_seed)
    numbers = [encoder.whole_numbers(u, server_round, phone, clip_norm=clip_norm) for phone, u in enumerate(updates)]
    return [np.concatenate([one, tail_of(FIGURES)]) for one in numbers]


@pytest.mark.parametrize("bits", [12, 13, 16, 20, 32])
@pytest.mark.parametrize("clip_norm", [0.25, 40.0])
@pytest.mark.parametrize("phones", [1, 3, 24])
def test_the_sum_of_clipped_updates_comes_out_with_hardly_any_noise(bits, clip_norm, phones):
    form = form_of(z=1e-6, bits=bits, phones=phones)
    updates = np.random.default_rng(bits).normal(0, clip_norm / 4, (phones, 50)).astype(np.float32)  # some too long
    norms = np.linalg.norm(updates.astype(np.float64), axis=1)
    clipped = updates * np.minimum(1, clip_norm / norms)[:, None]
    total = np.sum(vectors_of(form, updates, clip_norm), axis=0)
    found = form.read(form.within(total), 50, 2, reports=phones, is_whole=False)
    # Rounding moves each number of each phone by less than a unit.
    unit = clip_norm / form.noise.clip_units
    off = found.update * clip_norm - clipped.astype(np.float64).sum(axis=0)
    assert np.abs(off).max() < (5 * unit + 1e-5 * clip_norm) * np.sqrt(phones) and found.wrapped is None
    assert (found.sums.tokens, found.sums.reports_below) == (7 * phones, phones)
    assert found.sums.loss_sum == 12.5 * phones and found.sums.norm_sum == 3.0 * phones


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bits", "clip_norm"), [(14, 2.0), (20, 0.1)])
def test_the_noise_of_the_sum_is_what_is_claimed(kind, bits, clip_norm):
    form = form_of(kind, 0.7, bits=bits, dimension=4000, phones=8)
    zeros = np.zeros((8, 4000), np.float32)
    total = np.sum(vectors_of(form, zeros, clip_norm), axis=0)
    read = form.read(total, 4000, 2, reports=8, is_whole=True)
    assert read.wrapped == 0
    assert (read.update * clip_norm).std() == pytest.approx(form.noise.noise_stddev(8, clip_norm), rel=0.06)
    assert form.noise.noise_stddev(8, clip_norm) == pytest.approx(0.7 * clip_norm, rel=1e-12)


def test_numbers_that_wrap_around_are_counted_where_the_whole_sum_is_known():
    form = form_of(bits=12, dimension=6)
    total = np.zeros(form.length, np.int64)
    total[:3] = 2**11, -(2**11) - 1, 2**11 - 1  # beyond, beyond, the largest that fits
    assert form.read(total, 6, 1, reports=2, is_whole=True).wrapped == 2
    within = form.read(form.within(total), 6, 1, reports=2, is_whole=False)
    assert within.wrapped is None
    np.testing.assert_array_equal(within.update, form.read(total, 6, 1, reports=2, is_whole=True).update)
    modelled = form_of(bits=12, dimension=6, is_modelled=True)
    assert modelled.read(total, 6, 1, reports=2, is_whole=True).wrapped is None
    for one, wrapped, is_whole, why in (
        (form, 2, True, None),
        (form, None, False, "known to nobody"),
        (modelled, None, True, "fewer phones than the noise is for"),
        (form, None, True, "there is no sum"),
    ):
        facts = one.facts(6, wrapped, is_whole)
        assert facts["wrapped_coordinates"] == wrapped
        assert ("wrapped_coordinates_why" in facts) == (why is not None)
        assert why is None or why in facts["wrapped_coordinates_why"]


def test_a_sum_with_a_mask_in_it_or_of_another_model_is_refused():
    form, rng = form_of(), np.random.default_rng(0)
    masked = rng.integers(-(2**47), 2**47, form.length)
    with pytest.raises(SumError, match="masks are left"):
        form.read(masked, 50, 1, reports=2, is_whole=False)
    for total, weights in ((np.zeros(9, np.int64), 50), (np.zeros(form.length, np.int64), 51)):
        with pytest.raises(SumError, match="a sum of vectors"):
            form.read(total, weights, 1, reports=2, is_whole=False)


@pytest.mark.parametrize("bits", [12, 13, 16, 17, 31, 32])
@pytest.mark.parametrize("phones", [1, 20, 200])
def test_figures_have_a_ring_of_their_own_beside_few_bits(bits, phones):
    ring, size = noised_ring(bits, phones), 11
    assert (ring.bits, ring.tail, ring.tail_bits) == (bits, TAIL, ring_for(phones).bits)
    rng = np.random.default_rng(bits)
    head = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (phones, size))
    vectors = np.concatenate([head, rng.integers(0, 2**40, (phones, TAIL))], axis=1)
    words = ring.zeros(size + TAIL)
    for vector in vectors:
        words += ring.encode(vector)
    found = ring.decode(ring.reduce(words))
    np.testing.assert_array_equal(found[size:], vectors[:, size:].sum(axis=0))
    np.testing.assert_array_equal(found[:size] % 2**bits, vectors[:, :size].sum(axis=0) % 2**bits)
    packed = ring.pack(ring.reduce(words))
    assert len(packed) == ring.packed_bytes(size + TAIL) == -(-size * bits // 8) + TAIL * ring.tail_bits // 8
    np.testing.assert_array_equal(ring.unpack(packed, size + TAIL), ring.reduce(words))
    assert ring.has_no_spare_bits(packed, size + TAIL)
    if spare := -size * bits % 8:
        broken = bytearray(packed)
        broken[(size * bits + 7) // 8 - 1] |= 0x80
        assert not ring.has_no_spare_bits(bytes(broken), size + TAIL) and spare


@pytest.mark.parametrize(("tail", "tail_bits"), [(4, 0), (0, 48), (-1, 48), (4, 11), (4, 65)])
def test_a_tail_wants_numbers_and_bits(tail, tail_bits):
    with pytest.raises(ValueError, match="expected"):
        Ring(16, tail, tail_bits)
