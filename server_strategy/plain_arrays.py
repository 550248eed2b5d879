"""Arrays of messages that stay arrays as long as nobody asks for bytes.

Flower's `Array` holds a file in NumPy's format, as bytes: to make one of numbers copies them three times, and to read
them once more. Between processes of one machine nobody needs the file. A `PlainArray` holds the numbers themselves,
and travels as what they are: pickled by protocol 5 (PEP 574), Ray puts them into shared memory in one copy, and who
gets them reads them there, where nobody can change them. Over a network Flower asks for the bytes, and gets its file.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray


class PlainArray(Array):
    """An array of a record, which anybody reads as Flower's own.

    Args:
        values: of any shape and type but objects; whoever has them leaves them as they are.
    """

    __qualname__ = "Array"  # by which Flower says on the wire what it is to be read as

    def __init__(self, values: NDArray[Any]) -> None:
        values = values.view()
        values.flags.writeable = False
        self.__dict__.update(dtype=str(values.dtype), shape=values.shape, stype="numpy.ndarray", _values=values)

    @property
    def data(self) -> bytes:  # type: ignore[override]
        """The numbers as a file in NumPy's format, made each time that it is asked for."""
        file = io.BytesIO()
        np.save(file, self.numpy(), allow_pickle=False)
        return file.getvalue()

    def numpy(self) -> NDArray[Any]:
        """The numbers, which cannot be changed."""
        values: NDArray[Any] = self.__dict__["_values"]
        return values

    def __reduce__(self) -> tuple[Any, ...]:
        return plain_array, (self.numpy(),)


def plain_array(values: NDArray[Any]) -> PlainArray:
    """What a pickled one is made of again."""
    return PlainArray(values)


def plain_record(named: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """A record of arrays, by their names, in this order."""
    record = ArrayRecord()  # made of a mapping, it would make arrays of Flower's own
    for name, values in named.items():
        record[name] = PlainArray(values)
    return record
