"""Training, by hand-written passes and by a step alone, against automatic differentiation of a padded model."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.workload import StepOnly
from client_model.config import ModelConfig
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gated import ROWS_WORTH_TRANSPOSING
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import flatten, initial_weights, model_shape, unflatten
from client_model.learning.local_training import LocalTrainer
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import pack
from client_model.text.vocabulary import FIRST_WORD
from client_model.tflite.keyboard_modules import logits_of, run_through

T, V = 7, 60


SMALL_CELLS = {
    "cifg": Cifg(),
    "gru": Gru(),
    "lstm": Lstm(),
    "stacked": Stacked(),
    "transformer": Transformer(layers=2, heads=3, window=T - 1),
}


def small_shape(cell):
    return model_shape(
        ModelConfig(vocabulary_size=V, embedding_size=6, units=12, sequence_length=T), cell=SMALL_CELLS[cell]
    )


def without_passes(shape):
    """The same model, trained by automatic differentiation of its cell's step."""
    return replace(shape, cell=StepOnly(shape.cell))


CELLS = {
    **{name: small_shape(name) for name in SMALL_CELLS},
    "cifg by its step": without_passes(small_shape("cifg")),
    "lstm by its step": without_passes(small_shape("lstm")),
}


@pytest.fixture(scope="module", params=CELLS)
def trainer(request):
    """One that has warmed up, as a host's has: tracing it takes longer than all that is done with it."""
    made = LocalTrainer(CELLS[request.param])
    made.warm_up()
    assert made.trace_count == 1
    return made


def some_weights(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [w + rng.normal(0, 0.2, w.shape).astype(np.float32) for w in initial_weights(shape, seed)]


def padded_logits(shape, weights, x):
    """Logits [rows, T, V] of a plain implementation over padded rows; by its step for a cell that is none of two."""
    if shape.cell.name not in ("cifg", "lstm"):
        named = dict(zip(shape.weight_shapes(), weights, strict=True))
        return tf.stack([logits_of(named, output) for output in run_through(named, shape, tf.constant(x))], 1)
    embedding, input_kernel, recurrent, bias, projection, output_bias = weights
    rows = x.shape[0]
    state, cell = tf.zeros([rows, recurrent.shape[0]]), tf.zeros([rows, shape.units])
    logits = []
    for t in range(x.shape[1]):
        z = tf.gather(embedding, x[:, t]) @ input_kernel + state @ recurrent + bias
        gates = tf.split(z, {"cifg": 3, "lstm": 4}[shape.cell.name], 1)
        if shape.cell.name == "cifg":
            f, o, g = tf.sigmoid(gates[0]), tf.sigmoid(gates[1]), tf.tanh(gates[2])
            cell = f * cell + (1 - f) * g
        else:
            i, f, o, g = tf.sigmoid(gates[0]), tf.sigmoid(gates[1]), tf.sigmoid(gates[2]), tf.tanh(gates[3])
            cell = f * cell + i * g
        hidden = o * tf.tanh(cell)
        out = hidden @ projection
        state = out if shape.cell.name == "cifg" else hidden
        logits.append(out @ tf.transpose(embedding) + output_bias)
    return tf.stack(logits, 1)


def make_phone(lengths, batch_size, seed, most=T):
    """(packed batches, [(x, y, mask) padded, a batch]) for random sequences of these lengths, `most` at most."""
    rng = np.random.default_rng(seed)
    lengths = np.array(lengths)
    inputs = rng.integers(1, V, lengths.sum()).astype(np.int32)
    targets = rng.integers(2, V, lengths.sum()).astype(np.int32)
    batch = np.arange(len(lengths)) // batch_size
    packed = pack(inputs, targets, lengths, order=np.arange(len(lengths)), batch=batch, sequence_length=most)
    padded = []
    starts = np.cumsum(lengths) - lengths
    for b in range(batch[-1] + 1):
        rows = np.flatnonzero(batch == b)
        x, y = np.zeros((len(rows), most), np.int32), np.zeros((len(rows), most), np.int32)
        mask = np.zeros((len(rows), most), np.float32)
        for i, r in enumerate(rows):
            n = lengths[r]
            x[i, :n], y[i, :n] = inputs[starts[r] : starts[r] + n], targets[starts[r] : starts[r] + n]
            mask[i, :n] = 1
        padded.append((x, y, mask))
    return packed, padded


def autodiff_training(shape, weights, padded, rate, max_gradient_norm=np.inf):
    variables = [tf.Variable(w) for w in weights]
    loss_sum = 0.0
    for x, y, mask in padded:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, padded_logits(shape, variables, x)) * mask
            loss = tf.reduce_sum(losses) / mask.sum()
        loss_sum += float(tf.reduce_sum(losses))
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        scale = min(1.0, max_gradient_norm / float(tf.linalg.global_norm(gradients)))
        for v, g in zip(variables, gradients, strict=True):
            v.assign_sub(rate * scale * g)
    return flatten([v.numpy() for v in variables]) - flatten(weights), loss_sum


