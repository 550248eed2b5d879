"""exp, sigmoid and tanh in C."""

import numpy as np
import pytest

from tests.client_model.learning.native.built import each_variant, kernel, same_bits

POINTS = np.concatenate(
    [np.linspace(-95, 95, 4001), np.linspace(-1, 1, 2003), [0.0, 1e-30, -1e-30, 1e-6, 80, -80, 1e30, -1e30]]
).astype(np.float32)
EXACTLY = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def computed(variant, function, x):
    y = np.full_like(x, np.nan)
    kernel.elementary(variant, function, y, x)
    return y


@pytest.mark.parametrize("function", EXACTLY)
def test_is_exact_to_the_last_digits_wherever_a_float_holds_it(function):
    [found] = same_bits(lambda variant: [computed(variant, function, POINTS)])
    with np.errstate(over="ignore"):
        exactly = EXACTLY[function](POINTS.astype(np.float64))
    held = (np.abs(exactly) > 1.2e-38) & (exactly < 8e37)
    np.testing.assert_allclose(found[held], exactly[held], rtol=2e-7)
    assert np.all(found[exactly <= 1.2e-38] <= np.maximum(exactly, 1.3e-38)[exactly <= 1.2e-38])


@each_variant
@pytest.mark.parametrize("function", EXACTLY)
def test_what_is_no_number_stays_none_and_infinity_is_the_limit(variant, function):
    found = computed(variant, function, np.array([np.nan, -np.inf, np.inf], np.float32))
    low, high = {"exp": (0, 8e37), "sigmoid": (0, 1), "tanh": (-1, 1)}[function]
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1], low, atol=1e-37)
    assert found[2] >= high


@each_variant
@pytest.mark.parametrize("size", [0, 1, 3, 4, 15, 16, 17, 31])
def test_each_number_is_its_own_affair(variant, size):
    found = computed(variant, "tanh", POINTS[:size])
    assert np.array_equal(found, computed(variant, "tanh", POINTS)[:size])


def test_other_functions_and_sizes_are_refused():
    for function, size in (("expm1", 3), ("", 3), ("exp", 2)):
        with pytest.raises(ValueError):
            kernel.elementary("portable", function, np.zeros(3, np.float32), np.zeros(size, np.float32))
