import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.config import TrainingConfig
from client_model.keyed_random import generator
from client_model.text.batches import (
    choose_sequences,
    evaluation_batches,
    last_sequences,
    pack,
    read_pairs,
    sequence_table,
    training_batches,
    training_tokens,
)
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import BOS, EOS

T = 6


class ListPopulation:
    """A population of given messages (lists of type ids)."""

    def __init__(self, phones):
        self.phones, self.lexicon, self.skipped_lines, self.num_phones = phones, list("abcdefghij"), 0, len(phones)

    def message_lengths(self, phone):
        return np.array([len(m) for m in self.phones[phone]], np.int64)

    def types(self, phone, messages=None):
        chosen = [self.phones[phone][m] for m in (range(len(self.phones[phone])) if messages is None else messages)]
        return np.array([t for m in chosen for t in m], np.int64), np.cumsum([0, *map(len, chosen)])

    def types_of_phones(self, phones):
        return [self.types(phone) for phone in phones]


LOOKUP = np.arange(8, 19, dtype=np.int32)
phones = st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=15), min_size=1, max_size=9), min_size=1)


def of_round(seed, server_round, sequence_length=T):
    return {"sequence_length": sequence_length, "seed": seed, "server_round": server_round}


def unpack(batches, sequence_length):
    """Sequences of each batch, as lists of (input, target) pairs, read by following the rows."""
    at, result = 0, []
    for rows in batches.step_rows:
        sequences = [[] for _ in range(rows[0])]
        for alive in rows:
            for r in range(alive):
                sequences[r].append((int(batches.inputs[at]), int(batches.targets[at])))
                at += 1
        result.append(sequences)
    assert at == len(batches.inputs) == len(batches.targets)
    return result


def expected_sequences(messages):
    for m in messages:
        stream = [BOS, *(int(LOOKUP[t]) for t in m), EOS]
        pairs = list(zip(stream[:-1], stream[1:], strict=True))
        for i in range(0, len(pairs), T):
            yield tuple(pairs[i : i + T])


@settings(max_examples=50)
@given(phones, st.integers(1, 4), st.integers(1, 3))
def test_every_pair_is_trained_once_an_epoch_and_nothing_else(all_phones, batch_size, epochs):
    population = ListPopulation(all_phones)
    config = TrainingConfig(batch_size=batch_size, epochs=epochs, max_sequences=1000, max_tokens=10_000)
    for phone in range(len(all_phones)):
        batches = training_batches(population, LOOKUP, phone, config, **of_round(0, 1))
        found = sorted(tuple(s) for batch in unpack(batches, T) for s in batch)
        assert found == sorted(list(expected_sequences(all_phones[phone])) * epochs)
        assert all(len(batch) <= batch_size for batch in unpack(batches, T))
        assert training_tokens(population, np.array([phone]), config, **of_round(0, 1)) == [batches.num_tokens]


@settings(max_examples=50)
@given(phones, st.integers(1, 5), st.integers(1, 30))
def test_caps_hold_and_the_token_count_is_known_before_the_text(all_phones, max_sequences, max_tokens):
    population = ListPopulation(all_phones)
    config = TrainingConfig(max_sequences=max_sequences, max_tokens=max_tokens, epochs=2)
    tokens = training_tokens(population, np.arange(len(all_phones)), config, **of_round(3, 9))
    for phone, known in enumerate(tokens.tolist()):
        batches = training_batches(population, LOOKUP, phone, config, **of_round(3, 9))
        sequences = [s for batch in unpack(batches, T) for s in batch]
        assert 1 <= len(sequences) / 2 <= max_sequences
        assert batches.num_tokens / 2 <= max_tokens or len(sequences) == 2
        assert known == batches.num_tokens


