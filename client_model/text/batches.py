"""From a phone's messages to packed batches without padding.

A message of n tokens gives n + 1 (input, target) pairs: <bos> w1 .. wn predicts w1 .. wn <eos>.
Runs of more than `sequence_length` pairs are cut into consecutive sequences.

Packing: the rows of a batch are sorted by falling length and laid out time step by time step, so
step t holds only the `step_rows[t]` rows that are still running. Every packed position is a real
token with a real target, and no product is ever computed for padding. Sorting rows within a batch
changes nothing mathematically: the batch's gradient is a sum over its rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.config import TrainingConfig
from client_model.keyed_random import generator
from client_model.text.population import Population
from client_model.text.text_lengths import message_lengths_of_phones
from client_model.text.vocabulary import BOS, EOS, OOV


class SequenceTable(NamedTuple):
    """The sequences of a phone, before any text is read."""

    message: NDArray[np.int64]  # [sequences], message each belongs to
    start: NDArray[np.int64]  # [sequences], first pair within the message
    length: NDArray[np.int64]  # [sequences], pairs


class PackedBatches(NamedTuple):
    """Batches of one phone, ready for the kernel."""

    inputs: NDArray[np.int32]  # [tokens]
    targets: NDArray[np.int32]  # [tokens]
    step_rows: NDArray[np.int32]  # [batches, sequence_length], rows still running at each step

    @property
    def num_tokens(self) -> int:
        """Real tokens; there are no others."""
        return len(self.inputs)


class EvaluatedTokens(NamedTuple):
    """What is known of each token of `evaluation_batches` besides its ids; int [tokens] each."""

    owner: NDArray[np.int64]  # which of the phones it belongs to
    place: NDArray[np.int64]  # tokens that stand before the target in its message
    unknown_letters: NDArray[np.int32]  # of a target outside the vocabulary; else 0


def sequence_table(message_lengths: NDArray[np.int64], sequence_length: int) -> SequenceTable:
    """Cut messages into sequences of at most `sequence_length` pairs."""
    pairs = np.asarray(message_lengths, np.int64) + 1
    pieces = -(-pairs // sequence_length)
    message = np.repeat(np.arange(len(pairs)), pieces)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = piece * sequence_length
    return SequenceTable(message, start, np.minimum(pairs[message] - start, sequence_length))


def choose_sequences(table: SequenceTable, config: TrainingConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random subset within the caps, in random order; at least one sequence.

    A phone with more text than the caps allow trains on another part of it each round.
    """
    chosen = rng.permutation(len(table.length))[: config.max_sequences]
    within = np.cumsum(table.length[chosen]) <= config.max_tokens
    return chosen[: max(int(within.sum()), 1)]


def _training_generator(seed: int, server_round: int, phone: int) -> np.random.Generator:
    return generator(seed, "local training", server_round, phone)


