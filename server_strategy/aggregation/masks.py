"""Masks modulo 2^b, and the ring that vectors and masks are added in.

A mask is the key stream of AES-256 in counter mode (NIST SP 800-38A, 6.5) under a key that is used for nothing else. It
is as long as the vector, in the smallest unsigned integers that hold b bits. Those wrap around at a multiple of 2^b, so
nothing is reduced until the end. Adding what is uniform and independent of a vector leaves a vector that is uniform
and independent of it: a one-time pad, of a generator's bits.

Example:
    >>> import numpy as np
    >>> ring, key = Ring(64), bytes(32)
    >>> vector = ring.encode(np.array([-1, 2, 3]))
    >>> add_mask(vector, key)
    >>> add_mask(vector, key, subtract=True)
    >>> ring.decode(vector).tolist()
    [-1, 2, 3]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from typefleet.errors import InputError, expected
from typefleet.whole import is_whole

LEAST_BITS, MOST_BITS = 12, 64
_BLOCK_BYTES = 1 << 17  # of key stream a pass; it stays in the processor's cache
_ZEROS = bytes(_BLOCK_BYTES)
_BLOCK_ROOM = 16  # an output buffer of the cipher has to be longer by a block than what is written

Words = NDArray[np.unsignedinteger[Any]]


class RingOverflowError(InputError):
    """A sum that the ring may not hold; it is refused before it could wrap around."""


@dataclass(frozen=True)
class Ring:
    """Integers modulo 2^bits, as unsigned words; a sum is read as signed.

    Attributes:
        bits: from 12 to 64.
        tail: numbers at the end of each vector that have a ring of their own.
        tail_bits: of that ring; 0 without a tail.
    """

    bits: int = MOST_BITS
    tail: int = 0
    tail_bits: int = 0

    def __post_init__(self) -> None:
        for name in ("bits", "tail_bits") if self.tail else ("bits",):
            if not is_whole(getattr(self, name), LEAST_BITS, MOST_BITS):
                raise ValueError(
                    expected(name, f"a whole number from {LEAST_BITS} to {MOST_BITS}", getattr(self, name))
                )
        if not is_whole(self.tail, 0) or (self.tail == 0) != (self.tail_bits == 0):
            raise ValueError(expected("a tail", "a whole number of numbers, and bits if there are any", self.tail))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integers that hold the bits, in little-endian order."""
        bits = max(self.bits, self.tail_bits)
        return np.dtype("<u2" if bits <= 16 else "<u4" if bits <= 32 else "<u8")

    @property
    def largest(self) -> int:
        """The largest number that a sum can be read as, before the tail; the smallest is one below its negative."""
        return (1 << (self.bits - 1)) - 1

    def zeros(self, size: int) -> Words:
        """A vector to add others to."""
        return np.zeros(size, self.dtype)

    def refuse_overflow(self, phones: int, largest: int) -> None:
        """Refuse a sum that could wrap around.

        Args:
            phones: that the sum may be of.
            largest: absolute value that one phone's number may have.

        Raises:
            RingOverflowError: phones x largest is more than 2^(bits - 1) - 1.
        """
        if phones * largest > self.largest:
            bound = f"at most {self.largest}, in {self.bits} bits"
            raise RingOverflowError(expected(f"the sum of {phones} phones", bound, phones * largest))

    def encode(self, values: NDArray[np.signedinteger[Any]]) -> Words:
        """Signed numbers as words of the ring: a copy.

        Raises:
            ValueError: other than whole numbers.
            RingOverflowError: one of them is too large for the ring.
        """
        for part, bits in self._parts(values):
            least, most = extremes(part)
            found, largest = max(most, -least - 1), (1 << (bits - 1)) - 1
            if found > largest:
                raise RingOverflowError(expected("a number", f"at most {largest}, in {bits} bits", found))
        return self.reduce(values.astype(np.int64).view(np.uint64).astype(self.dtype))

    def decode(self, words: Words) -> NDArray[np.int64]:
        """Words of the ring as signed numbers, int64."""
        values = words.astype(np.uint64).view(np.int64)
        for part, bits in self._parts(values):
            spare = np.int64(MOST_BITS - bits)
            part <<= spare
            part >>= spare  # which repeats the sign
        return values

    def reduce(self, words: Words) -> Words:
        """Take what is above the ring's bits away, in place; returns `words`."""
        for part, bits in self._parts(words):
            if bits < 8 * words.itemsize:
                part &= words.dtype.type((1 << bits) - 1)
        return words

    def packed_bytes(self, size: int) -> int:
        """Bytes of `size` words as they are sent, without the unused bits; the tail begins with a byte of its own."""
        return ((size - self.tail) * self.bits + 7) // 8 + (self.tail * self.tail_bits + 7) // 8

    def pack(self, words: Words) -> bytes:
        """Words as they are sent: `bits` bits each, the lowest first."""
        if self.tail:
            return b"".join(Ring(bits).pack(part.astype(Ring(bits).dtype)) for part, bits in self._parts(words))
        if self.bits == 8 * self.dtype.itemsize:
            return words.astype(self.dtype, copy=False).tobytes()
        each = np.ascontiguousarray(words.astype(self.dtype, copy=False)).view(np.uint8).reshape(len(words), -1)
        if self.bits % 8 == 0:
            return each[:, : self.bits // 8].tobytes()
        bits = np.unpackbits(each, axis=1, bitorder="little")[:, : self.bits]  # [words, bits]
        return np.packbits(bits, bitorder="little").tobytes()

    def unpack(self, packed: bytes, size: int) -> Words:
        """The words of `packed`, a copy.

        Raises:
            ValueError: another number of bytes than `size` words have, or a bit beyond the last word.
        """
        if len(packed) != self.packed_bytes(size):
            raise ValueError(expected("packed words", f"{self.packed_bytes(size)} bytes", len(packed)))
        if self.tail:
            head, tail = Ring(self.bits), Ring(self.tail_bits)
            cut = head.packed_bytes(size - self.tail)
            parts = head.unpack(packed[:cut], size - self.tail), tail.unpack(packed[cut:], self.tail)
            return np.concatenate([part.astype(self.dtype) for part in parts])
        if self.bits == 8 * self.dtype.itemsize:
            return np.frombuffer(packed, self.dtype).copy()
        found = np.frombuffer(packed, np.uint8)
        words = np.zeros((size, self.dtype.itemsize), np.uint8)
        if self.bits % 8 == 0:
            words[:, : self.bits // 8] = found.reshape(size, -1)
        else:
            bits = np.unpackbits(found, bitorder="little")
            if bits[size * self.bits :].any():
                raise ValueError(expected("packed words", "zeros after the last", "a one"))
            each = bits[: size * self.bits].reshape(size, self.bits)
            words[:, : (self.bits + 7) // 8] = np.packbits(each, axis=1, bitorder="little")
        return words.reshape(-1).view(self.dtype)

    def has_no_spare_bits(self, packed: bytes, size: int) -> bool:
        """Whether what is left of a last byte is zero, in `size` packed words."""
        cut = ((size - self.tail) * self.bits + 7) // 8
        for some, bits in ((packed[:cut], self.bits * (size - self.tail)), (packed[cut:], self.tail_bits * self.tail)):
            spare = 8 * len(some) - bits
            if spare and some[-1] >> (8 - spare):
                return False
        return True

    def _parts(self, words: NDArray[Any]) -> list[tuple[NDArray[Any], int]]:
        """(numbers, bits of each) of a vector, without its tail and in it; views."""
        if not self.tail:
            return [(words, self.bits)]
        cut = len(words) - self.tail
        return [(words[:cut], self.bits), (words[cut:], self.tail_bits)]


FULL_RING = Ring()


def extremes(values: NDArray[np.integer[Any]]) -> tuple[int, int]:
    """The least and the largest of whole numbers, (0, 0) of none: in Python's integers.

    In those of an array, the absolute value of its type's smallest number is that number again.

    Raises:
        ValueError: other than whole numbers, which would be cut.
    """
    if values.dtype.kind not in "iu":
        raise ValueError(expected("a vector", "whole numbers", f"numbers of {values.dtype}"))
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def add_mask(words: Words, key: bytes, *, subtract: bool = False) -> None:
    """Add the mask of `key` to `words` in place, or take it away; they wrap around.

    Args:
        words: contiguous unsigned integers of a ring.
        key: 32 bytes, of this mask alone.
        subtract: take the mask away.
    """
    cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    width = words.dtype.itemsize
    block = np.empty(min(_BLOCK_BYTES, words.nbytes) + _BLOCK_ROOM, np.uint8)
    change = np.subtract if subtract else np.add
    for begin in range(0, len(words), _BLOCK_BYTES // width):
        some = words[begin : begin + _BLOCK_BYTES // width]
        cipher.update_into(memoryview(_ZEROS)[: some.nbytes], block)  # type: ignore[arg-type]  # it takes any buffer
        change(some, block[: some.nbytes].view(words.dtype), out=some)


def stream(key: bytes, size: int) -> bytes:
    """The first `size` bytes of the key stream of `key`."""
    return Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))
