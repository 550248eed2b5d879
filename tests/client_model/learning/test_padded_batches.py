"""Batches of one shape hold what packed ones do, and the memory of phones decides how many are trained at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.workload import StepOnly, shape_of
from client_model.learning.padded_batches import Group, bytes_per_phone, padded, phones_that_fit, probe
from client_model.text.batches import PackedBatches, pack
from typefleet.errors import ConfigError

T, V = 5, 23


@given(st.lists(st.integers(1, T), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_token_stands_where_its_row_and_step_are(lengths, rows, more):
    lengths = np.array(lengths)
    inputs, targets = np.random.default_rng(0).integers(0, V, (2, lengths.sum()), np.int32)
    batch = np.arange(len(lengths)) // rows
    packed = pack(inputs, targets, lengths, order=np.arange(len(lengths)), batch=batch, sequence_length=T)
    found = padded(packed, rows + more, V)
    starts = np.cumsum(lengths) - lengths
    for number in range(batch[-1] + 1):
        members = np.flatnonzero(batch == number)
        members = members[np.argsort(-lengths[members], kind="stable")]
        grid = np.zeros((2, T, rows + more), np.int32)
        for row, sentence in enumerate(members):
            at = slice(starts[sentence], starts[sentence] + lengths[sentence])
            grid[:, : lengths[sentence], row] = inputs[at], targets[at]
        np.testing.assert_array_equal(found.inputs[number].reshape(T, -1), grid[0])
        np.testing.assert_array_equal(found.targets[number].reshape(T, -1), grid[1])
        words = np.concatenate([found.inputs[number], found.targets[number]])
        for word, place in enumerate(found.places[number]):
            assert words[place] == word if place < len(words) else word not in words


def test_what_has_no_room_is_refused():
    three_rows = PackedBatches(np.ones(3, np.int32), np.ones(3, np.int32), np.array([[3, 0]], np.int32))
    with pytest.raises(ConfigError, match="2 rows at most, found 3"):
        padded(three_rows, 2, V)
    for token in (-1, V):
        outside = three_rows._replace(targets=np.array([1, token, 1], np.int32))
        with pytest.raises(ConfigError, match="a number from 0 to 22"):
            padded(outside, 3, V)


@pytest.mark.parametrize("cell", ["cifg", "gru", "lstm", "stacked", "transformer"])
def test_fewer_phones_fit_the_more_each_takes(cell):
    shape = replace(shape_of(cell), units=672)
    sizes = [bytes_per_phone(shape, rows) for rows in (1, 8, 16, 64)]
    assert sizes == sorted(set(sizes)) and sizes[0] > 4 * shape.num_weights
    fit = [phones_that_fit(shape, rows, 1000) for rows in (1, 8, 16, 64)]
    assert fit == sorted(fit, reverse=True) and fit[-1] >= 1 and fit[0] <= 64
    assert phones_that_fit(shape, 1, 3) == 3
    assert bytes_per_phone(replace(shape, cell=StepOnly(shape.cell)), 8) > bytes_per_phone(shape, 8)


def test_a_phone_too_large_for_the_memory_is_trained_alone():
    assert phones_that_fit(replace(shape_of("cifg"), vocabulary_size=10_000_000), 16, 8) == 1


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_the_probe_fills_a_group(rows):
    shape = replace(shape_of("cifg"), sequence_length=T, vocabulary_size=V)
    found = padded(probe(shape, rows), rows, V)
    assert found.step_rows[0, 0] == rows and 1 <= found.step_rows[1, 0] <= rows and len(found.inputs) == 2
    assert Group(2, rows, "cpu") == Group(2, rows, "cpu")
