"""A seeded population of phones with English messages, made on the fly and never stored.

Purpose: run the simulator at any scale with nothing to download. The words and their order come
from the 243,342 real bigram counts that ship inside the PyPI package `symspellpy` (MIT licence).

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
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key, uniform
from client_model.text.vocabulary import PUNCTUATION

BIGRAM_FILE = "frequency_bigramdictionary_en_243_342.txt"

MESSAGES_LOG_MEAN, MESSAGES_LOG_STD, MESSAGES_MAX = 2.8, 2.0, 5000
WORDS_LOG_MEAN, WORDS_LOG_STD, WORDS_MAX = 1.94, 0.94, 190
NUM_TOPICS = 16
TOPIC_STRENGTH = 1.3  # standard deviation of a word's log weight between topics
MAIN_TOPIC_SHARE = 0.9  # of a phone's messages; the rest are on any topic
COUNT_EXPONENT = 0.7  # < 1 flattens web counts towards those of phone messages
JUMP_EXPONENT = 0.8  # the same for words that follow no bigram
JUMP_SHARE = 0.6  # of the words follow no bigram; phone messages are less regular than the web
PRIVATE_WORDS, PRIVATE_SHARE = 40, 0.035
STOCK_PHRASES, STOCK_SHARE = 2000, 0.15
# The counts were taken from the whole web; a keyboard that anybody may try should not suggest these.
UNSUITABLE = frozenset(
    """anal ass bdsm blowjob boobs breasts cock cum cunt dick ejaculation erotic erotica fetish fuck fucking
    gangbang hardcore heroin horny incest lolita masturbation milf naked nude nudist nudity orgasm orgy penis
    porn porno pornography pussy rape sex sexual sexy shemale shit slut sluts sucking tits topless tranny
    upskirt vagina viagra voyeur whore xxx""".split()  # noqa: SIM905
)
END_MARK_SHARE, COMMA_SHARE = 0.4, 0.03
_MESSAGES_A_BLOCK = 16_000


@dataclass(frozen=True)
class _Language:
    """A topic-weighted bigram chain as one sorted array.

    Row s lists the successors of word s; row len(words) lists the words that start a message, and
    stands in for words without successors.
    """

    lexicon: list[str]  # PUNCTUATION, then words
    successor: NDArray[np.int32]  # [pairs], the second word
    row_start: NDArray[np.int64]  # [words + 2], into successor
    next_row: NDArray[np.int64]  # [words], the row that follows a word
    cumulative: NDArray[np.float64]  # [topics * (pairs + 1)], topic k runs from k to k + 1
    phrases: NDArray[np.int64]  # type ids of all stock phrases, end to end
    phrase_offsets: NDArray[np.int64]  # [STOCK_PHRASES + 1]


def _read_bigrams() -> tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    fields = (files("symspellpy") / BIGRAM_FILE).read_text(encoding="utf-8").split()
    first, second, counts = fields[::3], fields[1::3], np.array(fields[2::3], np.float64)
    listed = sorted({*first, *second})
    ids = {word: i for i, word in enumerate(listed)}
    usable = np.array([w.isalpha() and (len(w) > 1 or w in "ai") and w not in UNSUITABLE for w in listed])
    pairs = np.array([[ids[word] for word in column] for column in (first, second)])  # [2, pairs]
    kept = usable[pairs].all(0)
    in_use = np.zeros(len(listed), bool)
    in_use[pairs[:, kept]] = True
    place = np.cumsum(in_use) - 1  # of a word among those in use
    words = [listed[i] for i in np.flatnonzero(in_use)]
    return words, place[pairs[0, kept]], place[pairs[1, kept]], counts[kept]


@lru_cache(maxsize=2)
def _language(seed: int) -> _Language:
    """Build the chain of one seed; takes about a second, once a process."""
    words, first, second, counts = _read_bigrams()
    num_words = len(words)
    order = np.lexsort((second, first))
    first, second, weight = first[order], second[order], counts[order] ** COUNT_EXPONENT
    start_weight = np.bincount(first, counts[order], num_words) ** JUMP_EXPONENT
    starters = np.flatnonzero(start_weight)
    start_weight = start_weight[starters] * (weight.sum() / start_weight.sum())

    successor = np.concatenate([second, starters])
    state = np.concatenate([first, np.full(len(starters), num_words)])
    weight = np.concatenate([weight, start_weight])
    row_start = np.searchsorted(state, np.arange(num_words + 2)).astype(np.int64)
    topics = np.arange(NUM_TOPICS)[:, None]
    normal = scipy.special.ndtri(uniform(purpose_key(seed, "topic of a word"), topics, np.arange(num_words)))
    per_topic = weight * np.exp(TOPIC_STRENGTH * normal)[:, successor]  # [topics, pairs]
    cumulative = np.cumsum(per_topic, axis=1)
    cumulative = np.concatenate([topics, cumulative / cumulative[:, -1:] + topics], axis=1)
    words_with_row = row_start[1:-1] > row_start[:-2]
    next_row = np.where(words_with_row, np.arange(num_words), num_words)
    lexicon, nothing = list(PUNCTUATION) + words, np.zeros(0, np.int64)
    language = _Language(
        lexicon=lexicon,
        successor=successor.astype(np.int32),
        row_start=row_start,
        next_row=next_row,
        cumulative=cumulative.ravel(),
        phrases=nothing,
        phrase_offsets=nothing,
    )
    key = purpose_key(seed, "stock phrases")
    phrase = np.arange(STOCK_PHRASES)
    lengths = 3 + (uniform(purpose_key(seed, "stock phrase length"), phrase) * 14).astype(np.int64)
    flat, offsets = _walk(
        language, phrase % NUM_TOPICS, lengths, key=key, phones=np.zeros_like(phrase), messages=phrase
    )
    return replace(language, phrases=flat.astype(np.int64), phrase_offsets=offsets)


def _walk(
    language: _Language,
    topics: NDArray[np.int64],
    lengths: NDArray[np.int64],
    key: np.uint64,
    phones: NDArray[np.int64],
    messages: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Walk the chain once for each message of some phones: (type ids flat, offsets [messages + 1]).

    A word that follows no bigram does not depend on the one before it, so the text falls into short runs. The
    first words of all runs are drawn together, then all second ones, and so on.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    owner, place = _owner_and_place(offsets)
    draw = uniform(hash_uint64(key, phones, messages)[owner], place)  # [tokens]
    jump = draw < JUMP_SHARE
    draw = np.where(jump, draw / JUMP_SHARE, (draw - JUMP_SHARE) / (1 - JUMP_SHARE))
    shift = (topics * (len(language.successor) + 1))[owner]
    flat = np.zeros(len(draw), np.int32)
    follows = np.append((place > 0) & ~jump, False)  # by a bigram; the last entry stands for the end of the text
    token = np.flatnonzero(~follows[:-1])
    state = np.full(len(token), len(language.row_start) - 2)
    while len(token):
        word = _draw_successor(language, state, shift[token], draw[token])
        flat[token] = word + len(PUNCTUATION)
        goes_on = follows[token + 1]
        token, state = token[goes_on] + 1, language.next_row[word[goes_on]]
    return flat, offsets


def _draw_successor(
    language: _Language, state: NDArray[np.int64], shift: NDArray[np.int64], draw: NDArray[np.float64]
) -> NDArray[np.int32]:
    """A word of row `state` for each uniform draw; `shift` leads to the topic's part of the cumulative weights."""
    begin, end = language.row_start[state] + shift, language.row_start[state + 1] + shift
    low = language.cumulative[begin]
    target = low + draw * (language.cumulative[end] - low)
    order = np.argsort(target)  # a search for ascending numbers stays in the cache
    pair = np.empty(len(target), np.int64)
    pair[order] = np.searchsorted(language.cumulative, target[order], side="right") - 1
    word: NDArray[np.int32] = language.successor[np.clip(pair, begin, end - 1) - shift]
    return word


