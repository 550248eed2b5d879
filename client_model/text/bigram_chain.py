"""A topic-weighted bigram chain of English, and walks along it: the words of synthetic text.

The words and their order come from the 243,342 real bigram counts that ship inside the PyPI package `symspellpy` (MIT
licence). A topic reweights every bigram. Many words follow no bigram at all, among them those that start a message.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key, uniform
from client_model.text.vocabulary import PUNCTUATION

_BIGRAM_FILE = "frequency_bigramdictionary_en_243_342.txt"

NUM_TOPICS = 16
TOPIC_STRENGTH = 1.3  # standard deviation of a word's log weight between topics
COUNT_EXPONENT = 0.7  # < 1 flattens web counts towards those of phone messages
JUMP_EXPONENT = 0.8  # the same for words that follow no bigram
JUMP_SHARE = 0.6  # of the words follow no bigram; phone messages are less regular than the web
STOCK_PHRASES = 2000
# The counts were taken from the whole web; a keyboard that anybody may try should not suggest these.
UNSUITABLE = frozenset(
    """anal ass bdsm blowjob boobs breasts cock cum cunt dick ejaculation erotic erotica fetish fuck fucking
    gangbang hardcore heroin horny incest lolita masturbation milf naked nude nudist nudity orgasm orgy penis
    porn porno pornography pussy rape sex sexual sexy shemale shit slut sluts sucking tits topless tranny
    upskirt vagina viagra voyeur whore xxx""".split()  # noqa: SIM905
)
_PARTS = 1 << 17  # into which the cumulative weights of a topic are divided; a power of two, so that no product rounds


@dataclass(frozen=True)
class BigramChain:
    """The chain of one seed as one sorted array.

    Row s lists the successors of word s; row len(words) lists the words that follow no bigram, those that start a
    message among them, and stands in for words without successors.
    """

    lexicon: list[str]  # PUNCTUATION, then words
    successor: NDArray[np.int32]  # [pairs], the second word
    row_start: NDArray[np.int64]  # [words + 2], into successor
    next_row: NDArray[np.int64]  # [words], the row that follows a word
    cumulative: NDArray[np.float64]  # [topics * (pairs + 1)], topic k runs from k to k + 1
    first_pair: NDArray[np.int32]  # [topics * _PARTS + 1], place in `cumulative` of the last number below each part
    phrases: NDArray[np.int64]  # type ids of all stock phrases, end to end
    phrase_offsets: NDArray[np.int64]  # [STOCK_PHRASES + 1]


def _read_bigrams() -> tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    fields = (files("symspellpy") / _BIGRAM_FILE).read_text(encoding="utf-8").split()
    counts = np.fromiter(map(int, fields[2::3]), np.float64)
    seen: dict[str, int] = defaultdict(itertools.count().__next__)  # each word gets a number when it is first looked up
    numbers = np.array([np.fromiter(map(seen.__getitem__, fields[n::3]), np.int64) for n in (0, 1)])  # [2, pairs]
    listed = sorted(seen)
    usable = np.array([w.isalpha() and (len(w) > 1 or w in "ai") and w not in UNSUITABLE for w in listed])
    rank = np.empty(len(listed), np.int64)
    rank[[seen[word] for word in listed]] = np.arange(len(listed))
    pairs = rank[numbers]
    kept = usable[pairs].all(0)
    in_use = np.zeros(len(listed), bool)
    in_use[pairs[:, kept]] = True
    place = np.cumsum(in_use) - 1  # of a word among those in use
    words = [listed[i] for i in np.flatnonzero(in_use)]
    return words, place[pairs[0, kept]], place[pairs[1, kept]], counts[kept]


@lru_cache(maxsize=2)
def chain_of(seed: int) -> BigramChain:
    """Build the chain of one seed; takes about a third of a second, once a process."""
    words, first, second, counts = _read_bigrams()
    num_words = len(words)
    order = np.argsort(first * num_words + second, kind="stable")  # long pieces are in order
    first, second, weight = first[order], second[order], counts[order] ** COUNT_EXPONENT
    start_weight = np.bincount(first, counts[order], num_words) ** JUMP_EXPONENT
    starters = np.flatnonzero(start_weight)
    start_weight = start_weight[starters] * (weight.sum() / start_weight.sum())

    successor = np.concatenate([second, starters])
    state = np.concatenate([first, np.full(len(starters), num_words)])
    row_start = np.searchsorted(state, np.arange(num_words + 2)).astype(np.int64)
    cumulative = _cumulative(seed, successor, np.concatenate([weight, start_weight])).ravel()
    words_with_row = row_start[1:-1] > row_start[:-2]
    nothing = np.zeros(0, np.int64)
    chain = BigramChain(
        lexicon=list(PUNCTUATION) + words,
        successor=successor.astype(np.int32),
        row_start=row_start,
        next_row=np.where(words_with_row, np.arange(num_words), num_words),
        cumulative=cumulative,
        first_pair=_first_pairs(cumulative),
        phrases=nothing,
        phrase_offsets=nothing,
    )
    key = purpose_key(seed, "stock phrases")
    phrase = np.arange(STOCK_PHRASES)
    lengths = 3 + (uniform(purpose_key(seed, "stock phrase length"), phrase) * 14).astype(np.int64)
    flat, offsets = walk(chain, phrase % NUM_TOPICS, lengths, key=key, phones=np.zeros_like(phrase), messages=phrase)
    return replace(chain, phrases=flat.astype(np.int64), phrase_offsets=offsets)


def _cumulative(seed: int, successor: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative weights of all pairs by topic: float64 [topics, pairs + 1], from k to k + 1 for topic k."""
    num_words = int(successor.max()) + 1
    topics = np.arange(NUM_TOPICS)
    normal = scipy.special.ndtri(uniform(purpose_key(seed, "topic of a word"), topics[:, None], np.arange(num_words)))
    of_word = np.exp(TOPIC_STRENGTH * normal)  # [topics, words]
    found = np.empty((NUM_TOPICS, len(successor) + 1))
    for topic in topics:  # one at a time, which stays in the processor's cache
        row = found[topic, 1:]
        np.cumsum(weight * of_word[topic, successor], out=row)
        row /= row[-1].copy()
        row += topic
    found[:, 0] = topics
    return found