PHONES = {
    "full batches": ([7, 7, 7, 7, 7, 7], 3),
    "padding": ([7, 3, 5, 2, 4, 6], 3),
    "short last batch": ([7, 3, 5, 2], 3),
    "one message of one word": ([2], 3),
    "one token": ([1], 1),
    "equal short rows": ([2, 2, 2, 2], 4),
    "many batches": ([5, 1, 7, 2, 3, 3, 6, 1, 1, 4], 2),
    "a batch of many tokens": ([7] * 13 + [5], 14),  # more than gated.ROWS_WORTH_TRANSPOSING
}


@pytest.mark.parametrize("phone", PHONES)
def test_update_matches_automatic_differentiation(trainer, phone):
    weights = some_weights(trainer.shape)
    packed, padded = make_phone(*PHONES[phone], seed=1)
    result = trainer.train(trainer.load(weights), packed, 0.7)
    expected, loss_sum = autodiff_training(trainer.shape, weights, padded, 0.7)
    error = np.linalg.norm(result.update - expected) / np.linalg.norm(expected)
    assert error < 1e-4
    assert result.loss_sum == pytest.approx(loss_sum, rel=1e-5)
    assert result.num_tokens == sum(PHONES[phone][0])


def test_phones_are_trained_on_both_sides_of_where_the_kernel_is_transposed():
    rows = [
        int(batches[0].sum() - batches[0, 0])
        for batches in (make_phone(*p, seed=1)[0].step_rows for p in PHONES.values())
    ]
    assert min(rows) < ROWS_WORTH_TRANSPOSING <= max(rows)


@pytest.mark.parametrize("cell", CELLS)
def test_gradient_norm_is_bounded_at_each_step(cell):
    shape = CELLS[cell]
    weights = some_weights(shape)
    packed, padded = make_phone([7, 3, 5, 2], 3, seed=1)
    result = LocalTrainer(shape, max_gradient_norm=0.3).train([tf.constant(w) for w in weights], packed, 0.7)
    expected, _ = autodiff_training(shape, weights, padded, 0.7, 0.3)
    assert np.linalg.norm(result.update - expected) / np.linalg.norm(expected) < 1e-4
    assert np.linalg.norm(result.update) <= 2 * 0.7 * 0.3 * (1 + 1e-5)  # two steps


def test_each_weight_gets_a_gradient(trainer):
    packed, _ = make_phone([7, 5, 3], 2, seed=2)
    update = trainer.train(trainer.load(some_weights(trainer.shape)), packed, 0.5).update
    assert all(np.abs(part).max() > 0 for part in unflatten(update, trainer.shape))


def test_one_trace_serves_phones_of_all_sizes(trainer):
    received = trainer.load(some_weights(trainer.shape))
    for lengths, batch_size in PHONES.values():
        trainer.train(received, make_phone(lengths, batch_size, seed=3)[0], 0.1)
    assert trainer.trace_count == 1


