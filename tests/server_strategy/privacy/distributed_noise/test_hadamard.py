import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.distributed_noise.hadamard import (
    padded_size,
    rotate,
    rotate_back,
    rotation_signs,
    walsh_hadamard,
)


def whole(size, seed=0):
    return np.random.default_rng(seed).integers(-1000, 1000, size)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 32, 256, 1024])
def test_it_is_the_matrix_of_sylvester(size):
    np.testing.assert_array_equal(walsh_hadamard(whole(size)), scipy.linalg.hadamard(size) @ whole(size))


@pytest.mark.parametrize("size", [1, 2, 128, 4096, 2**15])
def test_twice_it_is_the_number_of_coordinates_exactly(size):
    vector = whole(size, seed=1)
    np.testing.assert_array_equal(walsh_hadamard(walsh_hadamard(vector)), size * vector)


def test_what_is_transformed_is_left_as_it_is():
    vector = whole(64).astype(np.float64)
    walsh_hadamard(vector)
    np.testing.assert_array_equal(vector, whole(64))


@given(st.integers(1, 200), st.sampled_from([1, 2, 16, 64, None]), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_rotation_keeps_the_norm_and_is_taken_back(size, block, seed):
    block = padded_size(size) if block is None else block
    vector = np.random.default_rng(seed).normal(size=size)
    signs = rotation_signs(seed, 3, -(-size // block) * block)
    turned = rotate(vector, signs, block)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(vector), rel=1e-12)
    back = rotate_back(turned, signs, block)
    np.testing.assert_allclose(back[:size], vector, rtol=0, atol=1e-12)
    np.testing.assert_allclose(back[size:], 0, rtol=0, atol=1e-12)


def test_a_single_large_coordinate_is_spread_evenly_over_its_block():
    vector, signs = np.zeros(1024), rotation_signs(0, 1, 1024)
    vector[77] = 5.0
    np.testing.assert_allclose(np.abs(rotate(vector, signs, 1024)), 5 / 32, rtol=1e-12)
    turned = np.abs(rotate(vector, signs, 64))
    np.testing.assert_allclose(turned[64:128], 5 / 8, rtol=1e-12)
    assert not turned[:64].any() and not turned[128:].any()


def test_a_vector_of_one_sign_is_spread_by_the_signs():
    # Without them all of it would be in the first coordinate.
    turned = rotate(np.ones(4096), rotation_signs(0, 1, 4096), 4096)
    assert np.abs(turned).max() < 6  # of a norm of 64; each is nearly normal with deviation 1


def test_signs_are_those_of_the_round_and_fair():
    signs = rotation_signs(7, 1, 2**16)
    assert set(signs) == {-1.0, 1.0} and abs(signs.mean()) < 0.02  # 5 standard errors
    np.testing.assert_array_equal(signs, rotation_signs(7, 1, 2**16))
    for other in (rotation_signs(7, 2, 2**16), rotation_signs(8, 1, 2**16)):
        assert abs((signs * other).mean()) < 0.02


@pytest.mark.parametrize(("dimension", "size"), [(1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_the_padded_size_is_the_next_power_of_two(dimension, size):
    assert padded_size(dimension) == size
