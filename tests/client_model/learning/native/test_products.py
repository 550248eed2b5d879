"""Products in C: right, the same bits in every variant, and a number's bits its own affair."""

import numpy as np
import pytest

from tests.client_model.learning.native.built import each_variant, kernel, normal, same_bits

# Around tiles of 4 and 8 rows, panels of 8, 24 and 48 columns, and sums of 384 terms.
ROWS, COLUMNS, TERMS = (0, 1, 3, 4, 8, 9, 17), (1, 7, 8, 16, 24, 47, 48, 49, 97), (0, 1, 5, 383, 384, 385)
SHAPES = [
    *((m, 5, n) for m in ROWS for n in COLUMNS),
    *((9, k, n) for k in TERMS for n in (1, 48, 50)),
    (300, 20, 30),  # more rows than are multiplied together
    (2, 800, 3),
]


def multiplied(variant, a, b, *, start=None, bias=None, transposed=False):
    c = (
        np.full((len(a), b.shape[0] if transposed else b.shape[1]), np.nan, np.float32)
        if start is None
        else start.copy()
    )
    kernel.product(variant, c, a, b, bias, transposed, start is not None)
    return c


@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_product_is_that_of_float64_in_all_its_forms(m, k, n):
    a, b, start, bias = normal(0, m, k), normal(1, k, n), normal(2, m, n), normal(3, n)
    exactly = a.astype(np.float64) @ b.astype(np.float64)
    tolerance = 1e-6 * (1 + np.sqrt(k))
    b_t, a_t = np.ascontiguousarray(b.T), np.ascontiguousarray(a.T)

    def all_forms(variant):
        from_start, of_transposed = start.copy(), np.full((m, n), np.nan, np.float32)
        kernel.product_transposed(variant, from_start, a_t, b, True)
        kernel.product_transposed(variant, of_transposed, a_t, b, False)
        return [
            multiplied(variant, a, b),
            multiplied(variant, a, b_t, transposed=True),
            multiplied(variant, a, b, bias=bias),
            multiplied(variant, a, b, start=start, bias=bias),
            from_start,
            of_transposed,
        ]

    found = same_bits(all_forms)
    for c, expected in zip(
        found, [exactly, exactly, exactly + bias, exactly + start + bias, exactly + start, exactly], strict=True
    ):
        np.testing.assert_allclose(c, expected, rtol=1e-5, atol=tolerance)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[5])


@each_variant
def test_a_number_does_not_depend_on_rows_and_columns_beside_it(variant):
    a, b = normal(0, 21, 400), normal(1, 400, 61)
    whole = multiplied(variant, a, b)
    for first, last in ((0, 1), (3, 12), (20, 21)):
        assert np.array_equal(multiplied(variant, a[first:last], b), whole[first:last])
    for first, last in ((0, 1), (5, 30), (60, 61)):
        assert np.array_equal(multiplied(variant, a, np.ascontiguousarray(b[:, first:last])), whole[:, first:last])


@each_variant
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_none_and_in_its_row(variant, bad):
    a, b = normal(0, 9, 10), normal(1, 10, 50)
    clean = multiplied(variant, a, b)
    a[4, 3] = bad
    found = multiplied(variant, a, b)
    assert not np.isfinite(found[4]).any()
    assert np.array_equal(np.delete(found, 4, 0), np.delete(clean, 4, 0))


@pytest.mark.parametrize(
    "change",
    [
        {"a": np.zeros((3, 4))},
        {"a": memoryview(bytearray(4 * 12 + 1))[1:].cast("f", [3, 4])},  # not where a float may lie
        {"a": np.zeros((4, 3), np.float32).T},
        {"a": np.zeros(12, np.float32)},
        {"b": np.zeros((5, 2), np.float32)},
        {"c": np.zeros((3, 3), np.float32)},
        {"c": np.zeros((2, 2), np.float32)},
        {"bias": np.zeros(3, np.float32)},
        {"variant": "sse"},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change):
    given = {
        "variant": "portable",
        "c": np.zeros((3, 2), np.float32),
        "a": np.zeros((3, 4), np.float32),
        "b": np.zeros((4, 2), np.float32),
        "bias": None,
        **change,
    }
    with pytest.raises(ValueError):
        kernel.product(*given.values(), False, False)


def test_a_result_that_must_not_be_written_to_is_refused():
    c = np.zeros((3, 2), np.float32)
    c.flags.writeable = False
    with pytest.raises(ValueError):
        kernel.product("portable", c, np.zeros((3, 4), np.float32), np.zeros((4, 2), np.float32), None, False, False)