def _first_pairs(cumulative: NDArray[np.float64]) -> NDArray[np.int32]:
    """Where the search for a number in any part of the cumulative weights begins; see `_draw`.

    Args:
        cumulative: float64 [topics * (pairs + 1)].

    Returns:
        int32 [topics * _PARTS + 1], places in `cumulative`.
    """
    in_part = np.bincount((cumulative * _PARTS).astype(np.int64), minlength=NUM_TOPICS * _PARTS + 1)
    return np.maximum(np.cumsum(in_part) - in_part - 1, 0).astype(np.int32)


def walk(
    chain: BigramChain,
    topics: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    key: np.uint64,
    phones: NDArray[np.int64],
    messages: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Walk the chain once for each message of some phones: (type ids flat, offsets [messages + 1]).

    A word that follows no bigram does not depend on the one before it, so the text falls into short runs. The
    first words of all runs are drawn together, then all second ones, and so on.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    owner, place = owner_and_place(offsets)
    draw = uniform(hash_uint64(key, phones, messages)[owner], place)  # [tokens]
    jump = draw < JUMP_SHARE
    draw = np.where(jump, draw / JUMP_SHARE, (draw - JUMP_SHARE) / (1 - JUMP_SHARE))
    topic = topics[owner]
    flat = np.zeros(len(draw), np.int32)
    follows = np.append((place > 0) & ~jump, False)  # by a bigram; the last entry stands for the end of the text
    token = np.flatnonzero(~follows[:-1])
    word = _draw(chain, topic[token], len(chain.next_row), draw[token])
    while len(token):
        flat[token] = word + len(PUNCTUATION)
        goes_on = follows[token + 1]
        token, state = token[goes_on] + 1, chain.next_row[word[goes_on]]
        word = _draw(chain, topic[token], state, draw[token])
    return flat, offsets


def _draw(
    chain: BigramChain, topic: NDArray[np.int64], state: NDArray[np.int64] | int, draw: NDArray[np.float64]
) -> NDArray[np.int32]:
    """A word of row `state`, or of one row for all, for each uniform draw, by the weights of its topic.

    A sorted search through all of the chain would leave the processor's cache. The last pair below each part of the
    weights is known, and the one that a number falls in is at that place or a few ahead.
    """
    shift = topic * (len(chain.successor) + 1)
    begin, last = chain.row_start[state] + shift, chain.row_start[state + 1] + (shift - 1)
    low = chain.cumulative[begin]
    target = low + draw * (chain.cumulative[last + 1] - low)
    pair = np.maximum(chain.first_pair[(target * _PARTS).astype(np.int64)], begin)
    ahead = np.arange(len(pair))
    while len(ahead):
        there = pair[ahead]
        ahead = ahead[(chain.cumulative[there + 1] <= target[ahead]) & (there < last[ahead])]
        pair[ahead] += 1
    word: NDArray[np.int32] = chain.successor[pair - shift]
    return word


def owner_and_place(offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each token, the index of its message and its place in it."""
    lengths = np.diff(offsets)
    return np.repeat(np.arange(len(lengths)), lengths), np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
