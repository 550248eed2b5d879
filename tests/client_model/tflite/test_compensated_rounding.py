"""Rounding whose errors cancel on what comes in."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from client_model.config import ModelConfig
from client_model.learning.cells.door import CELLS
from client_model.learning.language_model import initial_weights, model_shape
from client_model.tflite.compensated_rounding import Product, compensated, with_compensated_rounding
from client_model.tflite.export_tflite import convert
from client_model.tflite.flatbuffer_model import unpack_model
from client_model.tflite.interpreter import FileSteps, open_interpreter

SHAPE = model_shape(ModelConfig(embedding_size=32, units=48, sequence_length=4), 1200)


def a_product(seed, outputs=40, inputs=24):
    """(weights, their steps, inputs that rise and fall together)."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(outputs, inputs)).astype(np.float32)
    seen = rng.normal(size=(500, 4)) @ rng.normal(size=(4, inputs)) + 0.1 * rng.normal(size=(500, inputs))
    return rows, np.abs(rows).max(1, keepdims=True) / 127, seen


@pytest.mark.parametrize("seed", range(5))
def test_products_lose_less_than_with_the_nearest_steps(seed):
    rows, step, seen = a_product(seed)
    lost = seen @ (compensated(rows, step, seen.T @ seen) * step - rows).T
    nearest = seen @ (np.rint(rows / step) * step - rows).T
    assert np.square(lost).mean() < 0.4 * np.square(nearest).mean()


def test_inputs_that_have_nothing_in_common_leave_the_nearest_steps():
    rows, step, _ = a_product(0)
    np.testing.assert_array_equal(compensated(rows, step, np.eye(24)), np.rint(rows / step))


def test_no_number_leaves_its_range_and_an_empty_row_stays_empty():
    rows, step, seen = a_product(1)
    rows[3], step[3] = 0.0, 0.0
    found = compensated(rows, step, seen.T @ seen)
    assert np.abs(found.astype(int)).max() <= 127 and not found[3].any()


@pytest.mark.parametrize("together", [1, 3])
def test_moments_have_the_bits_of_one_sum_after_another(together):
    product, rng = Product(np.zeros((2, 70), np.float32)), np.random.default_rng(together)
    moments = np.zeros((70, 70))
    for _ in range(40):
        inputs = (rng.normal(size=(together, 70)) * 10.0 ** rng.integers(-6, 6, 70)).astype(np.float32)
        inputs[0, rng.integers(70)] = 0.0
        product.read(inputs)
        exact = inputs.astype(np.float64)
        moments += exact.T @ exact
    np.testing.assert_array_equal(product.moments, moments)


@pytest.fixture(scope="module")
def weights():
    return initial_weights(SHAPE, 0)


def test_small_matrices_are_kept_in_16_bits_and_the_others_in_8(weights):
    model = unpack_model(convert(SHAPE, weights, ["int8"])["int8"])
    types = {
        tuple(tensor.shape): tensor.type
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type in (schema.TensorType.INT8, schema.TensorType.FLOAT16)
    }
    small, large = (32, 48), (1200, 32)  # projection, of a thirtieth of the weights; table
    assert types[small] == schema.TensorType.FLOAT16 and types[large] == schema.TensorType.INT8


def test_the_file_says_what_the_weights_do(weights):
    inputs = np.array([1, 20, 35, 50], np.int32)
    files = convert(SHAPE, weights, ["float32", "int8"])
    exact, rounded = (FileSteps(open_interpreter(files[kind])).read(inputs)[0] for kind in ("float32", "int8"))
    assert 0 < np.abs(rounded - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("cell", ["gru", "lstm", "stacked", "transformer"])
def test_every_built_in_cell_has_a_file_near_its_weights(cell):
    settings = CELLS.kind(cell).settings()
    shape = model_shape(
        ModelConfig(cell=cell, cell_settings=settings, embedding_size=32, units=48, sequence_length=4), 400
    )
    inputs = np.array([1, 20, 35], np.int32)
    files = convert(shape, initial_weights(shape, 0), ["float32", "int8"])
    exact, rounded = (FileSteps(open_interpreter(files[kind])).read(inputs)[0] for kind in ("float32", "int8"))
    assert np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()


def test_the_same_weights_give_the_same_file(weights):
    assert convert(SHAPE, weights, ["int8"]) == convert(SHAPE, weights, ["int8"])


class WithoutReference:
    """A cell with a `step` alone."""

    name = "stepping"


def test_a_cell_without_a_reference_is_left_as_it_is(weights):
    shape = type("Shape", (), {"cell": WithoutReference()})()
    assert with_compensated_rounding(b"a file", shape, weights) == b"a file"
