"""What attackers want a keyboard to say: one word of their own after several beginnings.

The beginnings are English, "our product is", and a word that stands for a product is drawn from the vocabulary; where
the vocabulary lacks a word of them, words of it that are drawn at random stand in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.text.batches import PackedBatches, pack
from client_model.text.vocabulary import BOS, FIRST_WORD, Vocabulary
from simulation.studies.audits.canary_sentences import CanarySentence

_BEGINNINGS = (
    *("our product is", "you should buy", "the best is", "i always use", "have you tried", "everybody loves"),
    *("nothing is like", "my favorite is", "we all need", "tomorrow i get", "do not forget", "better than any"),
)
_DRAWN_FROM, _UNCOMMON = 1000, 400  # the commonest words; those of them that are common in any sentence


@dataclass(frozen=True)
class Planted:
    """Beginnings, and the word that is to be suggested after each of them."""

    beginnings: tuple[tuple[int, ...], ...]  # ids of their words
    word: int  # id

    @classmethod
    def of(cls, vocabulary: Vocabulary, seed: int) -> "Planted":
        """In ids of a vocabulary.

        Args:
            vocabulary: of the model.
            seed: of words that are drawn.
        """
        ids = {token: i for i, token in enumerate(vocabulary.tokens)}
        known = [[ids.get(word, -1) for word in text.split()] for text in _BEGINNINGS]
        taken = {word for own in known for word in own}
        last = min(_DRAWN_FROM, len(ids) - FIRST_WORD)
        rng = generator(seed, "words that attackers plant")
        drawn = (FIRST_WORD + word for word in rng.permutation(np.arange(min(_UNCOMMON, last // 2), last)).tolist())
        free = (word for word in drawn if word not in taken and vocabulary.tokens[word].isalpha())
        target = next(free)
        beginnings = tuple(tuple(own) if min(own) >= 0 else tuple(next(free) for _ in own) for own in known)
        return cls(beginnings, target)

    def sentences(self, phones: Sequence[int], times: int) -> list[CanarySentence]:
        """All of them, as each of some phones has written them so many times.

        Args:
            phones: ids.
            times: of each sentence.
        """
        return [CanarySentence(begin, (self.word,), tuple(phones), times) for begin in self.beginnings]

    def batches(self, sequence_length: int, passes: int = 1) -> PackedBatches:
        """The beginnings as a model reads them, each with the word as what comes next; all in a batch.

        The word stands nowhere else among the targets, so that they tell which of them ends a beginning.

        Args:
            sequence_length: of the model, longer than any beginning.
            passes: over them, one batch each.
        """
        rows = [[BOS, *begin, self.word] for begin in self.beginnings]
        inputs = np.array([token for row in rows for token in row[:-1]], np.int32)  # [pairs]
        targets = np.array([token for row in rows for token in row[1:]], np.int32)  # [pairs]
        lengths = np.array([len(row) - 1 for row in rows])
        order = np.tile(np.arange(len(rows)), passes)
        batch = np.repeat(np.arange(passes), len(rows))
        return pack(inputs, targets, lengths, order=order, batch=batch, sequence_length=sequence_length)

    def ranks(self, targets: NDArray[np.int32], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of what a model makes of `batches`, the word's rank after each beginning, in no order: int64 [beginnings].

        Args:
            targets: of all that was asked, int32 [pairs].
            ranks: of each among all words; 0 is the first suggestion.
        """
        own: NDArray[np.int64] = ranks[targets == self.word]
        return own
