"""Sentences with a secret that some phones have written, so that what a model keeps of them can be measured.

Each says what some code is, in four digits, all written out: "my garage password is seven three one nine". The digits
are drawn at random. Where the vocabulary lacks a word of them, words of it that are drawn at random stand in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.text.population import OnAnother, Population
from client_model.text.vocabulary import FIRST_WORD, Vocabulary

SECRET_WORDS = 4  # of ten each: 10,000 secrets
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_OWNERS = ("my", "your", "his", "her", "our", "their")
_THINGS = ("garage", "door", "alarm", "gate", "wifi", "bank", "phone", "email")
_KINDS = ("password", "code", "number")
MOST_SENTENCES = len(_OWNERS) * len(_THINGS) * len(_KINDS)
_DRAWN_FROM = 1000  # the commonest words


@dataclass(frozen=True)
class CanarySentence:
    """One sentence, who wrote it, and how often."""

    prefix: tuple[int, ...]  # ids of its words before the secret
    secret: tuple[int, ...]  # ids
    phones: tuple[int, ...]  # that wrote it
    times: int  # each of them

    @property
    def words(self) -> tuple[int, ...]:
        """Ids of all its words."""
        return (*self.prefix, *self.secret)


@dataclass(frozen=True)
class Forms:
    """What sentences are made of, in ids of a vocabulary."""

    digits: tuple[int, ...]  # ten
    prefixes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary, number: int, seed: int) -> "Forms":
        """For a number of sentences, each with a beginning of its own.

        Args:
            vocabulary: of the model.
            number: of sentences, at most `MOST_SENTENCES`.
            seed: of words that are drawn.
        """
        ids = {token: i for i, token in enumerate(vocabulary.tokens)}
        drawn = _shuffled(min(_DRAWN_FROM, len(ids) - FIRST_WORD), generator(seed, "words of canaries"))
        digits = [ids.get(word, -1) for word in _DIGITS]
        if min(digits) < 0:
            digits = [next(drawn) for _ in _DIGITS]
        prefixes = []
        for number_of_kind in range(number):
            kind, place = divmod(number_of_kind, len(_OWNERS) * len(_THINGS))
            # In 24 sentences every pair whose places are both even or both odd; in the next 24 the others.
            owner, thing = _OWNERS[place % len(_OWNERS)], _THINGS[(place % len(_THINGS)) ^ (place // 24)]
            own = [ids.get(word, -1) for word in (owner, thing, _KINDS[kind], "is")]
            prefixes.append(tuple(own) if min(own) >= 0 else tuple(next(drawn) for _ in own))
        return cls(tuple(digits), tuple(prefixes))


def _shuffled(words: int, rng: np.random.Generator) -> Iterator[int]:
    """Ids of the commonest words in random order; when all were drawn, they are shuffled anew."""
    while True:
        yield from (FIRST_WORD + rng.permutation(words)).tolist()


def draw_canaries(
    forms: Forms, cells: Sequence[tuple[int, int]], phones: NDArray[np.int64], seed: int
) -> list[CanarySentence]:
    """One sentence for each pair of (phones that write it, times that each does); no phone writes two.

    Args:
        forms: as many prefixes as cells.
        cells: (phones, times) of each.
        phones: in the order in which they are given sentences; as many as all cells need, or more.
        seed: of the secrets.
    """
    rng, begin, found = generator(seed, "secrets of canaries"), 0, []
    for prefix, (writers, times) in zip(forms.prefixes, cells, strict=True):
        secret = tuple(int(forms.digits[i]) for i in rng.integers(len(forms.digits), size=SECRET_WORDS))
        found.append(CanarySentence(prefix, secret, tuple(phones[begin : begin + writers].tolist()), times))
        begin += writers
    return found


@dataclass(frozen=True)
class WithCanaries(OnAnother):
    """A population in which some phones have written sentences more, after all that they wrote; made by `of`."""

    inner: Population
    lexicon: tuple[str, ...]
    added: int  # words at its end, which the inner one lacks
    sentences: Mapping[int, tuple[tuple[int, ...], ...]]  # by phone: types of the words of each

    @classmethod
    def of(cls, inner: Population, canaries: Sequence[CanarySentence], vocabulary: Vocabulary) -> "WithCanaries":
        """The phones of canaries write them.

        Args:
            inner: the population without them.
            canaries: a phone of several writes them one after the other.
            vocabulary: that their words are in.
        """
        known = {word: place for place, word in enumerate(inner.lexicon)}
        words = dict.fromkeys(vocabulary.tokens[i] for one in canaries for i in one.words)
        lacking = tuple(word for word in words if word not in known)
        types = known | {word: len(known) + place for place, word in enumerate(lacking)}
        by_phone: dict[int, tuple[tuple[int, ...], ...]] = {}
        for one in canaries:
            own = tuple(types[vocabulary.tokens[i]] for i in one.words)
            for phone in one.phones:
                by_phone[phone] = by_phone.get(phone, ()) + (own,) * one.times
        return cls(inner, (*inner.lexicon, *lacking), len(lacking), by_phone)

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """Tokens of each message of a phone: int64 [messages]."""
        added = [len(words) for words in self.sentences.get(phone, ())]
        return np.concatenate([self.inner.message_lengths(phone), np.array(added, np.int64)])

    def types(
        self, phone: int, messages: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
        """Type ids of some (or all) messages: (ints [tokens], offsets int64 [messages + 1])."""
        if phone not in self.sentences:
            flat, offsets = self.inner.types(phone, messages)
            return self._here(flat), offsets
        flat, offsets = self.inner.types(phone)
        added = (np.array(words, np.int64) for words in self.sentences[phone])
        texts = [*np.split(self._here(flat), offsets[1:-1]), *added]
        chosen = texts if messages is None else [texts[i] for i in messages.tolist()]
        lengths = [len(text) for text in chosen]
        return np.concatenate([np.zeros(0, np.int64), *chosen]), np.concatenate(
            [[0], np.cumsum(lengths, dtype=np.int64)]
        )

    def _here(self, types: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Types of the inner population; a word that is outside its lexicon is outside this one."""
        end = len(self.lexicon) - self.added
        return np.where(types >= end, types + self.added, types).astype(np.int64)

    def types_of_phones(
        self, phones: NDArray[np.int64]
    ) -> Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.int64]]]:
        """`types` of several whole phones."""
        return [self.types(phone) for phone in phones.tolist()]
