"""Whole numbers modulo 2^bits: what a phone sends, what secure aggregation masks and adds up, what the server reads.

A sum is read as the one number of its residue in [-2^(bits - 1), 2^(bits - 1)). It is the true sum exactly if that lies
inside; what lies outside wraps around, which costs accuracy and never privacy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import ConfigError, expected
from typefleet.whole import is_whole

LEAST_BITS, MOST_BITS = 12, 32
Residues = NDArray[np.uint32]


def check_bits(bits: int) -> int:
    """The number of bits, if a ring may have it.

    Raises:
        ConfigError: it is out of bounds.
    """
    if not is_whole(bits, LEAST_BITS, MOST_BITS):
        raise ConfigError(expected("bits", f"a whole number from {LEAST_BITS} to {MOST_BITS}", bits))
    return bits


def to_ring(values: NDArray[np.int64], bits: int) -> Residues:
    """Residues modulo 2^bits: uint32, of the same shape.

    Args:
        values: whole numbers of any size.
        bits: of the ring.
    """
    return (values & _mask(bits)).astype(np.uint32)


def from_ring(residues: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """The number in [-2^(bits - 1), 2^(bits - 1)) of each residue: int64.

    Args:
        residues: modulo 2^bits.
        bits: of the ring.
    """
    half = 1 << (bits - 1)
    return ((residues.astype(np.int64) + half) & _mask(bits)) - half


def add_to(total: Residues, residues: Residues, bits: int) -> None:
    """Add modulo 2^bits, in place.

    Args:
        total, residues: uint32 of one shape.
        bits: of the ring.
    """
    total += residues  # modulo 2^32, of which 2^bits is a divisor
    total &= np.uint32(_mask(bits))


def wrapped_around(true_sum: NDArray[np.int64], bits: int) -> int:
    """How many coordinates of a sum are not read as what they are.

    Only a simulation can count them: the server never has the true sum.

    Args:
        true_sum: of the phones' whole numbers, before any modulus.
        bits: of the ring.
    """
    return int((from_ring(to_ring(true_sum, bits), bits) != true_sum).sum())


def _mask(bits: int) -> int:
    return (1 << check_bits(bits)) - 1