@pytest.mark.parametrize("max_tokens", [1, 60, 2000, 10**6])
def test_tokens_of_phones_made_on_the_fly_are_those_of_each(max_tokens):
    population, config = SyntheticPopulation(3, 400), TrainingConfig(max_tokens=max_tokens, max_sequences=200)
    phones = np.arange(400)[::-3]
    together = training_tokens(population, phones, config, **of_round(2, 5))
    alone = [training_tokens(population, phones[n : n + 1], config, **of_round(2, 5))[0] for n in range(len(phones))]
    assert together.tolist() == alone and together.dtype == np.int64
    tables = [sequence_table(population.message_lengths(int(phone)), T) for phone in phones]
    capped = [t.length.sum() > max_tokens or len(t.length) > 200 for t in tables]
    assert [t.length.sum() for t, above in zip(tables, capped, strict=True) if not above] == [
        n for n, above in zip(alone, capped, strict=True) if not above
    ]
    assert sum(capped) > 5


def test_rows_alive_never_grow_within_a_batch():
    population = SyntheticPopulation(0, 50)
    lookup = np.full(len(population.lexicon) + 1, 9, np.int32)
    for phone in range(50):
        rows = training_batches(population, lookup, phone, TrainingConfig(), **of_round(0, 1, 20)).step_rows
        assert (np.diff(rows, axis=1) <= 0).all() and (rows[:, 0] >= 1).all()


def test_one_word_message():
    batches = training_batches(ListPopulation([[[4]]]), LOOKUP, 0, TrainingConfig(), **of_round(0, 1))
    assert unpack(batches, T) == [[[(BOS, 12), (12, EOS)]]]


def test_a_phone_over_its_cap_trains_on_other_text_each_round():
    table = sequence_table(np.full(100, 3), 20)
    config = TrainingConfig(max_sequences=10)
    picks = [tuple(choose_sequences(table, config, generator(0, "x", r))) for r in range(5)]
    assert len(set(picks)) == 5


def test_evaluation_takes_the_newest_messages():
    population = ListPopulation([[[0], [1], [2], [3]]])
    batches, _ = evaluation_batches(population, LOOKUP, [0], 2, T)
    assert sorted(batches.inputs[batches.inputs != BOS].tolist()) == [10, 11]


@settings(max_examples=50)
@given(phones, st.integers(1, 4), st.integers(1, 40))
def test_phones_scored_together_keep_their_own_tokens(all_phones, max_sequences, batch_tokens):
    population, ids = ListPopulation(all_phones), list(range(len(all_phones)))
    together, tokens = evaluation_batches(population, LOOKUP, ids, max_sequences, T, batch_tokens=batch_tokens)
    owner = tokens.owner
    assert len(owner) == together.num_tokens
    for phone in ids:
        inputs, targets, lengths = last_sequences(population, LOOKUP, phone, max_sequences, T)
        mine = owner == phone
        assert sorted(zip(together.inputs[mine], together.targets[mine], strict=True)) == sorted(
            zip(inputs, targets, strict=True)
        )
        assert len(lengths) <= max_sequences
    longest = together.step_rows.sum(1).max()
    assert longest < batch_tokens + T  # a batch ends with the sequence that fills it


def test_read_pairs_is_whole_phones_in_order():
    population = ListPopulation([[[0, 1], [2]], [[3]], [[4]]])
    inputs, targets = read_pairs(population, LOOKUP, np.array([0, 2]))
    assert inputs.tolist() == [BOS, 8, 9, BOS, 10, BOS, 12]
    assert targets.tolist() == [8, 9, EOS, 10, EOS, 12, EOS]
    assert [len(part) for part in read_pairs(population, LOOKUP, np.array([], np.int64))] == [0, 0]


@pytest.mark.parametrize("lengths", [[5, 1, 3], [1], [6, 6, 6]])
def test_pack_orders_rows_longest_first(lengths):
    lengths = np.array(lengths)
    flat = np.arange(lengths.sum(), dtype=np.int32)
    order, batch = np.arange(len(lengths)), np.zeros(len(lengths), int)
    batches = pack(flat, flat, lengths, order=order, batch=batch, sequence_length=T)
    assert [len(s) for s in unpack(batches, T)[0]] == sorted(lengths.tolist(), reverse=True)
