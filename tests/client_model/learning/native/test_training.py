"""Training in C is TensorFlow's, has the same bits in every variant, and refuses what does not fit its memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.language_model import ModelShape, unflatten
from client_model.learning.local_training import LocalTrainer
from client_model.learning.native.trainer import NativeTrainer
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import PackedBatches, pack
from tests.client_model.learning.native.built import each_variant, kernel, same_bits
from tests.client_model.learning.test_local_training import some_weights

CELLS = (Cifg(), Gru(), Lstm(), Stacked(), Stacked(layers=3))
each_cell = pytest.mark.parametrize("cell", CELLS, ids=repr)
small = st.integers(1, 20)


def shape_of(cell, words=50, width=6, units=11, steps=5):
    return ModelShape(cell, words, width, units, steps)


def phone(shape, lengths, batch_size, seed=0):
    rng, lengths = np.random.default_rng(seed), np.array(lengths)
    inputs, targets = (rng.integers(0, shape.vocabulary_size, lengths.sum()).astype(np.int32) for _ in range(2))
    order = np.arange(len(lengths))
    return pack(inputs, targets, lengths, order=order, batch=order // batch_size, sequence_length=shape.sequence_length)


def by_tensorflow(shape, bound, weights, batches, rate):
    """(update, loss) of the other kernel, operation by operation: to trace it takes longer than all the rest."""
    trainer = LocalTrainer(shape, bound)
    tensors = map(tf.constant, (batches.inputs, batches.targets, batches.step_rows, np.float32(rate)))
    update, loss = trainer._traced.train.python_function(trainer.load(weights), *tensors)
    return update.numpy(), float(loss)


def by_every_variant(shape, bound, weights, batches, rate):
    """(update, loss), the same bits in all of them."""

    def trained(variant):
        trainer = NativeTrainer(shape, bound, variant)
        result = trainer.train(trainer.load(weights), batches, rate)
        assert result.num_tokens == batches.num_tokens
        return [result.update, np.float64(result.loss_sum)]

    update, loss = same_bits(trained)
    return update, float(loss)


def assert_same(shape, update, expected):
    """Each weight by itself, since some move little; and within the rounding of the largest."""
    rounding = 1e-6 * np.linalg.norm(expected) + 1e-7
    for one, other in zip(unflatten(update, shape), unflatten(expected, shape), strict=True):
        assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other) + rounding


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(CELLS),
    st.tuples(st.integers(1, 70), small, st.integers(1, 40), st.integers(2, 6)),
    st.lists(st.integers(1, 6), min_size=1, max_size=9),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.05, 0.3, 5.0]),
    st.sampled_from([0.03, 0.3, -0.05]),  # longer steps, uphill above all, make of a last bit whatever they like
)
def test_a_phone_is_trained_as_by_tensorflow(cell, sizes, lengths, batch_size, bound, rate):
    shape = shape_of(cell, *sizes)
    weights = some_weights(shape)
    batches = phone(shape, [min(length, shape.sequence_length) for length in lengths], batch_size)
    update, loss = by_every_variant(shape, bound, weights, batches, rate)
    expected, expected_loss = by_tensorflow(shape, bound, weights, batches, rate)
    assert_same(shape, update, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-5, abs=1e-5)


@each_cell
def test_a_batch_of_hundreds_of_tokens_and_rows_that_end_at_each_step(cell):
    shape = shape_of(cell, words=300, width=33, units=50, steps=9)
    batches, weights = phone(shape, [9] * 20 + list(range(1, 10)) * 8, 92), some_weights(shape)
    assert batches.num_tokens == 540 and len(batches.step_rows) == 1
    update, loss = by_every_variant(shape, 0.5, weights, batches, 1.0)
    expected, expected_loss = by_tensorflow(shape, 0.5, weights, batches, 1.0)
    assert_same(shape, update, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert all(np.abs(part).max() > 0 for part in unflatten(update, shape))


@each_cell
def test_bits_depend_on_no_phone_before(cell):
    shape = shape_of(cell)
    trainer, weights = NativeTrainer(shape, 0.3), some_weights(shape)
    ours, others = phone(shape, [5, 3, 1, 4], 2), phone(shape, [5] * 12, 9, seed=1)
    received, unlike = trainer.load(weights), trainer.load(some_weights(shape, seed=3))
    first = trainer.train(received, ours, 0.7)
    for disturbing in (others, phone(shape, [1], 1), ours):
        trainer.train(unlike, disturbing, 2.0)
        trainer.token_losses(unlike, disturbing)
        again = trainer.train(received, ours, 0.7)
        assert again.update.tobytes() == first.update.tobytes() and again.loss_sum == first.loss_sum


def test_threads_may_share_a_trainer():
    shape = shape_of(Cifg(), words=400, width=32, units=64)
    trainer = NativeTrainer(shape)
    received, phones = trainer.load(some_weights(shape)), [phone(shape, [5] * n, 4) for n in (40, 3, 80, 17)]
    alone = [trainer.train(received, batches, 0.5).update.tobytes() for batches in phones]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda batches: trainer.train(received, batches, 0.5).update.tobytes(), phones * 3))
    assert together == alone * 3


@each_cell
def test_losses_of_a_sentence_are_the_same_bits_beside_any_others(cell):
    shape = shape_of(cell)
    trainer = NativeTrainer(shape)
    received, sentences = trainer.load(some_weights(shape)), [5, 5, 4, 3, 3, 1]
    together, alone = phone(shape, sentences, 6), phone(shape, sentences, 1)
    by_token = [
        sorted(zip(of.inputs, of.targets, trainer.token_losses(received, of).tolist(), strict=True))
        for of in (together, alone)
    ]
    assert by_token[0] == by_token[1]


@each_cell
def test_scoring_keeps_one_step_and_gives_the_losses_of_training(cell):
    shape = shape_of(cell)
    batches, weights = phone(shape, [5, 5, 4, 3, 3, 1, 1], 4), some_weights(shape)

    def summed(variant):
        trainer = NativeTrainer(shape, 0.0, variant)
        received = trainer.load(weights)
        trained = trainer.train(received, batches, 0.0)
        assert not trained.update.any()
        losses = trainer.token_losses(received, batches)
        assert losses.astype(np.float64).sum() == pytest.approx(trained.loss_sum, rel=1e-6)
        return [losses]

    same_bits(summed)


@pytest.mark.parametrize("cell", [Cifg(), Lstm()], ids=repr)
def test_tokens_are_scored_as_by_tensorflow(cell):
    shape = shape_of(cell, words=60)
    batches = phone(shape, [5, 4, 4, 2, 1, 3] * 4, 9)
    table = keystroke_table([f"{'abcdefgh'[i % 8]}{i}" for i in range(shape.vocabulary_size)])
    weights = [3 * w for w in some_weights(shape)]  # so that some words are likely
    trainer, other = NativeTrainer(shape), LocalTrainer(shape)
    found, expected = (one.score(one.load(weights), batches, table) for one in (trainer, other))
    assert np.array_equal(found.targets, expected.targets)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5, atol=1e-5)
    assert np.array_equal(found.rank, expected.rank)  # of random weights: no two logits are as near as float32 errs
    assert np.array_equal(found.keystrokes, expected.keystrokes)
    assert {0, 1, 2} < set(expected.keystrokes.tolist())
    assert np.array_equal(trainer.token_losses(trainer.load(weights), batches), found.loss)


def test_what_is_not_finite_comes_out_as_that():
    for value in (np.nan, np.inf, -np.inf):
        for bound in (0.0, 0.3):
            shape, place = shape_of(Cifg()), 0
            for place in range(len(shape.weights())):
                weights = some_weights(shape)
                weights[place].flat[0] = value
                batches = phone(shape, [5] * 40, 8)  # every word is read
                trainer = NativeTrainer(shape, bound)
                assert not np.isfinite(trainer.train(trainer.load(weights), batches, 0.5).update).all()


@each_variant
def test_an_empty_batch_changes_nothing(variant):
    shape = shape_of(Gru())
    trainer, whole = NativeTrainer(shape, 0.3, variant), phone(shape, [5, 4, 2], 2)
    received = trainer.load(some_weights(shape))
    none = np.zeros((1, shape.sequence_length), np.int32)
    nobody = PackedBatches(np.zeros(0, np.int32), np.zeros(0, np.int32), none)
    result = trainer.train(received, nobody, 0.5)
    assert not result.update.any() and result.loss_sum == 0 and result.num_tokens == 0
    with_gaps = whole._replace(step_rows=np.concatenate([none, whole.step_rows[:1], none, whole.step_rows[1:], none]))
    assert (
        trainer.train(received, with_gaps, 0.5).update.tobytes() == trainer.train(received, whole, 0.5).update.tobytes()
    )
    assert len(trainer.token_losses(received, nobody)) == 0


SHAPE = shape_of(Cifg())
MODEL = (kernel.variants()[0], 0, 1, 50, 6, 11)
ROWS, TOKENS = np.array([2, 1, 1, 0, 0, 1, 0, 0, 0, 0], np.int32), 5
IDS, WRONG = np.arange(TOKENS, dtype=np.int32), "expected"


def trained(model=MODEL, received=None, update=None, inputs=IDS, targets=IDS, rows=ROWS, steps=5, memory=None):
    weights = np.zeros(SHAPE.num_weights, np.float32)
    given_memory = np.zeros(kernel.training_floats(MODEL, 4, 2), np.float32) if memory is None else memory
    received, update = (weights.copy() if one is None else one for one in (received, update))
    return kernel.train(model, (received, update), (inputs, targets, rows, steps), (0.0, 0.0), given_memory)


def changed(array, place, value):
    other = array.copy()
    other[place] = value
    return other


REFUSED = {
    "an unknown variant": {"model": ("sse9", *MODEL[1:])},
    "an unknown cell": {"model": (MODEL[0], 9, *MODEL[2:])},
    "layers of another cell": {"model": (MODEL[0], 1, 2, *MODEL[3:])},
    "too many layers": {"model": (MODEL[0], 0, 9, *MODEL[3:])},
    "no words": {"model": (*MODEL[:3], 0, 6, 11)},
    "larger sizes": {"model": (*MODEL[:3], 51, 6, 11)},
    "enormous sizes": {"model": (*MODEL[:3], 2**31 - 1, 2**31 - 1, 2**31 - 1)},
    "weights that are too few": {"received": np.zeros(SHAPE.num_weights - 1, np.float32)},
    "weights of float64": {"received": np.zeros(SHAPE.num_weights)},
    "an update that is too short": {"update": np.zeros(SHAPE.num_weights - 1, np.float32)},
    "an id that is too large": {"inputs": changed(IDS, 2, 50)},
    "an id below 0": {"inputs": changed(IDS, 4, -1)},
    "a target that is too large": {"targets": changed(IDS, 0, 2**31 - 1)},
    "targets that are too few": {"targets": IDS[:4]},
    "ids of int64": {"inputs": IDS.astype(np.int64)},
    "rows that grow": {"rows": changed(ROWS, [0, 1], [1, 2])},
    "rows below 0": {"rows": changed(ROWS, [0, 9], [3, -1])},
    "rows of more tokens": {"rows": changed(ROWS, 0, 3)},
    "rows of fewer tokens": {"rows": changed(ROWS, 5, 0)},
    "rows that are no steps": {"rows": ROWS[:9]},
    "no steps": {"steps": 0},
    "steps below 0": {"steps": -5},
    "memory that is too small": {"memory": np.zeros(kernel.training_floats(MODEL, 4, 2) - 1, np.float32)},
}


def test_what_fits_is_trained():
    assert trained() == pytest.approx(TOKENS * np.log(50))


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    with pytest.raises(ValueError, match=WRONG):
        trained(**REFUSED[case])


@pytest.mark.parametrize("broken", [{"update": np.zeros(SHAPE.num_weights, np.float32)}, {"memory": b"0" * 10**6}])
def test_what_must_not_be_written_to_is_refused(broken):
    for one in broken.values():
        if isinstance(one, np.ndarray):
            one.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        trained(**broken)
