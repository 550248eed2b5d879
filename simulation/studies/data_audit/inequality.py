"""How unequal phones are, and which words one phone alone wrote."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.text.tokenising import Tokenised
from client_model.text.vocabulary import may_enter
from typefleet.steps import each

TOPS = (0.01, 0.1)


@dataclass(frozen=True)
class Spread:
    """How something is spread over phones."""

    gini: float  # 0: each has as much; towards 1: one has all
    median: float
    largest: int  # of one phone
    largest_share: float  # of all, that one phone has
    top_shares: tuple[float, ...]  # of all, that the phones with most have: of `TOPS` of the phones


@dataclass(frozen=True)
class LoneWords:
    """Words that one phone alone wrote: nobody else's text hides whose they are."""

    distinct: int  # words and emoji in the text
    lone: int  # of those, that one phone wrote
    lone_share_of_text: float | None  # of all words written, those; None: there are no words
    phones_with_lone: int


def spread(amounts: NDArray[np.int64]) -> Spread:
    """How amounts are spread, with the Gini coefficient of the sample (Gini 1912; Sen 1973, section 2.8).

    Args:
        amounts: int64 [phones], each > 0.
    """
    rising = np.sort(amounts)
    n, total = len(rising), int(rising.sum())
    gini = float(((2 * np.arange(1, n + 1) - n - 1) * rising).sum() / (n * total))
    tops = tuple(float(rising[n - max(round(top * n), 1) :].sum() / total) for top in TOPS)
    return Spread(gini, float(np.median(rising)), int(rising[-1]), float(rising[-1] / total), tops)


def lone_words(text: Tokenised) -> LoneWords:
    """Count the words that one phone alone wrote.

    Args:
        text: of all phones.
    """
    size = len(text.lexicon)
    is_word = np.fromiter((may_enter(token) for token in text.lexicon), bool, size)
    writers, writer = np.zeros(size, np.int64), np.zeros(size, np.int64)
    bounds = text.message_offsets[text.first_message]  # [phones + 1]
    phones = len(bounds) - 1
    for phone in each("counting who wrote each word", range(phones), phones):
        written = np.unique(text.types[bounds[phone] : bounds[phone + 1]])
        writers[written] += 1
        writer[written] = phone
    counts = np.bincount(text.types, minlength=size)
    lone, words = is_word & (writers == 1), int(counts[is_word].sum())
    return LoneWords(
        distinct=int(is_word.sum()),
        lone=int(lone.sum()),
        lone_share_of_text=float(counts[lone].sum() / words) if words else None,
        phones_with_lone=len(np.unique(writer[lone])),
    )
