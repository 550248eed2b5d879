"""The sums of updates in C have the bits of those in numpy; without a compiler there is nothing to compare."""

from types import SimpleNamespace

import numpy as np
import pytest

from server_strategy import update_sum
from server_strategy.update_sum import INTERFACE, FixedPointSum, NonFiniteUpdateError, is_built, l2_norm

native = pytest.importorskip("server_strategy.fixed_point")
SIZES = [0, 1, 7, 1023, 1024, 1025, 32 * 1024, 33 * 1024 + 5, 100_000]


def updates_of(size, scale=1e-3):
    return (np.random.default_rng(size).normal(size=size) * scale).astype(np.float32)


def by_numpy(monkeypatch, work):
    with monkeypatch.context() as patch:
        patch.setattr(update_sum, "_native", None)
        return work()


def test_the_module_that_is_built_is_of_this_code():
    assert is_built(), "it was built from an earlier state: python setup.py build_ext --inplace"


@pytest.mark.parametrize("found", [None, INTERFACE - 1, INTERFACE + 1])
def test_a_module_with_another_interface_or_none_is_not_called(monkeypatch, found):
    def fails(*arguments):
        raise AssertionError("called")

    of_earlier = {"add_squares": fails, "add_scaled": fails} | ({} if found is None else {"INTERFACE": found})
    update, total, by_c = updates_of(1500), FixedPointSum(1500, 1.0), FixedPointSum(1500, 1.0)
    norm = by_c.add(update)
    monkeypatch.setattr(update_sum, "_native", SimpleNamespace(**of_earlier))
    assert not is_built() and total.add(update) == norm
    np.testing.assert_array_equal(total.values, by_c.values)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
@pytest.mark.parametrize("size", SIZES)
def test_norms_are_the_same_to_the_last_bit(monkeypatch, size, scale):
    update = updates_of(size, scale)
    found = l2_norm(update)
    assert found == by_numpy(monkeypatch, lambda: l2_norm(update))
    assert found == pytest.approx(np.linalg.norm(update.astype(np.float64)), rel=1e-12)


@pytest.mark.parametrize("layers", [None, 2, 5])
@pytest.mark.parametrize("size", SIZES[1:])
def test_sums_are_the_same_to_the_last_bit(monkeypatch, size, layers):
    sizes = None if layers is None or size <= 2 * layers else [size - 2 * (layers - 1)] + [2] * (layers - 1)
    updates = [updates_of(size, scale) for scale in (1e-4, 1.0, 1e20, 1e-25)]

    def summed():
        total = FixedPointSum(size, 0.7, sizes)
        norms = [total.add(update, weight) for update, weight in zip(updates, (1.0, 0.3, 1e-9, 1.0), strict=True)]
        return norms, total.values

    norms, values = summed()
    norms_by_numpy, values_by_numpy = by_numpy(monkeypatch, summed)
    assert norms == norms_by_numpy
    np.testing.assert_array_equal(values, values_by_numpy)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 1024, -1])
def test_what_is_not_finite_is_refused_and_leaves_no_trace(value, at):
    update = updates_of(1500)
    update[at] = value
    total = FixedPointSum(1500, 1.0)
    with pytest.raises(NonFiniteUpdateError):
        total.add(update)
    assert not total.values.any() and total.count == 0


def test_vectors_that_do_not_lie_as_c_reads_them_are_added_all_the_same():
    update = updates_of(3000)
    total = FixedPointSum(1500, 1.0)
    total.add(update[::2])
    expected = FixedPointSum(1500, 1.0)
    expected.add(update[::2].copy())
    np.testing.assert_array_equal(total.values, expected.values)


BAD = {
    "another type": (np.zeros(4), np.zeros(4, np.int64), "update: expected a vector of 'f'"),
    "two dimensions": (np.zeros((2, 2), np.float32), np.zeros(4, np.int64), "found 2 dimensions"),
    "a total of floats": (np.zeros(4, np.float32), np.zeros(4), "total: expected a vector of 'lq'"),
    "another length": (np.zeros(3, np.float32), np.zeros(4, np.int64), "expected 4 coordinates, found 3"),
    "gaps": (np.zeros(8, np.float32)[::2], np.zeros(4, np.int64), "contiguous"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_vectors_are_refused_before_anything_is_read(name):
    update, total, said = BAD[name]
    with pytest.raises(ValueError, match=said):
        native.add_scaled(total, update, 1.0, 0.0)


def test_what_cannot_be_changed_is_not():
    total = np.zeros(4, np.int64)
    total.flags.writeable = False
    with pytest.raises(ValueError, match=r"not writable|read-only"):
        native.add_scaled(total, np.ones(4, np.float32), 1.0, 0.0)
    with pytest.raises(ValueError, match="expected at least one"):
        native.add_squares(np.zeros(0), np.ones(4, np.float32))
