"""A seeded population of phones with English messages, made on the fly and never stored.

Purpose: run the simulator at any scale with nothing to download. The words and their order are those
of a chain of real bigrams (`bigram_chain`).

Each phone differs from the others as real ones do:

1. it writes a log-normal number of messages of log-normal length;
2. it has a main topic; a topic reweights every bigram, so phones prefer different words;
3. it has private words (names) that no other phone uses;
4. some of its messages are stock phrases that many phones forward word for word.

Every draw is a hash of (seed, purpose, phone, message, position) - see `keyed_random` - so any
subset of a phone's messages can be made without the others, in any process, with the same result.

The constants below were fitted to statistics of real phone messages;
`python scripts/describe_population.py` prints each beside its target.

Example:
    >>> population = SyntheticPopulation(seed=0, num_phones=1_000_000)
    >>> text = population.messages(123_456)
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key, uniform
from client_model.text.bigram_chain import NUM_TOPICS, STOCK_PHRASES, chain_of, owner_and_place, walk
from client_model.text.vocabulary import PUNCTUATION

MESSAGES_LOG_MEAN, MESSAGES_LOG_STD, MESSAGES_MAX = 2.8, 2.0, 5000
WORDS_LOG_MEAN, WORDS_LOG_STD, WORDS_MAX = 1.94, 0.94, 190
MAIN_TOPIC_SHARE = 0.9  # of a phone's messages; the rest are on any topic
PRIVATE_WORDS, PRIVATE_SHARE = 40, 0.035
STOCK_SHARE = 0.15
END_MARK_SHARE, COMMA_SHARE = 0.4, 0.03
_MESSAGES_A_BLOCK = 16_000


def _private_name(code: int) -> str:
    """A pronounceable made-up word of three or four syllables."""
    consonants, vowels = "bcdfgjklmnprstvz", "aeiou"
    syllables = []
    for _ in range(3 + code % 2):
        code, c = divmod(code, len(consonants))
        code, v = divmod(code, len(vowels))
        syllables.append(consonants[c] + vowels[v])
    return "".join(syllables)


class SyntheticPopulation:
    """Phones 0 .. num_phones - 1 and their messages, as ids into `lexicon`.

    Ids at or past len(lexicon) are words private to one phone.
    """

    def __init__(self, seed: int, num_phones: int) -> None:
        self.seed, self.num_phones = seed, num_phones
        self._keys = {
            purpose: purpose_key(seed, f"synthetic: {purpose}")
            for purpose in (
                *("messages", "words", "topic", "message topic", "next word", "stock", "which phrase"),
                *("private", "which private", "end mark", "which mark", "comma", "name", "digest"),
            )
        }

    @property
    def lexicon(self) -> list[str]:
        """Distinct words that several phones may use."""
        return chain_of(self.seed).lexicon

    @property
    def unlisted_word_letters(self) -> int:
        """Private words have three or four syllables of two letters."""
        return 7

    @property
    def skipped_lines(self) -> int:
        """No file, so no bad lines."""
        return 0

    def digests(self) -> NDArray[np.uint64]:
        """uint64 [num_phones], a stable identity of each phone."""
        return hash_uint64(self._keys["digest"], np.arange(self.num_phones))

    def num_messages(self, phone: int) -> int:
        """How many messages the phone holds; log-normal."""
        return int(self._message_counts(np.array([phone]))[0])

    def _message_counts(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        normal = scipy.special.ndtri(uniform(self._keys["messages"], phones))
        counts = np.clip(np.exp(MESSAGES_LOG_MEAN + MESSAGES_LOG_STD * normal), 1, MESSAGES_MAX)
        whole: NDArray[np.int64] = counts.astype(np.int64)
        return whole

    def tokens_of_phones(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens on each of several phones, without making the text: int64 [len(phones)]."""
        found = [np.zeros(0, np.int64)]
        for lengths, sizes in self.message_lengths_of_phones(phones):
            found.append(np.add.reduceat(lengths, np.cumsum(sizes) - sizes))
        return np.concatenate(found)

    def message_lengths_of_phones(
        self, phones: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(tokens of each message, messages of each phone) of some of the phones at a time, in their order."""
        for mine, sizes in self._blocks(phones):
            ends = np.cumsum(sizes)
            messages = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
            yield self._lengths(*self._plan(np.repeat(mine, sizes), messages)), sizes

    def _blocks(self, phones: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(some phones, how many messages each holds), the next ones after them."""
        counts = self._message_counts(phones)
        block = np.cumsum(counts) // _MESSAGES_A_BLOCK
        edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(phones)]
        for begin, end in pairwise(edges):
            if begin < end:
                yield phones[begin:end], counts[begin:end]

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """Tokens of each message, without making the text: int64 [messages]."""
        messages = np.arange(self.num_messages(phone))
        return self._lengths(*self._plan(np.full(len(messages), phone), messages))

    def _lengths(
        self, words: NDArray[np.int64], phrase: NDArray[np.int64], mark: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        stock = np.diff(chain_of(self.seed).phrase_offsets)
        return np.where(phrase >= 0, stock[phrase], words + mark)

    def _plan(
        self, phones: NDArray[np.int64], messages: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(own words, stock phrase or -1, ends with a mark) of each message."""
        k = self._keys
        normal = scipy.special.ndtri(uniform(k["words"], phones, messages))
        words = np.clip(np.exp(WORDS_LOG_MEAN + WORDS_LOG_STD * normal), 1, WORDS_MAX)
        is_stock = uniform(k["stock"], phones, messages) < STOCK_SHARE
        # Popularity falls as 1 / sqrt(rank).
        rank = STOCK_PHRASES * uniform(k["which phrase"], phones, messages) ** 2
        phrase = np.where(is_stock, np.minimum(rank.astype(np.int64), STOCK_PHRASES - 1), -1)
        mark = uniform(k["end mark"], phones, messages) < END_MARK_SHARE
        return words.astype(np.int64), phrase, mark

    def types(
        self, phone: int, messages: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Type ids of some (or all) messages of a phone: (int64 [tokens], offsets int64 [n + 1])."""
        if messages is None:
            messages = np.arange(self.num_messages(phone))
        return self._make(np.full(len(messages), phone), messages)

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """`types` of whole phones, made together in blocks: several times faster than one by one."""
        found = []
        for mine, sizes in self._blocks(phones):
            ends = np.cumsum(sizes)
            flat, offsets = self._make(np.repeat(mine, sizes), np.arange(ends[-1]) - np.repeat(ends - sizes, sizes))
            for end, size in zip(ends, sizes, strict=True):
                own = offsets[end - size : end + 1]
                found.append((flat[own[0] : own[-1]], own - own[0]))
        return found

    def _make(
        self, phones: NDArray[np.int64], messages: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Type ids of any messages of any phones: (int64 [tokens], offsets int64 [messages + 1])."""
        k, chain = self._keys, chain_of(self.seed)
        words, phrase, mark = self._plan(phones, messages)
        offsets = np.concatenate([[0], np.cumsum(self._lengths(words, phrase, mark))])
        made = np.empty(offsets[-1], np.int64)

        own_lengths = np.where(phrase >= 0, 0, words)
        flat, own_offsets = walk(
            chain,
            self._topics(phones, messages),
            own_lengths,
            key=k["next word"],
            phones=phones,
            messages=messages,
        )
        owner, place = owner_and_place(own_offsets)

        def draw(purpose: str) -> NDArray[np.float64]:
            return uniform(hash_uint64(k[purpose], phones, messages)[owner], place)

        types = flat.astype(np.int64)
        private = np.flatnonzero(draw("private") < PRIVATE_SHARE)
        phone, message = phones[owner[private]], messages[owner[private]]
        rank = (PRIVATE_WORDS + 1) ** uniform(k["which private"], phone, message, place[private]) - 1
        types[private] = len(chain.lexicon) + phone * PRIVATE_WORDS + rank.astype(np.int64)
        types[(draw("comma") < COMMA_SHARE) & (place > 0)] = PUNCTUATION.index(",")
        made[offsets[owner] + place] = types

        marked = np.flatnonzero(mark & (phrase < 0))
        is_question = uniform(k["which mark"], phones[marked], messages[marked]) < 0.25
        made[offsets[marked + 1] - 1] = np.where(is_question, 2, 0)  # ids of "?" and "."
        stock = np.flatnonzero(phrase >= 0)
        begins = chain.phrase_offsets[phrase[stock]]
        owner, place = owner_and_place(
            np.concatenate([[0], np.cumsum(chain.phrase_offsets[phrase[stock] + 1] - begins)])
        )
        made[offsets[stock[owner]] + place] = chain.phrases[begins[owner] + place]
        return made, offsets

    def _topics(self, phones: NDArray[np.int64], messages: NDArray[np.int64]) -> NDArray[np.int64]:
        """The topic of each message: mostly the phone's main one."""
        main = (hash_uint64(self._keys["topic"], phones) % np.uint64(NUM_TOPICS)).astype(np.int64)
        draw = uniform(self._keys["message topic"], phones, messages)
        other = ((1 - draw) / (1 - MAIN_TOPIC_SHARE) * NUM_TOPICS).astype(np.int64) % NUM_TOPICS
        return np.where(draw < MAIN_TOPIC_SHARE, main, other)

    def messages(self, phone: int) -> list[str]:
        """The phone's text, for people to read."""
        flat, offsets = self.types(phone)
        lexicon = self.lexicon
        words = [lexicon[t] if t < len(lexicon) else self._private_word(int(t)) for t in flat]
        return [" ".join(words[a:b]) for a, b in pairwise(offsets)]

    def _private_word(self, type_id: int) -> str:
        return _private_name(int(hash_uint64(self._keys["name"], type_id)))
