"""A TFLite file as objects that can be changed, and back, with equal vectors stored once.

Weights with a scale for each row carry that many scales and zero points (12 bytes a row) with each tensor that uses
them; signatures that share weights would store them once each. A flatbuffer may refer to one vector from several
places, so they need not.
"""

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Writes a vector of numbers once, however often it occurs."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        if x.dtype.itemsize == 1:  # weights: the model's buffers are shared by number already
            return int(super().CreateNumpyVector(x))
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def unpack_model(file: bytes) -> schema.ModelT:
    """The objects of a file."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))


def custom_operators(file: bytes) -> list[str]:
    """Names of the operators outside the builtin set that a file asks for, read without the rest of it."""
    model = schema.Model.GetRootAs(file, 0)
    codes = (model.OperatorCodes(number) for number in range(model.OperatorCodesLength()))
    return [name.decode() for code in codes if (name := code.CustomCode())]


def add_operator_code(model: schema.ModelT, builtin: int, version: int) -> int:
    """Let a model use a builtin operator; gives the number that its operators name it by."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def operator_kind(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """Builtin code of an operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def pack_model(model: schema.ModelT) -> bytes:
    """The bytes of a model file, from its objects."""
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
