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


@pytest.mark.parametrize("seed", [5, 11])
def test_a_word_that_follows_no_bigram_is_found_as_in_a_search_of_the_whole_row(seed):
    chain, random = chain_of(seed), np.random.default_rng(seed)
    part = bigram_chain._PART
    edges = np.arange(0, 1, part)[1:]
    draw = np.concatenate(
        [random.random(20_000), edges, np.nextafter(edges, 0), [5e-324, part, np.nextafter(1, 0), 1.0]]
    )
    topic = random.integers(0, NUM_TOPICS, len(draw))
    last_row = np.full(len(draw), len(chain.row_start) - 2)
    found = bigram_chain._draw_starters(chain, topic, draw)
    np.testing.assert_array_equal(found, bigram_chain._draw_successors(chain, topic, last_row, draw))
    assert len(np.unique(found)) > 1000
