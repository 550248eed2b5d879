"""Store the tied table of an int8 TFLite model once.

The embedding is read twice: rows are looked up for the input (GATHER) and it is the matrix of the output
product (FULLY_CONNECTED). The converter quantises each use as its operator likes it - one scale for the
whole table, one for each row - and so stores the table twice, which is 38 % of the file. EMBEDDING_LOOKUP
reads rows with a scale each and gives floats, so the lookups are rewired to the table of the product.

The names of inner tensors, which nothing reads, are dropped too. Nothing else changes: same inputs and
outputs, builtin operators only.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from client_model.tflite.flatbuffer_model import add_operator_code, operator_kind, pack_model, unpack_model
from typefleet.errors import MachineError, expected

_EMBEDDING_LOOKUP_VERSION = 4  # the first that takes a scale for each row


class TiedTableError(MachineError):
    """The model is not put together as expected."""


def tie_table(file: bytes) -> bytes:
    """The same model with one table; tables too small to be quantised stay as they are.

    Raises:
        TiedTableError: a lookup has no table of the same shape to share, or its result is used unexpectedly.
    """
    model = unpack_model(file)
    lookup = add_operator_code(model, schema.BuiltinOperator.EMBEDDING_LOOKUP, _EMBEDDING_LOOKUP_VERSION)
    for graph in model.subgraphs:
        _rewire(model, graph, lookup)
    _drop_unused(model)
    return pack_model(model)


def is_int8(graph: schema.SubGraphT, tensor: int) -> bool:
    """Whether a tensor, by its number, is of 8-bit integers."""
    return bool(graph.tensors[tensor].type == schema.TensorType.INT8)


def _hold_the_same(model: schema.ModelT, one: schema.TensorT, other: schema.TensorT) -> bool:
    """Whether two tables are one, as far as their scales can tell; a cell may have a weight of the same shape."""
    if tuple(one.shape) != tuple(other.shape):
        return False
    (values, step), (others, other_step) = (dequantised(model, table) for table in (one, other))
    return bool((np.abs(values - others) <= 0.51 * (step + other_step)).all())  # each is rounded to half a step


def dequantised(model: schema.ModelT, table: schema.TensorT) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(values [rows, columns], what one step is: [rows or 1, 1]) of an int8 tensor without zero points."""
    step = np.asarray(table.quantization.scale, np.float32)[:, None]
    return model.buffers[table.buffer].data.view(np.int8).reshape(tuple(table.shape)) * step, step


def _rewire(model: schema.ModelT, graph: schema.SubGraphT, lookup: int) -> None:
    """Turn each GATHER of a quantised table, and the DEQUANTIZE after it, into one EMBEDDING_LOOKUP."""
    kinds = schema.BuiltinOperator
    tables = [
        op.inputs[1]
        for op in graph.operators
        if operator_kind(model, op) == kinds.FULLY_CONNECTED and is_int8(graph, op.inputs[1])
    ]
    for op in list(graph.operators):
        if operator_kind(model, op) != kinds.GATHER or not is_int8(graph, op.inputs[0]):
            continue
        shape, ids = tuple(graph.tensors[op.inputs[0]].shape), op.inputs[1]
        same = [table for table in tables if _hold_the_same(model, graph.tensors[table], graph.tensors[op.inputs[0]])]
        floats = [
            other
            for other in graph.operators
            if operator_kind(model, other) == kinds.DEQUANTIZE and other.inputs[0] == op.outputs[0]
        ]
        if not same or len(graph.tensors[ids].shape) != 1 or len(floats) != 1:
            raise TiedTableError(expected("tied table", "a lookup of rows in a table that a product uses too", shape))
        op.opcodeIndex, op.builtinOptionsType, op.builtinOptions = lookup, 0, None
        op.inputs, op.outputs = np.array([ids, same[0]], np.int32), floats[0].outputs
        graph.operators.remove(floats[0])


def _drop_unused(model: schema.ModelT) -> None:
    """Empty the tensors and buffers that nothing refers to any more; their numbers stay."""
    used = {entry.buffer for entry in model.metadata or []}
    for graph in model.subgraphs:
        named = {*map(int, graph.inputs), *map(int, graph.outputs)}
        live = set(named)
        for op in graph.operators:
            for side in (op.inputs, op.outputs):
                live.update(map(int, side if side is not None else ()))
        for number, tensor in enumerate(graph.tensors):
            if number not in named:
                tensor.name = None
            if number in live:
                used.add(tensor.buffer)
            else:
                tensor.buffer, tensor.shape, tensor.quantization = 0, np.zeros(0, np.int32), None
                tensor.type = schema.TensorType.FLOAT32
    for number, buffer in enumerate(model.buffers):
        if number and number not in used:
            buffer.data = None
