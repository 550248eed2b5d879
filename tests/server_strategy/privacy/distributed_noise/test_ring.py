import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_strategy.privacy.distributed_noise.ring import add_to, from_ring, to_ring, wrapped_around
from typefleet.errors import ConfigError

BITS = st.integers(12, 32)


@given(BITS, st.lists(st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_sum_is_right_wherever_it_is_inside_and_counted_where_it_is_not(bits, rows):
    vectors = np.array(rows, np.int64)
    total = np.zeros(3, np.uint32)
    for vector in vectors:
        add_to(total, to_ring(vector, bits), bits)
    half, true_sum = 2 ** (bits - 1), vectors.sum(axis=0)
    read = from_ring(total, bits)
    inside = (-half <= true_sum) & (true_sum < half)
    np.testing.assert_array_equal(read[inside], true_sum[inside])
    assert wrapped_around(true_sum, bits) == (~inside).sum()
    assert ((read - true_sum) % 2**bits == 0).all() and (read >= -half).all() and (read < half).all()


@given(BITS, st.data())
def test_what_is_inside_goes_there_and_back(bits, data):
    value = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    residues = to_ring(np.array([value]), bits)
    assert residues.dtype == np.uint32 and int(residues[0]) < 2**bits
    assert from_ring(residues, bits)[0] == value


@pytest.mark.parametrize("bits", [11, 33, 0, -4, 16.5, 16.0])
def test_a_ring_of_another_size_is_refused(bits):
    with pytest.raises(ConfigError, match="bits: expected a whole number from 12 to 32, found"):
        to_ring(np.zeros(1, np.int64), bits)
