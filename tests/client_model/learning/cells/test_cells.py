"""Our own cells: their step, their passes over packed rows and their numpy reference compute the same."""

import numpy as np
import pytest
import tensorflow as tf

from client_model.config import ModelConfig
from client_model.learning.cells.base import CellSizes, HandWrittenPasses, NumpyReference
from client_model.learning.cells.check import check_cell
from client_model.learning.cells.door import CELLS
from client_model.learning.cells.packed import AutodiffPasses, passes_of
from client_model.learning.language_model import cell_weights, initial_weights, model_shape

SIZES = CellSizes(6, 11)


@pytest.fixture(params=["cifg", "lstm"])
def cell(request):
    return ModelConfig(cell=request.param).make_cell()


def drawn(cell):
    rng = np.random.default_rng(3)
    return {
        name: (weight.initial(rng) + rng.normal(0, 0.3, weight.shape)).astype(np.float32)
        for name, weight in cell.weights(SIZES).items()
    }


def test_all_of_ours_are_what_is_asked_of_a_cell():
    for name in CELLS.built_in:
        cell = CELLS.kind(name).make(CELLS.kind(name).settings())
        assert cell.name == name
        check_cell(cell, SIZES)


def test_the_reference_computes_what_the_step_does(cell):
    assert isinstance(cell, NumpyReference)
    weights, rng = drawn(cell), np.random.default_rng(0)
    tensors = {name: tf.constant(weight) for name, weight in weights.items()}
    state = {name: rng.normal(size=width).astype(np.float32) for name, width in cell.state_sizes(SIZES).items()}
    rows = {name: tf.constant(part[None]) for name, part in state.items()}
    for _ in range(3):
        x = rng.normal(size=6).astype(np.float32)
        output, state = cell.reference_step(weights, x, state)
        expected, rows = cell.step(tensors, tf.constant(x[None]), rows)
        np.testing.assert_allclose(output, expected[0], rtol=1e-5, atol=1e-6)
        for name, part in rows.items():
            np.testing.assert_allclose(state[name], part[0], rtol=1e-5, atol=1e-6)


def test_passes_by_hand_are_those_of_the_step(cell):
    assert isinstance(cell, HandWrittenPasses) and passes_of(cell, SIZES) is cell
    weights = {name: tf.constant(weight) for name, weight in drawn(cell).items()}
    rng, counts = np.random.default_rng(1), tf.constant([4, 3, 1, 1, 0], tf.int32)
    x, d_outputs = (tf.constant(rng.normal(size=(9, 6)).astype(np.float32)) for _ in range(2))
    found = []
    for passes in (cell, AutodiffPasses(cell, SIZES)):
        outputs, trace = passes.forward(weights, x, counts)
        d_x, gradients = passes.backward(weights, trace, d_outputs)
        found.append([outputs, d_x, *(gradients[name] for name in weights)])
    for by_hand, automatic in zip(*found, strict=True):
        np.testing.assert_allclose(by_hand, automatic, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "forget"), [("cifg", 0), ("lstm", 1)])
def test_the_forget_gate_starts_open(name, forget):
    shape = model_shape(ModelConfig(cell=name, vocabulary_size=30, embedding_size=6, units=11))
    named = cell_weights(dict(zip(shape.weight_shapes(), initial_weights(shape, 0), strict=True)))
    gates = named["gate_bias"].reshape(-1, 11)
    assert (gates[forget] == 1).all() and gates.sum() == 11
    kernel = named["input_kernel"]
    assert 0.9 * np.sqrt(6 / 17) < np.abs(kernel).max() <= np.sqrt(6 / 17)  # each gate is a map of its own