def _owner_and_place(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each token, the index of its message and its place in it."""
    lengths = np.diff(offsets)
    return np.repeat(np.arange(len(lengths)), lengths), np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


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
        return _language(self.seed).lexicon

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
        for mine, sizes in self._blocks(phones):
            ends = np.cumsum(sizes)
            messages = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
            lengths = self._lengths(*self._plan(np.repeat(mine, sizes), messages))
            found.append(np.add.reduceat(lengths, ends - sizes))
        return np.concatenate(found)

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
        stock = np.diff(_language(self.seed).phrase_offsets)
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
        k, language = self._keys, _language(self.seed)
        words, phrase, mark = self._plan(phones, messages)
        offsets = np.concatenate([[0], np.cumsum(self._lengths(words, phrase, mark))])
        made = np.empty(offsets[-1], np.int64)

        own_lengths = np.where(phrase >= 0, 0, words)
        flat, own_offsets = _walk(
            language,
            self._topics(phones, messages),
            own_lengths,
            key=k["next word"],
            phones=phones,
            messages=messages,
        )
        owner, place = _owner_and_place(own_offsets)

        def draw(purpose: str) -> NDArray[np.float64]:
            return uniform(hash_uint64(k[purpose], phones, messages)[owner], place)

        types = flat.astype(np.int64)
        private = np.flatnonzero(draw("private") < PRIVATE_SHARE)
        phone, message = phones[owner[private]], messages[owner[private]]
        rank = (PRIVATE_WORDS + 1) ** uniform(k["which private"], phone, message, place[private]) - 1
        types[private] = len(language.lexicon) + phone * PRIVATE_WORDS + rank.astype(np.int64)
        types[(draw("comma") < COMMA_SHARE) & (place > 0)] = PUNCTUATION.index(",")
        made[offsets[owner] + place] = types

        marked = np.flatnonzero(mark & (phrase < 0))
        is_question = uniform(k["which mark"], phones[marked], messages[marked]) < 0.25
        made[offsets[marked + 1] - 1] = np.where(is_question, 2, 0)  # ids of "?" and "."
        stock = np.flatnonzero(phrase >= 0)
        begins = language.phrase_offsets[phrase[stock]]
        owner, place = _owner_and_place(
            np.concatenate([[0], np.cumsum(language.phrase_offsets[phrase[stock] + 1] - begins)])
        )
        made[offsets[stock[owner]] + place] = language.phrases[begins[owner] + place]
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
