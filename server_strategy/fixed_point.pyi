"""Squares and fixed-point sums of updates, with the bits of the functions of `server_strategy.update_sum`."""

import numpy as np
from numpy.typing import NDArray

INTERFACE: int  # see `update_sum.is_built`

def add_squares(lanes: NDArray[np.float64], update: NDArray[np.float32], /) -> None:
    """Add the square of coordinate i, in float64, to lane i modulo the number of lanes, in the order of the update.

    Raises:
        ValueError, BufferError: a vector of another type, or one that is not contiguous.
    """

def add_scaled(total: NDArray[np.int64], update: NDArray[np.float32], factor: float, rounder: float, /) -> None:
    """Add the bits of factor * update + rounder, of float64 each, as integers modulo 2^64.

    Raises:
        ValueError, BufferError: a vector of another type or length, or one that is not contiguous.
    """
