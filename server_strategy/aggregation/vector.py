"""What one phone hands in where the server is to learn sums alone: its clipped update, and what goes with it.

A vector has num_weights coordinates of the clipped update, in whole multiples of clip_norm 2^-40 (`update_sum`), and
then, each in a coordinate of its own,

    below    1 if the update was no longer than the clip norm, else 0; for clip norms that adapt
    tokens   trained on
    loss     sum over the tokens in nats, before each step, in units of 2^-16
    norm     of the update before it was clipped, in units of 2^-16

Each of the four is held to its bound by the phone, in silence: tokens to 2^40, loss and norm to 2^24 (a loss that is no
number counts as the bound). So no coordinate is above 2^40 in size.

All is added modulo 2^64. With at most 2^22 phones a sum is at most 2^62 in size, which is less than half the modulus,
so a sum never wraps around: what is read is exact, and no order or grouping of the phones changes it.

Example:
    >>> import numpy as np
    >>> one = phone_vector(np.array([3, -4]), PhoneFigures(norm=0.5, loss_sum=2.25, tokens=7, below=True))
    >>> read_sum(one + one, num_weights=2, reports=2)
    (array([ 6, -8]), UpdateTotals(reports_below=2, tokens=14, loss_sum=4.5, norm_sum=1.0))
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.masks import Ring
from server_strategy.update_sum import FRACTION_BITS, MAX_PHONES
from typefleet.errors import InputError, expected

TAIL = 4  # coordinates after those of the update
FIGURE_BITS = 16  # of the fractions of loss and norm
LARGEST = MOST_TOKENS = 2**FRACTION_BITS  # of any coordinate
MOST_NORM = MOST_LOSS = 2.0 ** (FRACTION_BITS - FIGURE_BITS)

Vector = NDArray[np.int64]  # [num_weights + TAIL], modulo 2^64


class SumError(InputError):
    """A sum that no phones' vectors have."""


@dataclass(frozen=True)
class PhoneFigures:
    """What goes with one phone's update."""

    norm: float  # before clipping
    loss_sum: float  # nats
    tokens: int
    below: bool  # the norm is at most the clip norm


@dataclass(frozen=True)
class UpdateTotals:
    """What goes with a sum of updates: sums over its phones."""

    reports_below: int  # updates no longer than the clip norm
    tokens: int
    loss_sum: float  # nats
    norm_sum: float | None = None  # of the updates before clipping; None where it is not asked for


def tail_of(figures: PhoneFigures) -> Vector:
    """The last coordinates of a phone's vector: int64 [TAIL]."""
    return np.array(
        [
            int(figures.below),
            min(max(figures.tokens, 0), MOST_TOKENS),
            _fixed(figures.loss_sum, MOST_LOSS),
            _fixed(figures.norm, MOST_NORM),
        ],
        np.int64,
    )


def phone_vector(update: NDArray[np.int64], figures: PhoneFigures) -> Vector:
    """All that a phone hands in.

    Args:
        update: int64 [num_weights], clipped, in whole multiples of clip_norm 2^-40.
        figures: what goes with it.
    """
    return np.concatenate([update, tail_of(figures)])


def read_sum(total: Vector, num_weights: int, reports: int) -> tuple[NDArray[np.int64], UpdateTotals]:
    """(the sum of the updates, what goes with it) of a sum of vectors.

    Args:
        total: int64 [num_weights + TAIL].
        num_weights: of the model.
        reports: vectors in it.

    Raises:
        SumError: it is none of so many vectors, as where masks are left in it.
    """
    if total.shape != (num_weights + TAIL,) or reports > MAX_PHONES:
        found = f"{list(total.shape)}, of {reports}"
        raise SumError(expected("a sum of vectors", f"[{num_weights + TAIL}], of at most {MAX_PHONES} phones", found))
    update, sums = total[:num_weights], read_tail(total[num_weights:], reports)
    largest = reports * LARGEST
    if len(update) and max(int(update.max()), -int(update.min())) > largest:
        raise SumError(expected("a sum of vectors", f"{reports} clipped updates", "more: masks are left in it"))
    return update, sums


def read_tail(tail: Vector, reports: int) -> UpdateTotals:
    """What goes with a sum of updates.

    Args:
        tail: int64 [TAIL].
        reports: vectors in it.

    Raises:
        SumError: it is of none of so many vectors, as where masks are left in it.
    """
    below, tokens, loss, norm = tail.tolist()
    largest = reports * LARGEST
    if not (0 <= below <= reports and all(0 <= figure <= largest for figure in (tokens, loss, norm))):
        what = f"figures of {reports} phones, each within its bound"
        raise SumError(expected("a sum of vectors", what, "others: masks are left in it, or a phone broke a bound"))
    return UpdateTotals(below, tokens, loss * 2.0**-FIGURE_BITS, norm * 2.0**-FIGURE_BITS)


def ring_for(most_reports: int) -> Ring:
    """The smallest ring of whole bytes that holds the sum of so many phones' vectors.

    Args:
        most_reports: of a round.

    Raises:
        RingOverflowError: none does.
    """
    bits = (most_reports * LARGEST).bit_length() + 1
    ring = Ring(min(-(-bits // 8) * 8, 64))
    ring.refuse_overflow(most_reports, LARGEST)
    return ring


def _fixed(value: float, most: float) -> int:
    """In units of 2^-16, from 0 to the bound."""
    bounded = min(max(value, 0.0), most) if math.isfinite(value) else most
    return round(math.ldexp(bounded, FIGURE_BITS))
