"""Let products with int8 weights take their inputs as they are.

A product of floats with int8 weights is computed by quantising its input too, anew at each call ("dynamic range").
That costs nothing in the file and much in what is suggested: with a model of real language the three words differ at
one position in ten. Here the weights are turned into floats when the file is loaded, once, and the input stays what
it is: the file is as small as before, and its only error is that of rounding the weights.
"""

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from client_model.tflite.flatbuffer_model import add_operator_code, operator_kind, pack_model, unpack_model

_DEQUANTIZE_VERSION = 5  # the first that takes a scale for each row
_STORED = (schema.TensorType.INT8, schema.TensorType.FLOAT16)  # how weights may be


def with_float_products(file: bytes) -> bytes:
    """The same model, whose products with weights of 8 or 16 bits take floats, and do not quantise their inputs."""
    model = unpack_model(file)
    dequantize = add_operator_code(model, schema.BuiltinOperator.DEQUANTIZE, _DEQUANTIZE_VERSION)
    for graph in model.subgraphs:
        _dequantise_weights(model, graph, dequantize)
    return pack_model(model)


def _dequantise_weights(model: schema.ModelT, graph: schema.SubGraphT, opcode: int) -> None:
    """One DEQUANTIZE for each table of weights, before the first product with it."""
    floats: dict[int, int] = {}  # int8 tensor -> float tensor
    operators: list[Any] = []
    for op in graph.operators:
        if operator_kind(model, op) == schema.BuiltinOperator.FULLY_CONNECTED:
            weights = int(op.inputs[1])
            if graph.tensors[weights].type in _STORED:
                if weights not in floats:
                    floats[weights] = _float_tensor(graph, weights)
                    operators.append(_dequantize(opcode, weights, floats[weights]))
                op.inputs = np.array([op.inputs[0], floats[weights], *op.inputs[2:]], np.int32)
        operators.append(op)
    graph.operators = operators


def _float_tensor(graph: schema.SubGraphT, weights: int) -> int:
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = graph.tensors[weights].shape, schema.TensorType.FLOAT32, 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _dequantize(opcode: int, weights: int, floats: int) -> schema.OperatorT:
    op = schema.OperatorT()
    op.opcodeIndex = opcode
    op.inputs, op.outputs = np.array([weights], np.int32), np.array([floats], np.int32)
    op.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    op.builtinOptions = schema.DequantizeOptionsT()
    return op
