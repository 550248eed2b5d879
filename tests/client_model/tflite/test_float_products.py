"""Products with int8 weights take floats, and nothing else changes."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from client_model.config import ModelConfig
from client_model.learning.language_model import initial_weights, model_shape
from client_model.tflite.export_tflite import convert
from client_model.tflite.flatbuffer_model import operator_kind, unpack_model
from client_model.tflite.float_products import with_float_products
from client_model.tflite.interpreter import FileSteps, open_interpreter

SHAPE = model_shape(ModelConfig(embedding_size=32, units=48, sequence_length=4), 400)


@pytest.fixture(scope="module")
def weights():
    return initial_weights(SHAPE, 0)


@pytest.fixture(scope="module")
def file(weights):
    return convert(SHAPE, weights, ["int8"])["int8"]


def test_no_product_has_int8_weights_and_each_table_is_turned_into_floats_once(file):
    model, kinds = unpack_model(file), schema.BuiltinOperator
    for graph in model.subgraphs:
        of_kind = {
            kind: [op for op in graph.operators if operator_kind(model, op) == kind] for kind in vars(kinds).values()
        }
        products = of_kind[kinds.FULLY_CONNECTED]
        assert products
        assert all(graph.tensors[op.inputs[1]].type == schema.TensorType.FLOAT32 for op in products)
        turned = [
            op.inputs[0]
            for op in of_kind[kinds.DEQUANTIZE]
            if model.buffers[graph.tensors[op.inputs[0]].buffer].data is not None
        ]
        assert len(turned) == len(set(turned))


def test_it_is_done_once(file):
    assert len(with_float_products(file)) == pytest.approx(len(file), abs=200)


def test_its_logits_are_those_of_rounded_weights(file, weights):
    table = weights[list(SHAPE.weight_shapes()).index("embedding")]  # [V, D]
    steps = np.abs(table).max(1) / 127  # of a row
    inputs = np.array([1, 20, 35, 50], np.int32)
    exact = FileSteps(open_interpreter(convert(SHAPE, weights, ["float32"])["float32"])).read(inputs)[0]
    rounded = FileSteps(open_interpreter(file)).read(inputs)[0]
    assert np.abs(rounded - exact).max() < 4 * steps.max() * np.abs(exact).max() / np.abs(table).max() + 0.05