def test_warming_up_is_the_only_trace(trainer):
    trainer.train(trainer.load(some_weights(trainer.shape)), make_phone([7, 3, 5, 2], 3, seed=1)[0], 0.1)
    assert trainer.trace_count == 1


def test_training_leaves_the_received_weights_alone(trainer):
    weights = some_weights(trainer.shape)
    received = trainer.load(weights)
    packed, _ = make_phone([6, 4], 2, seed=4)
    first = trainer.train(received, packed, 0.5)
    second = trainer.train(received, packed, 0.5)
    np.testing.assert_array_equal(first.update, second.update)
    for tensor, weight in zip(received, weights, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), weight)


@pytest.mark.parametrize("phone", PHONES)
def test_scores_match_the_padded_model(trainer, phone):
    weights = some_weights(trainer.shape)
    packed, padded = make_phone(*PHONES[phone], seed=5)
    table = keystroke_table([f"w{number}" for number in range(trainer.shape.vocabulary_size)])
    scores = trainer.score(trainer.load(weights), packed, table)
    loss, ranks = [], []
    for x, y, mask in padded:
        logits = padded_logits(trainer.shape, [tf.constant(w) for w in weights], x).numpy()
        order = np.argsort(-mask.sum(1), kind="stable")
        for t in range(T):
            for r in order:
                if mask[r, t]:
                    row = logits[r, t].astype(np.float64)
                    loss.append(np.log(np.exp(row).sum()) - row[y[r, t]])
                    ranks.append(int((row[FIRST_WORD:] > row[y[r, t]]).sum()))
    np.testing.assert_allclose(scores.loss, loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores.rank, ranks)
    assert ((scores.keystrokes == 1) == (scores.rank < 3) & (scores.targets >= FIRST_WORD)).all()


def test_scores_are_exact_where_probabilities_underflow_and_the_same_in_blocks_of_any_size(monkeypatch):
    shape = CELLS["cifg"]
    trainer, table = LocalTrainer(shape), keystroke_table([f"w{number}" for number in range(V)])
    packed, _ = make_phone([6, 4, 7, 2], 4, seed=5)
    received = trainer.load([400 * w for w in some_weights(shape)])
    whole = trainer.score(received, packed, table)
    assert whole.loss.max() > 700 and whole.loss.min() < 60  # one side of what float32 holds, and the other
    (own,) = [logits.astype(np.float64) for _, logits, _ in trainer._scored(received, packed)]
    exact = np.logaddexp.reduce(own, axis=1) - own[np.arange(len(own)), packed.targets]
    np.testing.assert_allclose(whole.loss, exact, rtol=1e-6, atol=1e-5)
    monkeypatch.setattr("client_model.learning.local_training._LOGIT_ROWS", 3)
    for column, again in zip(whole, trainer.score(received, packed, table), strict=True):
        np.testing.assert_allclose(again, column, rtol=1e-5)


def test_a_model_that_is_not_finite_gets_no_loss_that_is():
    shape = CELLS["cifg"]
    weights, (packed, _) = some_weights(shape), make_phone([3], 1, seed=5)
    trainer = LocalTrainer(shape)
    assert np.isnan(trainer.token_losses(trainer.load([np.full_like(w, np.nan) for w in weights]), packed)).all()


def test_gboard_preset_has_the_published_size():
    assert model_shape(ModelConfig(preset="gboard")).num_weights == 1_422_250


@pytest.mark.parametrize("cell", SMALL_CELLS)
def test_flatten_round_trip(cell):
    shape = small_shape(cell)
    weights = some_weights(shape)
    flat = flatten(weights)
    assert flat.dtype == np.float32 and len(flat) == shape.num_weights
    for a, b, dims in zip(weights, unflatten(flat, shape), shape.weight_shapes().values(), strict=True):
        assert a.shape == b.shape == dims
        np.testing.assert_array_equal(a, b)
