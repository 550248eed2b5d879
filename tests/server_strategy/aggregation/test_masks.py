"""Masks are the key stream of AES, in every ring, and sums of the ring are exact or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from server_strategy.aggregation.masks import Ring, RingOverflowError, add_mask, stream
from tests.server_strategy.aggregation.known import block

KEY = bytes(range(32))
RINGS = [Ring(bits) for bits in (12, 13, 16, 17, 20, 24, 32, 33, 40, 47, 63, 64)]


def test_the_stream_is_aes_256_of_a_counter():
    # Key of zeros: the hash key and the first two counters' blocks of GCM's test cases 13 and 14 (McGrew and Viega).
    assert stream(bytes(32), 48).hex() == (
        "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738bcea7403d4d606b6e074ec5d3baf39d18"
    )
    assert stream(KEY, 64) == b"".join(block(KEY, i.to_bytes(16, "big")) for i in range(4))


@pytest.mark.parametrize("ring", RINGS, ids=str)
@pytest.mark.parametrize("size", [1, 7, 40_003])
def test_a_mask_is_the_stream_added_to_the_words_and_comes_off(ring, size):
    words = ring.zeros(size)
    add_mask(words, KEY)
    assert words.tobytes() == stream(KEY, words.nbytes)  # over several passes too
    before = ring.reduce(np.arange(size).astype(ring.dtype))
    masked = before.copy()
    add_mask(masked, KEY)
    assert size == 1 or (masked != before).any()
    add_mask(masked, KEY, subtract=True)
    assert (ring.reduce(masked) == before).all()


def test_a_mask_is_uniform_in_its_ring_and_hides_what_it_is_added_to():
    ring = Ring(12)
    words = ring.encode(np.full(1 << 16, 1234))
    add_mask(words, KEY)
    counts = np.bincount(ring.reduce(words), minlength=1 << 12)
    assert len(counts) == 1 << 12 and chisquare(counts).pvalue > 1e-3


@settings(max_examples=40)
@given(st.data())
def test_vectors_come_through_the_ring_and_its_wire(data):
    ring = Ring(data.draw(st.integers(12, 64)))
    numbers = st.integers(-ring.largest - 1, ring.largest)
    values = np.array(data.draw(st.lists(numbers, min_size=1, max_size=20)), np.int64)
    words = ring.encode(values)
    packed = ring.pack(words)
    assert len(packed) == ring.packed_bytes(len(values)) == -(-len(values) * ring.bits // 8)
    assert int.from_bytes(packed, "little") == sum(int(w) << (i * ring.bits) for i, w in enumerate(words))
    assert (ring.decode(ring.unpack(packed, len(values))) == values).all()


@settings(max_examples=40)
@given(st.data())
def test_the_sum_of_a_ring_is_the_sum(data):
    ring = Ring(data.draw(st.integers(12, 64)))
    phones = data.draw(st.integers(1, 9))
    largest = ring.largest // phones
    ring.refuse_overflow(phones, largest)
    rows = data.draw(st.lists(st.integers(-largest, largest), min_size=phones, max_size=phones))
    total = ring.zeros(1)
    for row in rows:
        total += ring.encode(np.array([row]))
    assert ring.decode(ring.reduce(total)).tolist() == [sum(rows)]
    with pytest.raises(RingOverflowError):
        ring.refuse_overflow(phones, largest + 1)


@pytest.mark.parametrize("ring", RINGS[:-1], ids=str)
def test_a_number_too_large_for_the_ring_is_refused(ring):
    for number in (ring.largest + 1, -ring.largest - 2):
        with pytest.raises(RingOverflowError, match=f"in {ring.bits} bits"):
            ring.encode(np.array([0, number]))
    ring.encode(np.array([ring.largest, -ring.largest - 1]))


def test_the_whole_fixed_point_sum_fits_and_no_more():
    Ring(64).refuse_overflow(2**22, 2**40)  # the most phones of the largest numbers of server_strategy.update_sum
    with pytest.raises(RingOverflowError, match=r"at most 9223372036854775807, in 64 bits"):
        Ring(64).refuse_overflow(2**23, 2**40)


@pytest.mark.parametrize("bits", [0, 11, 65, 12.5, 16.0, True, float("nan")])
def test_a_ring_has_12_to_64_bits(bits):
    with pytest.raises(ValueError, match="bits: expected a whole number from 12 to 64"):
        Ring(bits)


@pytest.mark.parametrize("values", [np.array([1.7]), np.array([True]), np.array(["1"]), np.array([1], object)])
def test_a_vector_of_other_than_whole_numbers_is_refused(values):
    with pytest.raises(ValueError, match="a vector: expected whole numbers, found numbers of"):
        Ring(16).encode(values)
