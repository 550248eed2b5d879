"""A trigram model with Witten-Bell interpolation: what good counting of words achieves.

    P(w | a b) = k P_ml(w | a b) + (1 - k) P(w | b)      with k = c(a b) / (c(a b) + t(a b))

and P(w | b) likewise over P(w), and that over equal shares, where c(h) is how often a history h was followed by
anything, t(h) by how many different words, and P_ml(w | h) = c(h w) / c(h).

Method C of Witten and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37(4), 1991, in the
recursive form that Chen and Goodman call Witten-Bell smoothing in "An empirical study of smoothing techniques for
language modeling".

Only words are counted as followers, since only words are suggested.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.vocabulary import FIRST_WORD


@dataclass(frozen=True)
class _Followers:
    """What followed each history of one length; its followers lie between two `begins`."""

    histories: NDArray[np.int64]  # [H], sorted
    begins: NDArray[np.int64]  # [H + 1]
    words: NDArray[np.int64]  # [entries]
    shares: NDArray[np.float64]  # [entries], k * P_ml
    left: NDArray[np.float64]  # [H], 1 - k

    def mix(self, scores: NDArray[np.float64], histories: NDArray[np.int64]) -> None:
        """Turn scores of shorter histories, [n, V], into those of these, [n], in place; an unseen one changes none.

        The scores lie row by row without a gap.
        """
        place = np.minimum(np.searchsorted(self.histories, histories), len(self.histories) - 1)  # [n]
        seen = self.histories[place] == histories  # [n]
        scores *= np.where(seen, self.left[place], 1.0)[:, None]  # all rows: some of them would be copied out and in
        rows = np.flatnonzero(seen)
        place = place[rows]
        sizes = self.begins[place + 1] - self.begins[place]  # [rows]
        entry = np.arange(sizes.sum()) + np.repeat(self.begins[place] - np.cumsum(sizes) + sizes, sizes)
        to = np.repeat(rows * scores.shape[1], sizes) + self.words[entry]
        scores.reshape(-1)[to] += self.shares[entry]


class WittenBell:
    """Word probabilities after one or two tokens.

    Args:
        before: int [n], the token before the last one, of each position that was counted.
        last: int [n], the token before the word.
        word: int [n], ids >= FIRST_WORD.
        size: of the vocabulary.
    """

    def __init__(
        self,
        before: NDArray[np.integer[Any]],
        last: NDArray[np.integer[Any]],
        word: NDArray[np.integer[Any]],
        size: int,
    ) -> None:
        self._size = size
        counts = np.bincount(word, minlength=size).astype(np.float64)  # [V]
        total, kinds = counts.sum(), np.count_nonzero(counts)
        even = np.where(np.arange(size) >= FIRST_WORD, 1 / max(size - FIRST_WORD, 1), 0.0)  # [V]
        self._unigram = (counts + kinds * even) / (total + kinds) if total else even
        self._after_one = _followers(last.astype(np.int64), word, size)
        self._after_two = _followers(self._pair(before, last), word, size)

    def _pair(self, before: NDArray[np.integer[Any]], last: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        return before.astype(np.int64) * self._size + last

    def after_one(self, last: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """P(w | last): float64 [n, V] for int [n]."""
        scores = np.repeat(self._unigram[None], len(last), axis=0)  # [n, V]
        if len(self._after_one.histories):
            self._after_one.mix(scores, last.astype(np.int64))
        return scores

    def after_two(self, before: NDArray[np.integer[Any]], last: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """P(w | before last): float64 [n, V] for two int [n]."""
        scores = self.after_one(last)
        self.also_after(scores, before, last)
        return scores

    def also_after(
        self, scores: NDArray[np.float64], before: NDArray[np.integer[Any]], last: NDArray[np.integer[Any]]
    ) -> None:
        """Turn P(w | last), [n, V], as `after_one` gave it, into P(w | before last), in place."""
        if len(self._after_two.histories):
            self._after_two.mix(scores, self._pair(before, last))


def _followers(history: NDArray[np.int64], word: NDArray[np.integer[Any]], size: int) -> _Followers:
    seen, counts = np.unique(history * size + word, return_counts=True)
    histories, first = np.unique(seen // size, return_index=True)
    begins = np.append(first, len(seen))
    kinds = np.diff(begins)  # [H], t
    totals = np.add.reduceat(counts, first) if len(seen) else np.zeros(0, np.int64)  # [H], c
    weight = 1 / (totals + kinds)  # [H]
    return _Followers(
        histories=histories,
        begins=begins,
        words=seen % size,
        shares=counts * np.repeat(weight, kinds),
        left=kinds * weight,
    )