def training_tokens(
    population: Population,
    phones: NDArray[np.int64],
    config: TrainingConfig,
    *,
    sequence_length: int,
    seed: int,
    server_round: int,
) -> NDArray[np.int64]:
    """Tokens that each of some phones would train on in this round, all epochs: int64 [len(phones)]; no text is read.

    A phone with no more text than the caps allow trains on all of it, so that nothing has to be drawn.
    """
    tokens, done = np.zeros(len(phones), np.int64), 0
    for lengths, messages in message_lengths_of_phones(population, phones):
        ends = np.cumsum(messages)
        pairs = _sums(lengths + 1, ends)
        sequences = _sums(-(-(lengths + 1) // sequence_length), ends)
        tokens[done : done + len(messages)] = pairs
        for place in np.flatnonzero((pairs > config.max_tokens) | (sequences > config.max_sequences)).tolist():
            own = sequence_table(lengths[ends[place] - messages[place] : ends[place]], sequence_length)
            rng = _training_generator(seed, server_round, int(phones[done + place]))
            tokens[done + place] = own.length[choose_sequences(own, config, rng)].sum()
        done += len(messages)
    return tokens * config.epochs


def _sums(numbers: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each run of numbers, which may be empty, by where it ends."""
    sums = np.concatenate([[0], np.cumsum(numbers)])[ends]
    return np.diff(sums, prepend=0)


def training_batches(
    population: Population,
    lookup: NDArray[np.int32],
    phone: int,
    config: TrainingConfig,
    *,
    sequence_length: int,
    seed: int,
    server_round: int,
) -> PackedBatches:
    """The batches of one phone in one round, epoch after epoch, each in its own random order."""
    rng = _training_generator(seed, server_round, phone)
    table = sequence_table(population.message_lengths(phone), sequence_length)
    chosen = choose_sequences(table, config, rng)
    inputs, targets, lengths = _read_sequences(population, lookup, phone, table, chosen)
    order = np.concatenate([rng.permutation(len(lengths)) for _ in range(config.epochs)])
    batch = np.concatenate(
        [e * len(lengths) + np.arange(len(lengths)) // config.batch_size for e in range(config.epochs)]
    )
    return pack(inputs, targets, lengths, order=order, batch=batch, sequence_length=sequence_length)


def last_sequences(
    population: Population, lookup: NDArray[np.int32], phone: int, max_sequences: int, sequence_length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """(inputs, targets, lengths) of the last `max_sequences` sequences of a held-out phone, end to end."""
    table = sequence_table(population.message_lengths(phone), sequence_length)
    chosen = np.arange(len(table.length))[-max_sequences:]
    return _read_sequences(population, lookup, phone, table, chosen)


def evaluation_batches(
    population: Population,
    spelled: NDArray[np.int32],
    phones: Sequence[int],
    max_sequences: int,
    sequence_length: int,
    *,
    batch_tokens: int = 1600,
) -> tuple[PackedBatches, EvaluatedTokens]:
    """The sequences of several held-out phones together, longest first, about `batch_tokens` a batch.

    Args:
        population: the text.
        spelled: table from types to ids in which words outside the vocabulary keep their letters, see
            `keyboard_metrics.spelled_lookup`.
        phones: ids.
        max_sequences: of each phone, its last ones.
        sequence_length: pairs of a sequence at most.
        batch_tokens: about how many tokens a batch holds.
    """
    parts = [last_sequences(population, spelled, p, max_sequences, sequence_length) for p in phones]
    inputs, targets, lengths = (np.concatenate(column) for column in zip(*parts, strict=True))
    tables = [sequence_table(population.message_lengths(p), sequence_length) for p in phones]
    starts = np.concatenate([table.start[-max_sequences:] for table in tables])
    owner = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    place = np.arange(len(inputs)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    order = np.argsort(-lengths, kind="stable")
    before = np.cumsum(lengths[order]) - lengths[order]
    source, step_rows = _layout(lengths, order, before // batch_tokens, sequence_length)
    targets, inputs = targets[source], inputs[source]
    return (
        PackedBatches(np.where(inputs < 0, OOV, inputs), np.where(targets < 0, OOV, targets), step_rows),
        EvaluatedTokens(owner[source], place[source], np.maximum(-targets, 0)),
    )


def read_pairs(
    population: Population, lookup: NDArray[np.int32], phones: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """All (input, target) pairs of some phones, message after message: two int32 [pairs]."""
    texts = population.types_of_phones(phones)
    types = np.concatenate([np.zeros(0, np.int64), *(flat for flat, _ in texts)])
    message_lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(offsets) for _, offsets in texts)])
    stream, begins, lengths = _stream(lookup, types, np.concatenate([[0], np.cumsum(message_lengths)]))
    position = np.repeat(begins - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    return stream[position], stream[position + 1]


def phone_messages(
    population: Population, lookup: NDArray[np.int32], phone: int
) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """(inputs, targets) of each message of a phone, oldest first."""
    inputs, targets = read_pairs(population, lookup, np.array([phone]))
    starts = np.flatnonzero(inputs == BOS)[1:]
    return list(zip(np.split(inputs, starts), np.split(targets, starts), strict=True))


def _stream(
    lookup: NDArray[np.int32], types: NDArray[np.integer[Any]], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Messages laid out as <bos> w1 .. wn <eos>: (stream, begin of each, pairs of each)."""
    tokens = lookup[np.minimum(types, len(lookup) - 1)]
    lengths = np.diff(offsets)
    index = np.arange(len(lengths))
    stream = np.empty(len(tokens) + 2 * len(lengths), np.int32)
    begins = offsets[:-1] + 2 * index
    stream[begins] = BOS
    stream[begins + lengths + 1] = EOS
    stream[np.arange(len(tokens)) + 2 * np.repeat(index, lengths) + 1] = tokens
    return stream, begins, lengths + 1


def _read_sequences(
    population: Population,
    lookup: NDArray[np.int32],
    phone: int,
    table: SequenceTable,
    chosen: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """(inputs, targets, lengths) of the chosen sequences, laid end to end."""
    messages, local = np.unique(table.message[chosen], return_inverse=True)
    stream, begins, _ = _stream(lookup, *population.types(phone, messages))
    lengths = table.length[chosen]
    first = begins[local] + table.start[chosen]
    position = np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    return stream[position], stream[position + 1], lengths


def pack(
    inputs: NDArray[np.int32],
    targets: NDArray[np.int32],
    lengths: NDArray[np.int64],
    *,
    order: NDArray[np.int64],
    batch: NDArray[np.int64],
    sequence_length: int,
) -> PackedBatches:
    """Lay sequences out batch by batch, time step by time step, longest row first.

    Args:
        inputs, targets: int32 [pairs], sequences end to end.
        lengths: int64 [sequences].
        order: int64 [rows], which sequence each row of the epoch(s) is; sequences may repeat.
        batch: int64 [rows], non-decreasing batch number of each row.
        sequence_length: pairs of a sequence at most.
    """
    source, step_rows = _layout(lengths, order, batch, sequence_length)
    return PackedBatches(inputs[source], targets[source], step_rows)


def _layout(
    lengths: NDArray[np.int64], order: NDArray[np.int64], batch: NDArray[np.int64], sequence_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(which pair stands at each packed position, rows running at each step of each batch)."""
    row_length = lengths[order]
    sorted_rows = np.lexsort((-row_length, batch))  # stable: equal lengths keep their order
    order, row_length, batch = order[sorted_rows], row_length[sorted_rows], batch[sorted_rows]
    batch = np.unique(batch, return_inverse=True)[1]
    starts = (np.cumsum(lengths) - lengths)[order]
    row = np.repeat(np.arange(len(order)), row_length)
    step = np.arange(len(row)) - np.repeat(np.cumsum(row_length) - row_length, row_length)
    packed = np.lexsort((row, step, batch[row]))
    source = (starts[row] + step)[packed]
    num_batches = int(batch[-1]) + 1
    step_rows = np.bincount(batch[row] * sequence_length + step, minlength=num_batches * sequence_length)
    return source, step_rows.reshape(num_batches, sequence_length).astype(np.int32)
