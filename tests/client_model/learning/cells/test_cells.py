"""Our own cells: their step, their passes over packed rows and their numpy reference compute the same."""

import numpy as np
import pytest
import tensorflow as tf

from client_model.config import ModelConfig
from client_model.learning.cells.base import CellSizes, HandWrittenPasses, NumpyReference
from client_model.learning.cells.check import check_cell
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.door import CELLS
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.packed import AutodiffPasses, passes_of
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import cell_weights, initial_weights, model_shape
from typefleet.errors import ConfigError

SIZES = CellSizes(6, 12)


OURS = [
    Cifg(),
    Gru(),
    Lstm(),
    Stacked(),
    Stacked(layers=3),
    Transformer(layers=2, heads=3, window=3),
    Transformer(layers=1),
]


@pytest.fixture(params=OURS, ids=repr)
def cell(request):
    return request.param


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
    state = {name: np.zeros(width, np.float32) for name, width in cell.state_sizes(SIZES).items()}
    rows = {name: tf.constant(part[None]) for name, part in state.items()}
    for _ in range(6):  # more than the smallest window
        x = rng.normal(size=6).astype(np.float32)
        output, state = cell.reference_step(weights, x, state)
        expected, rows = cell.step(tensors, tf.constant(x[None]), rows)
        np.testing.assert_allclose(output, expected[0], rtol=1e-4, atol=1e-5)
        for name, part in rows.items():
            np.testing.assert_allclose(state[name], part[0], rtol=1e-4, atol=1e-5)


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
        np.testing.assert_allclose(by_hand, automatic, rtol=1e-3, atol=1e-5)


def test_a_second_layer_that_projects_to_nothing_changes_nothing():
    one, two = Cifg(), Stacked()
    weights, x = drawn(two), tf.constant(np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32))
    first = {name: tf.constant(weights[f"layer1_{name}"]) for name in one.weights(SIZES)}
    weights["layer2_projection"] = np.zeros_like(weights["layer2_projection"])
    tensors = {name: tf.constant(weight) for name, weight in weights.items()}

    def zeros(cell):
        return {name: tf.zeros([2, width]) for name, width in cell.state_sizes(SIZES).items()}

    np.testing.assert_array_equal(two.step(tensors, x, zeros(two))[0], one.step(first, x, zeros(one))[0])


def test_a_gru_whose_projection_changes_nothing_is_that_of_keras():
    sizes, rng = CellSizes(5, 5), np.random.default_rng(7)
    weights = {name: rng.normal(0, 0.5, one.shape).astype(np.float32) for name, one in Gru().weights(sizes).items()}
    weights["projection"] = np.eye(5, dtype=np.float32)
    tensors = {name: tf.constant(weight) for name, weight in weights.items()}
    keras = tf.keras.layers.GRU(5, return_sequences=True, reset_after=True)
    x = tf.constant(rng.normal(size=(2, 4, 5)).astype(np.float32))
    keras.build(x.shape)
    kernels = (weights[name] for name in ("input_kernel", "recurrent_kernel"))
    keras.set_weights([*kernels, np.stack([weights["gate_bias"], np.zeros(15, np.float32)])])
    with tf.GradientTape() as tape:
        expected = keras(x)  # [2, 4, 5]
        loss = tf.reduce_sum(expected * expected)
    kernel, recurrent, bias = tape.gradient(loss, keras.trainable_weights)
    packed = tf.reshape(tf.transpose(x, [1, 0, 2]), [8, 5])  # step after step
    outputs, trace = Gru().forward(tensors, packed, tf.constant([2, 2, 2, 2]))
    _, gradients = Gru().backward(tensors, trace, 2 * outputs)
    np.testing.assert_allclose(tf.transpose(tf.reshape(outputs, [4, 2, 5]), [1, 0, 2]), expected, rtol=1e-4, atol=1e-6)
    pairs = (("input_kernel", kernel), ("recurrent_kernel", recurrent), ("gate_bias", bias[0]))
    for name, of_keras in pairs:
        np.testing.assert_allclose(gradients[name], of_keras, rtol=1e-3, atol=1e-5)


def test_a_transformer_forgets_what_left_its_window():
    cell = Transformer(layers=1, heads=2, window=3)
    weights, rng = drawn(cell), np.random.default_rng(6)
    tokens = rng.normal(size=(6, 6)).astype(np.float32)

    def last_output(first):
        state = {name: np.zeros(width, np.float32) for name, width in cell.state_sizes(SIZES).items()}
        for x in (first, *tokens[1:]):
            output, state = cell.reference_step(weights, x, state)
        return output

    np.testing.assert_array_equal(last_output(tokens[0]), last_output(-tokens[0]))


def test_the_units_of_a_transformer_are_shared_by_its_heads():
    with pytest.raises(ConfigError, match=r"--model\.units: expected a multiple of --model\.heads 5, found 12"):
        Transformer(heads=5).weights(SIZES)


@pytest.mark.parametrize(("name", "forget"), [("cifg", 0), ("gru", 0), ("lstm", 1)])
def test_the_forget_gate_starts_open(name, forget):
    shape = model_shape(ModelConfig(cell=name, vocabulary_size=30, embedding_size=6, units=11))
    named = cell_weights(dict(zip(shape.weight_shapes(), initial_weights(shape, 0), strict=True)))
    gates = named["gate_bias"].reshape(-1, 11)
    assert (gates[forget] == 1).all() and gates.sum() == 11
    kernel = named["input_kernel"]
    assert 0.9 * np.sqrt(6 / 17) < np.abs(kernel).max() <= np.sqrt(6 / 17)  # each gate is a map of its own
