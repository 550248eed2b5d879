"""Phones trained at once, against the same phones one after another; and one phone in every company and place."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.config import ModelConfig
from client_model.learning.accelerator import DeviceError
from client_model.learning.batched_training import BatchedTrainer
from client_model.learning.cells import gated
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import model_shape
from client_model.learning.local_training import LocalTrainer
from client_model.learning.padded_batches import Group
from client_model.metrics.keystrokes import keystroke_table
from tests.client_model.learning.test_local_training import make_phone, some_weights
from tests.doors import toy_cell
from typefleet.errors import ConfigError

STATED_ERROR = 1e-5  # docs/speed.md, "GPUs"
T, V, ROWS, PHONES = 4, 61, 6, 3
RATE = 0.7
ODD, EVEN = (7, 15), (16, 48)  # embedding and units; a processor's vectors are of 16 numbers


def batched(shape, bound, group):
    return BatchedTrainer(LocalTrainer(shape, bound), bound, group)


CELLS = {
    "cifg": (Cifg(), ODD, 0.3),
    "gru": (Gru(), ODD, 0.3),
    "lstm": (Lstm(), ODD, 0.0),
    "stacked": (Stacked(), EVEN, 0.3),
    "transformer": (Transformer(layers=1, heads=4, window=4), EVEN, 0.3),
    "somebody's": (toy_cell.Gru(), EVEN, 0.0),
}
RAGGED = {
    "full": [T] * ROWS,
    "short": [1, 2, 1],
    "one token": [1],
    "three batches": [3, 1, 3, 2, 3, 3, 2, 1, 1, 3, 2, 2, 3, 1, 1],
    "two batches": [3, 3, 3, 1, 2, 3, 2],
    "equal words": [2, 2, 2, 2],
}


def shape_with(cell, widths=ODD):
    sizes = ModelConfig(vocabulary_size=V, embedding_size=widths[0], units=widths[1], sequence_length=T)
    return model_shape(sizes, cell=cell)


def phone(name):
    batches, _ = make_phone(RAGGED[name], ROWS, seed=len(name), most=T)
    if name == "equal words":
        return batches._replace(inputs=np.full_like(batches.inputs, 5), targets=np.full_like(batches.targets, 5))
    return batches


POOL = [phone(name) for name in RAGGED]


@pytest.fixture(scope="module", params=CELLS)
def trainer(request):
    cell, widths, bound = CELLS[request.param]
    made = batched(shape_with(cell, widths), bound, Group(PHONES, ROWS, "cpu"))
    made.warm_up()
    return made


@pytest.fixture(scope="module")
def alone(trainer):
    """(received weights, each phone's result with all other places empty)."""
    received = trainer.load(some_weights(trainer.shape))
    return received, [trainer.train(received, batches, RATE) for batches in POOL]


def test_updates_are_those_of_one_phone_after_another(trainer, alone):
    received, found = alone
    one_by_one = LocalTrainer(trainer.shape, trainer._max_gradient_norm)
    for batches, result in zip(POOL, found, strict=True):
        expected = one_by_one.train(received.to_score, batches, RATE)
        assert np.linalg.norm(result.update - expected.update) < STATED_ERROR * np.linalg.norm(expected.update)
        assert result.loss_sum == pytest.approx(expected.loss_sum, rel=STATED_ERROR)
        assert result.num_tokens == expected.num_tokens


@given(st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=PHONES))
@settings(max_examples=12, deadline=None)
def test_a_phones_bits_are_the_same_in_every_company_and_place(trainer, alone, members):
    received, expected = alone
    found = trainer.train_together(received, [POOL[member] for member in members], RATE)
    for member, result in zip(members, found, strict=True):
        assert result.update.tobytes() == expected[member].update.tobytes()
        assert result.loss_sum == expected[member].loss_sum


def test_nothing_is_scattered_since_that_has_no_fixed_order_on_a_gpu(trainer, alone):
    graph = trainer._step.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    kinds = {node.op for node in nodes}
    assert "BatchMatMulV2" in kinds and "GatherV2" in kinds
    assert not [kind for kind in kinds if "Scatter" in kind or "Segment" in kind or "While" in kind]


def test_one_trace_serves_every_group(trainer, alone):
    assert trainer.trace_count == 1
    assert len({result.update.tobytes() for result in alone[1]}) == len(POOL)  # and they are not all the same


def test_a_phone_that_has_no_more_batches_keeps_weights_with_which_nothing_can_be_computed(trainer, alone):
    received, huge_rate = alone[0], 1e36
    one_batch, three = (POOL[list(RAGGED).index(name)] for name in ("one token", "three batches"))
    expected = trainer.train(received, one_batch, huge_rate)
    assert np.isfinite(expected.update).all() and np.abs(expected.update).max() > 1e30
    diverged, found = trainer.train_together(received, [three, one_batch], huge_rate)
    assert not np.isfinite(diverged.update).all()
    assert found.update.tobytes() == expected.update.tobytes()


def test_bits_that_depend_on_the_place_are_found_before_the_first_phone(monkeypatch):
    monkeypatch.setattr(gated, "column_sums", lambda x: tf.reduce_sum(x, 0))  # see its docstring
    made = batched(shape_with(Cifg()), 0.0, Group(PHONES, 60, "cpu"))
    with pytest.raises(DeviceError, match=r"phones-at-a-time 1.*found [23] different ones"):
        made.warm_up()


def test_scoring_is_that_of_the_kernel_of_one_phone():
    shape = shape_with(Cifg())
    made, one_by_one = batched(shape, 0.3, Group(2, ROWS, "cpu")), LocalTrainer(shape, 0.3)
    received = made.load(some_weights(shape))
    table = keystroke_table(tuple(f"w{number}" for number in range(V)))
    expected = one_by_one.score(received.to_score, POOL[3], table)
    for found, column in zip(made.score(received, POOL[3], table), expected, strict=True):
        np.testing.assert_array_equal(found, column)
    np.testing.assert_array_equal(made.token_losses(received, POOL[3]), expected.loss)


def test_more_phones_than_places_are_refused():
    made = batched(shape_with(Cifg()), 0.3, Group(2, ROWS, "cpu"))
    with pytest.raises(ConfigError, match="2 at most, found 3"):
        made.train_together(made.load(some_weights(made.shape)), POOL[:3], RATE)
