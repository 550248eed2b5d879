"""Arrays in encrypted files (`typefleet.sealed.chunks`), of which a slice is read without the rest being decrypted."""

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import expected
from typefleet.sealed.chunks import SealedError, SealedFile, seal

_NPY: Any = np.lib.format  # which has no types
_HEADER_BYTES = 128  # that numpy gives an array of one axis


class SealedArray:
    """A numpy array of one axis in a sealed .npy file; indexed as one is, by a number, a slice or numbers.

    Args:
        path: of the file.
        key: data key of its folder.

    Raises:
        SealedError: the file was changed, is of another place, or holds no such array.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._file = SealedFile(path, key, path.name)
        header = io.BytesIO(self._file.part(0, min(_HEADER_BYTES, self._file.length)))
        try:
            _NPY.read_magic(header)
            shape, _, dtype = _NPY.read_array_header_1_0(header)
        except ValueError as error:
            raise SealedError(expected(path, "an array", "something else")) from error
        self._dtype, self._begin = dtype, header.tell()
        if len(shape) != 1 or dtype.hasobject or self._begin + shape[0] * dtype.itemsize != self._file.length:
            raise SealedError(expected(path, "an array of one axis", "another"))
        self._length: int = shape[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            begin, end, step = place.indices(self._length)
            return self._between(begin, max(begin, end))[::step]
        if isinstance(place, np.ndarray):
            if not len(place):
                return np.zeros(0, self._dtype)
            least = int(place.min())
            return self._between(least, int(place.max()) + 1)[place - least]
        return self._between(int(place), int(place) + 1)[0]

    def _between(self, begin: int, end: int) -> NDArray[Any]:
        """Numbers from one place to another: [end - begin]."""
        size = self._dtype.itemsize
        if not 0 <= begin <= end <= self._length:
            raise IndexError(expected("an array", f"places below {self._length}", f"{begin} to {end}"))
        return np.frombuffer(self._file.part(self._begin + begin * size, self._begin + end * size), self._dtype)


def write_sealed_array(array: NDArray[Any], name: str, key: bytes, file: IO[bytes]) -> None:
    """Write what `SealedArray` reads.

    Args:
        array: of one axis.
        name: of the file.
        key: data key of its folder.
        file: takes it.
    """
    header = io.BytesIO()
    _NPY.write_array_header_1_0(header, _NPY.header_data_from_array_1_0(array))
    seal(file, [header.getvalue(), np.ascontiguousarray(array).data], key, name)
