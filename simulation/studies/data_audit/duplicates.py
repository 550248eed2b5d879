"""Messages that say nearly what another one says, by MinHash: on the same phone, and on others.

A message is the set of its pairs of successive words. Two sets agree in a minimum under a random order with the
probability of their Jaccard similarity (Broder, "On the resemblance and containment of documents", SEQUENCES 1997,
section 4), so the share of equal minima estimates it. Messages that agree in all of one band's minima are looked at
(Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4): of a pair with similarity 0.8, 96 % are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key, uniform
from client_model.text.tokenising import Tokenised
from typefleet.steps import step

LEAST_WORDS = 6
LEAST_SIMILARITY = 0.75
MOST_MESSAGES = 500_000  # whose minima are in memory at a time: 96 bytes each
_BANDS, _ROWS = 6, 4
_AT_ONCE = 65_536  # messages


@dataclass(frozen=True)
class NearDuplicates:
    """How much is said more than once; shares are of the messages that were compared, and lower bounds."""

    compared: int  # messages
    long_enough: int  # messages that could have been
    on_same_phone: float | None
    on_another_phone: float | None
    why: str = ""  # there is none


def near_duplicates(text: Tokenised, most: int = MOST_MESSAGES) -> NearDuplicates:
    """Compare the messages of a file that are long enough to be like another one by more than chance.

    Args:
        text: of all phones.
        most: messages that are compared; of more, a sample, which has fewer duplicates than the whole.
    """
    lengths = np.diff(text.message_offsets)
    long = np.flatnonzero(lengths >= LEAST_WORDS)
    if len(long) < 2:
        return NearDuplicates(len(long), len(long), None, None, f"fewer than two messages of {LEAST_WORDS} words")
    chosen = long
    if len(long) > most:
        chosen = np.sort(long[np.argpartition(uniform(purpose_key(0, "compared messages"), long), most)[:most]])
    phone = np.searchsorted(text.first_message, chosen, side="right") - 1
    same, another = _alike(_minima(text, chosen), phone)
    return NearDuplicates(len(chosen), len(long), float(same.mean()), float(another.mean()))


def _minima(text: Tokenised, chosen: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The minima of each message's pairs of words under each order: uint32 [messages, bands * rows]."""
    orders = [purpose_key(0, "order of word pairs", number) for number in range(_BANDS * _ROWS)]
    pairs_key = purpose_key(0, "word pairs")
    minima = np.empty((len(chosen), len(orders)), np.uint32)
    with step("comparing messages", len(chosen)) as comparing:
        for begin in range(0, len(chosen), _AT_ONCE):
            some = chosen[begin : begin + _AT_ONCE]
            pairs = text.message_offsets[some + 1] - text.message_offsets[some] - 1  # [some]
            first = np.cumsum(pairs) - pairs
            place = np.repeat(text.message_offsets[some] - first, pairs) + np.arange(pairs.sum())
            hashed = hash_uint64(pairs_key, text.types[place], text.types[place + 1])  # [pairs]
            for number, order in enumerate(orders):
                mixed = hash_uint64(order, hashed) >> np.uint64(32)
                minima[begin : begin + len(some), number] = np.minimum.reduceat(mixed, first)
            comparing.advance(len(some))
    return minima


def _alike(minima: NDArray[np.uint32], phone: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(has one like it on the same phone, on another phone): bool [messages] each.

    Of the messages that agree in a band, each is held to the one before it and to the first, not to all.
    """
    same, another = np.zeros(len(phone), bool), np.zeros(len(phone), bool)
    for band in range(_BANDS):
        rows = minima[:, band * _ROWS : (band + 1) * _ROWS]
        key = hash_uint64(purpose_key(0, "band"), *(rows[:, row] for row in range(_ROWS)))
        order = np.lexsort((phone, key))
        begins = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0])
        first = order[np.repeat(begins, np.diff(np.r_[begins, len(order)]))]  # of the messages with this key
        before = np.r_[order[:1], order[:-1]]
        for one, other in ((order, first), (order, before)):
            pairs = (key[one] == key[other]) & (one != other)
            a, b = one[pairs], other[pairs]
            alike = (minima[a] == minima[b]).mean(1) >= LEAST_SIMILARITY
            for flags, chosen in ((same, phone[a] == phone[b]), (another, phone[a] != phone[b])):
                flags[a[alike & chosen]] = flags[b[alike & chosen]] = True
    return same, another
