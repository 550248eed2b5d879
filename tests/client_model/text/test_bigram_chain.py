import numpy as np
import pytest

from client_model.keyed_random import purpose_key, uniform
from client_model.text import bigram_chain
from client_model.text.bigram_chain import JUMP_SHARE, NUM_TOPICS, chain_of, walk
from client_model.text.vocabulary import PUNCTUATION


def test_the_chain_is_walked_as_if_word_by_word():
    chain, key = chain_of(5), purpose_key(1, "a walk")
    topics, lengths = np.array([3, 0, 15, 3]), np.array([40, 1, 0, 25])
    phones, messages = np.array([7, 7, 8, 9]), np.array([0, 1, 0, 4])
    flat, offsets = walk(chain, topics, lengths, key=key, phones=phones, messages=messages)
    assert np.diff(offsets).tolist() == lengths.tolist()
    starts, size = len(chain.row_start) - 2, len(chain.successor) + 1
    expected = []
    for topic, length, phone, message in zip(topics, lengths, phones, messages, strict=True):
        row, of_topic = starts, chain.cumulative[topic * size : (topic + 1) * size]
        for place in range(length):
            draw = float(uniform(key, phone, message, place))
            jumps = draw < JUMP_SHARE
            row = starts if jumps else row
            draw = draw / JUMP_SHARE if jumps else (draw - JUMP_SHARE) / (1 - JUMP_SHARE)
            begin, end = chain.row_start[row], chain.row_start[row + 1]
            target = of_topic[begin] + draw * (of_topic[end] - of_topic[begin])
            pair = np.clip(np.searchsorted(of_topic, target, side="right") - 1, begin, end - 1)
            expected.append(chain.successor[pair] + len(PUNCTUATION))
            row = chain.next_row[chain.successor[pair]]
    assert flat.tolist() == expected


def test_the_listed_pairs_are_those_of_suitable_words():
    words, first, second, counts = bigram_chain._read_bigrams()
    assert words == sorted({words[i] for i in [*first, *second]})
    assert all(word.isalpha() and (len(word) > 1 or word in "ai") for word in words)
    assert not bigram_chain.UNSUITABLE.intersection(words)
    assert len(first) == len(second) == len(counts) > 200_000 and counts.min() > 0
    assert words[first[0]] == "abcs" and words[second[0]] == "of" and counts[0] == 10956800  # the file's first line


def searched(chain, topic, state, draw):
    """What `_draw` gives, by a search through all of the chain."""
    shift = topic * (len(chain.successor) + 1)
    begin, end = chain.row_start[state] + shift, chain.row_start[state + 1] + shift
    low = chain.cumulative[begin]
    target = low + draw * (chain.cumulative[end] - low)
    pair = np.searchsorted(chain.cumulative, target, side="right") - 1
    return chain.successor[np.clip(pair, begin, end - 1) - shift]


@pytest.mark.parametrize("seed", [5, 11])
@pytest.mark.parametrize("follows", [True, False])
def test_a_word_is_found_as_in_a_search_of_all_of_the_chain(seed, follows):
    chain, random = chain_of(seed), np.random.default_rng(seed)
    topics, last = np.arange(NUM_TOPICS) * (len(chain.successor) + 1), len(chain.row_start) - 2
    edges = np.arange(1, 1 << 15) / (1 << 15)
    ends = np.array([5e-324, 1 / bigram_chain._PARTS, np.nextafter(1, 0), 1.0])
    draw = np.concatenate([random.random(50_000), edges, np.nextafter(edges, 0), np.repeat(ends, 50)])
    topic = random.integers(0, NUM_TOPICS, len(draw))
    state = chain.next_row[random.integers(0, len(chain.next_row), len(draw))] if follows else last
    found = bigram_chain._draw(chain, topic, state, draw)
    np.testing.assert_array_equal(found, searched(chain, topic, state, draw))
    assert len(np.unique(found)) > 1000 and chain.cumulative[topics].tolist() == list(range(NUM_TOPICS))
