"""Clip each phone's update and add it up, exactly.

Floating-point sums depend on their order, so on who finished first. Here every clipped coordinate is
rounded to a whole multiple of clip_norm * 2^-40 and summed as int64: the sum is exact, free of order,
and the same arithmetic secure aggregation uses.

The L2 bound holds for what is actually summed. An update is clipped to clip_norm * (1 - m) with
m = 2^-26. Rounding n coordinates to the nearest multiple adds at most sqrt(n) / 2 * 2^-40 (times
clip_norm) to the norm, and the float64 norm is itself off by at most n * 2^-53 of its value; up to
n = 2^26 weights the two together stay below m.

Adding 1.5 * 2^52 to a float64 below 2^51 leaves the nearest integer in its lowest bits. That rounds
and converts in one step that every processor has vector instructions for; the constant that each
update so leaves in the sum is taken out when the sum is read.

Both passes over an update, its norm and its addition, are in C (`fixed_point.c`) where the package was installed with a
compiler, and in numpy elsewhere, with the same bits.

Example:
    >>> import numpy as np
    >>> total = FixedPointSum(size=3, clip_norm=1.0)
    >>> total.add(np.array([3.0, 0.0, 4.0], np.float32))
    5.0
    >>> np.round(to_float(total.values, clip_norm=1.0), 6).tolist()
    [0.6, 0.0, 0.8]
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import InputError, expected

try:
    from server_strategy import fixed_point as _native
except ImportError:  # installed without a compiler
    _native = None  # type: ignore[assignment]

INTERFACE = 1  # of fixed_point.c, which says when it is raised
FRACTION_BITS = 40
MAX_PHONES = 2**22  # |sum| <= 2^22 * 2^40, well inside int64
MAX_WEIGHTS = 2**26
# Within these no factor overflows, and what is rounded is little beside any update: half a unit of 2^-40 clip norms a
# coordinate, at the largest of them a norm of 2e-5 over half a million weights and 4e-4 over MAX_WEIGHTS.
SMALLEST_CLIP_NORM, LARGEST_CLIP_NORM = 1e-6, 1e5
_LARGEST_EXPONENT = 700.0  # of a float64
_NORM_MARGIN = 1 - 2.0**-26
_ROUNDER = np.float64(1.5 * 2**52)
_ROUNDER_BITS = int(_ROUNDER.view(np.int64))
_BLOCK = 1 << 15  # coordinates a pass; the block stays in the processor's cache
_LANES = 1 << 10  # of a sum of squares: a power of two


class NonFiniteUpdateError(InputError):
    """An update with a NaN or infinity; it must not be summed."""


class FixedPointSum:
    """A running sum of clipped updates.

    Args:
        size: weights of an update.
        clip_norm: bound on the L2 norm of a clipped update, from SMALLEST_CLIP_NORM to LARGEST_CLIP_NORM.
        layer_sizes: weights of each of m layers, to clip each of them to clip_norm / sqrt(m); the update is
            clipped as a whole if None. Either way a clipped update has norm at most clip_norm.
        longest: norm before clipping, as `add` returns it, above which an update counts as zeros; none does if None.

    Attributes:
        count: updates added, those that count as zeros aside.
    """

    def __init__(
        self, size: int, clip_norm: float, layer_sizes: Sequence[int] | None = None, longest: float | None = None
    ) -> None:
        if not SMALLEST_CLIP_NORM <= clip_norm <= LARGEST_CLIP_NORM:
            raise ValueError(
                expected("clip_norm", f"a number from {SMALLEST_CLIP_NORM:g} to {LARGEST_CLIP_NORM:g}", clip_norm)
            )
        if size > MAX_WEIGHTS:
            raise ValueError(expected("size", f"at most {MAX_WEIGHTS} weights", size))
        if layer_sizes is not None and sum(layer_sizes) != size:
            raise ValueError(expected("layer_sizes", f"{size} weights in all", sum(layer_sizes)))
        ends = np.cumsum(layer_sizes or [size]).tolist()
        self._layers = list(zip([0, *ends[:-1]], ends, strict=True))
        self.clip_norm, self._longest = clip_norm, longest
        self.count = 0
        self._shifted = np.zeros(size, np.int64)  # each update has added _ROUNDER_BITS to it, modulo 2^64
        self._block = np.empty(min(_BLOCK, size), np.float64)

    @property
    def values(self) -> NDArray[np.int64]:
        """The sum: int64 [size], in units of clip_norm * 2^-40."""
        shift = np.array(self.count * _ROUNDER_BITS % 2**64, np.uint64).view(np.int64)
        return self._shifted - shift  # wraps around, as the additions did

    def add(self, update: NDArray[np.float32], weight: float = 1.0) -> float:
        """Clip `update` (float32 [size]), add it, and return its norm before clipping.

        With layers the norm is the one that decides: the largest of a layer's, times sqrt(m). With a
        `weight` in (0, 1] the clipped update is scaled by it, so that what is added stays within clip_norm.

        Raises:
            NonFiniteUpdateError: the update is not finite; the sum is unchanged.
        """
        if update.shape != self._shifted.shape:
            raise ValueError(expected("update", f"shape {self._shifted.shape}", update.shape))
        if self.count >= MAX_PHONES:
            raise ValueError(expected("the sum", f"at most {MAX_PHONES} updates", "another"))
        if not 0 < weight <= 1:
            raise ValueError(expected("weight", "a number in (0, 1]", weight))
        norms = [l2_norm(update[begin:end]) * math.sqrt(len(self._layers)) for begin, end in self._layers]
        if not all(math.isfinite(norm) for norm in norms):
            raise NonFiniteUpdateError(expected("update", "finite numbers", f"norm {max(norms)}"))
        if self._longest is not None and max(norms) > self._longest:
            return max(norms)
        for (begin, end), norm in zip(self._layers, norms, strict=True):
            shrink = 1.0 if norm <= self.clip_norm * _NORM_MARGIN else self.clip_norm * _NORM_MARGIN / norm
            self._add_scaled(update, begin, end, weight * shrink * (2.0**FRACTION_BITS / self.clip_norm))
        self.count += 1
        return max(norms)

    def _add_scaled(self, update: NDArray[np.float32], begin: int, end: int, factor: float) -> None:
        """Add factor * update[begin:end], rounded to whole numbers."""
        if _is_for_c(update):
            _native.add_scaled(self._shifted[begin:end], update[begin:end], factor, float(_ROUNDER))
            return
        for start in range(begin, end, _BLOCK):
            stop = min(start + _BLOCK, end)
            block = self._block[: stop - start]  # [_BLOCK]
            block[:] = update[start:stop]
            block *= factor
            block += _ROUNDER
            self._shifted[start:stop] += block.view(np.int64)


def l2_norm(update: NDArray[np.floating[Any]]) -> float:
    """L2 norm in float64: in whatever way it is computed, squares are added in the same order.

    Coordinate i belongs to lane i modulo 1,024. Each lane is summed in the order of the coordinates, and of the sums
    the second half is added to the first, again and again.
    """
    lanes = np.zeros(_LANES)  # [_LANES]
    if _is_for_c(update):
        _native.add_squares(lanes, update)
    else:
        _add_squares(lanes, update)
    while len(lanes) > 1:
        first, second = np.split(lanes, 2)
        lanes = first + second
    return math.sqrt(float(lanes[0]))


def _add_squares(lanes: NDArray[np.float64], update: NDArray[np.floating[Any]]) -> None:
    """As `fixed_point` does it, in C."""
    rows = np.empty((_BLOCK // _LANES + 1, _LANES))
    whole = len(update) // _LANES * _LANES
    for begin in range(0, whole, _BLOCK):
        some = update[begin : min(begin + _BLOCK, whole)].reshape(-1, _LANES)
        block = rows[: len(some) + 1]
        block[0], block[1:] = lanes, some
        np.square(block[1:], out=block[1:])
        np.add.reduce(block, axis=0, out=lanes)  # row after row
    rest = update[whole:].astype(np.float64)  # [fewer than _LANES]
    lanes[: len(rest)] += rest * rest


def is_built() -> bool:
    """Whether `fixed_point` was built when Typefleet was installed, and not from an earlier state of a checkout."""
    return bool(getattr(_native, "INTERFACE", None) == INTERFACE)


def _is_for_c(update: NDArray[np.floating[Any]]) -> bool:
    return is_built() and update.dtype == np.float32 and update.flags.c_contiguous and update.flags.aligned


def moved_clip_norm(clip_norm: float, down: float) -> float:
    """A clip norm that adapts, after one release: times exp(-down), within what updates can be summed by.

    Whatever is done with a noised count is post-processing, and so costs nothing.

    Args:
        clip_norm: of the release.
        down: learning rate times (share of shorter updates - quantile), Andrew et al., arXiv:1905.03871, section 2.
    """
    moved = clip_norm * math.exp(min(-down, _LARGEST_EXPONENT))
    return min(max(moved, SMALLEST_CLIP_NORM), LARGEST_CLIP_NORM)


def to_float(values: NDArray[np.int64], clip_norm: float) -> NDArray[np.float64]:
    """The sum in the units of the weights: float64 [size]."""
    return values * (clip_norm * 2.0**-FRACTION_BITS)
