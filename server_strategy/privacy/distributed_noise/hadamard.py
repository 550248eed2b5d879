"""The randomised Hadamard rotation: it spreads a vector evenly over its coordinates, and keeps its norm.

x -> H D x / sqrt(d), with D random signs and H the Walsh-Hadamard matrix of Sylvester's order, d a power of 2. Each
coordinate of what comes out is subgaussian with variance proxy |x|^2 / d (Kairouz et al., arXiv:2102.06387, Lemma 29),
so that the sum of many updates fits a ring that no single large coordinate could be let into. The signs are known to
everybody: they are for the fit, not for privacy.

A long vector may be rotated block by block instead of as a whole: it is then padded to a multiple of the block and not
to a power of 2, which can spare nearly half of what is sent, and its largest block is spread over fewer coordinates.

The order of the additions is fixed, whatever the processor, so that the same input gives the same bits.
"""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_COLUMNS = 64  # at once: a block of 1,024 rows stays in the processor's cache


def padded_size(dimension: int) -> int:
    """The smallest power of 2 that is at least this."""
    return 1 << max(dimension - 1, 0).bit_length()


def walsh_hadamard(vector: NDArray[Any]) -> Floats:
    """H x, not normalised: float64 [d], exact for whole numbers whose sums stay below 2^53.

    H of a b coordinates is the Kronecker product of H of a and H of b, so the vector is transformed as a matrix, first
    down its columns and then, transposed, down its rows.

    Args:
        vector: [d], d a power of 2; left as it is.
    """
    size = len(vector)
    rows = 1 << (size.bit_length() // 2)
    matrix = vector.astype(np.float64).reshape(rows, -1)  # [a, b]
    _transform_columns(matrix)
    turned = np.ascontiguousarray(matrix.T)  # [b, a]
    _transform_columns(turned)
    return np.ascontiguousarray(turned.T).reshape(size)


def _transform_columns(matrix: Floats) -> None:
    """H of each column, in place."""
    for begin in range(0, matrix.shape[1], _COLUMNS):
        block = matrix[:, begin : begin + _COLUMNS].copy()  # [rows, _COLUMNS]
        half = 1
        while half < len(block):
            pairs = block.reshape(-1, 2, half * block.shape[1])
            difference = pairs[:, 0] - pairs[:, 1]
            pairs[:, 0] += pairs[:, 1]
            pairs[:, 1] = difference
            half *= 2
        matrix[:, begin : begin + _COLUMNS] = block


def rotation_signs(seed: int, server_round: int, size: int) -> Floats:
    """Random signs of one round: float64 [size], 1 or -1, the same for all its phones.

    Args:
        seed: of the run; known to all.
        server_round: of the rotation.
        size: number of signs.
    """
    place = repr(("signs of a rotation", int(seed), int(server_round))).encode()
    digest = hashlib.blake2b(place, digest_size=32).digest()
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(int.from_bytes(digest, "little"))))
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size // 8)), np.uint8), count=size)
    return 1.0 - 2.0 * bits


def rotate(vector: NDArray[Any], signs: Floats, block: int) -> Floats:
    """H D x / sqrt(block) of each block: float64, as long as the signs, of the same norm but for rounding.

    Args:
        vector: [at most as many as signs]; zeros are put behind it.
        signs: of all coordinates, a multiple of the block.
        block: coordinates that are rotated together, a power of 2.
    """
    padded = np.zeros(len(signs))
    padded[: len(vector)] = vector
    return _each_block(padded * signs, block)


def rotate_back(vector: NDArray[Any], signs: Floats, block: int) -> Floats:
    """Inverse of `rotate`: float64, as long as the signs.

    Args:
        vector: as long as the signs.
        signs, block: those it was rotated with.
    """
    return _each_block(vector, block) * signs


def _each_block(vector: NDArray[Any], block: int) -> Floats:
    turned = np.empty(len(vector))
    for begin in range(0, len(vector), block):
        turned[begin : begin + block] = walsh_hadamard(vector[begin : begin + block])
    return turned / math.sqrt(block)
