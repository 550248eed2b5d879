"""Clip each phone's update and add it up, exactly.

Floating-point sums depend on their order, so on who finished first. Here every clipped coordinate is
rounded toward zero to a whole multiple of clip_norm * 2^-40 and summed as int64: the sum is exact,
free of order, and the same arithmetic secure aggregation uses. Rounding toward zero never enlarges
a coordinate, so the L2 bound holds for what is actually summed.

The bound is kept with a margin of 2^-28, more than the norm's own worst-case rounding error
(num_weights * 2^-53, below 2^-28 up to 33 million weights).

Example:
    >>> import numpy as np
    >>> total = FixedPointSum(size=3, clip_norm=1.0)
    >>> total.add(np.array([3.0, 0.0, 4.0], np.float32))
    5.0
    >>> np.round(to_float(total.values, clip_norm=1.0), 6).tolist()
    [0.6, 0.0, 0.8]
"""

import math

import numpy as np
from numpy.typing import NDArray

FRACTION_BITS = 40
MAX_PHONES = 2**22  # |sum| <= 2^22 * 2^40, well inside int64
_NORM_MARGIN = 1 - 2.0**-28
_BLOCK = 1 << 15  # coordinates a pass; two float64 blocks stay in the processor's cache


class NonFiniteUpdateError(ValueError):
    """An update with a NaN or infinity; it must not be summed."""


class FixedPointSum:
    """A running sum of clipped updates.

    Attributes:
        values: int64 [size], in units of clip_norm * 2^-40.
        count: updates added.
    """

    def __init__(self, size: int, clip_norm: float) -> None:
        if not (clip_norm > 0 and math.isfinite(clip_norm)):
            raise ValueError(f"Expected clip_norm > 0. Found {clip_norm}.")
        self.clip_norm = clip_norm
        self.values = np.zeros(size, np.int64)
        self.count = 0

    def add(self, update: NDArray[np.float32]) -> float:
        """Clip `update` (float32 [size]) to clip_norm, add it, and return its norm before clipping.

        Raises:
            NonFiniteUpdateError: the update is not finite; the sum is unchanged.
        """
        if update.shape != self.values.shape:
            raise ValueError(f"Expected an update of shape {self.values.shape}. Found {update.shape}.")
        if self.count >= MAX_PHONES:
            raise ValueError(f"Expected at most {MAX_PHONES} updates in one sum. Found another.")
        norm = l2_norm(update)
        if not math.isfinite(norm):
            raise NonFiniteUpdateError(f"Expected a finite update. Found norm {norm}.")
        shrink = 1.0 if norm <= self.clip_norm * _NORM_MARGIN else self.clip_norm * _NORM_MARGIN / norm
        factor = shrink * (2.0**FRACTION_BITS / self.clip_norm)
        for begin in range(0, len(update), _BLOCK):
            block = update[begin : begin + _BLOCK].astype(np.float64)  # [_BLOCK]
            block *= factor
            self.values[begin : begin + _BLOCK] += block.astype(np.int64)  # the cast truncates
        self.count += 1
        return norm


def l2_norm(update: NDArray[np.float32]) -> float:
    """L2 norm in float64, summed block by block in a fixed order (no threaded library call)."""
    total = 0.0
    for begin in range(0, len(update), _BLOCK):
        block = update[begin : begin + _BLOCK].astype(np.float64)  # [_BLOCK]
        total += float(np.sum(block * block))
    return math.sqrt(total)


def to_float(values: NDArray[np.int64], clip_norm: float) -> NDArray[np.float64]:
    """The sum in the units of the weights: float64 [size]."""
    return values * (clip_norm * 2.0**-FRACTION_BITS)
