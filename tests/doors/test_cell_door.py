"""A cell in one file: by object, by name and by entry point, trained by automatic differentiation, up to the files."""

import io
import json
import sys
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
import tensorflow as tf

from client_model.config import ModelConfig
from client_model.learning.cells.base import CellWeight, starting_at
from client_model.learning.cells.check import check_cell
from client_model.learning.cells.door import CELLS
from client_model.learning.cells.lstm import Lstm
from client_model.learning.language_model import ModelShape, flatten, initial_weights, model_shape, unflatten
from client_model.learning.local_training import LocalTrainer
from client_model.public_start import PUBLIC_START
from client_model.text.vocabulary import FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from client_model.tflite.export_checks import (
    CheckText,
    agreement,
    check_training,
    file_suggestions,
    reference_suggestions,
)
from client_model.tflite.export_folder import FILES
from client_model.tflite.export_tflite import check_exportable, convert
from client_model.tflite.interpreter import open_interpreter
from simulation.engine.host_task import HostTask
from simulation.flags import parse_simulate, read_config, to_toml
from simulation.parts import Parts
from simulation.run.lifecycle import start_run
from simulation.run.named_cell import with_named_cell
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from tests.client_model.learning.test_local_training import make_phone, some_weights
from tests.conftest import ROOT
from tests.doors import toy_cell
from tests.doors.toy_cell import KIND, Gru, task_of, update_of_a_phone
from tests.forked_processes import run_forked
from tests.simulation.conftest import TINY
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError

# Training --------------------------------------------------------------------------------------

T, V = 7, 60
SHAPE = ModelShape(Gru(), V, 6, 11, T)


@pytest.fixture(scope="module")
def trainer():
    return LocalTrainer(SHAPE)


def padded_loss(weights, x, y, mask):
    """Mean cross-entropy of a plain implementation over padded rows, in the precision of the weights."""
    embedding, input_kernel, recurrent, bias, projection, output_bias = weights
    memory, loss = tf.zeros([x.shape[0], recurrent.shape[0]], embedding.dtype), 0.0
    for t in range(T):
        a = tf.split(tf.gather(embedding, x[:, t]) @ input_kernel + bias, 3, 1)
        b = tf.split(memory @ recurrent, 3, 1)
        z, r = 1 / (1 + tf.exp(-a[0] - b[0])), 1 / (1 + tf.exp(-a[1] - b[1]))
        memory = z * memory + (1 - z) * tf.tanh(a[2] + r * b[2])
        logits = memory @ projection @ tf.transpose(embedding) + output_bias
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y[:, t], logits)
        loss += tf.reduce_sum(losses * mask[:, t])
    return loss / mask.sum()


@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 5, 2], [1], [2, 2]])
def test_the_gradient_is_that_of_a_plain_padded_implementation(trainer, lengths):
    weights = some_weights(SHAPE)
    packed, [(x, y, mask)] = make_phone(lengths, len(lengths), seed=1)
    result = trainer.train(trainer.load(weights), packed, 1.0)
    variables = [tf.Variable(w.astype(np.float64)) for w in weights]
    with tf.GradientTape() as tape:
        loss = padded_loss(variables, x, y, mask.astype(np.float64))
    gradients = flatten([tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)])
    assert np.linalg.norm(result.update + gradients) / np.linalg.norm(gradients) < 1e-5
    assert result.loss_sum == pytest.approx(float(loss) * sum(lengths), rel=1e-5)


def test_the_gradient_is_the_slope_of_the_loss(trainer):
    weights = [w.astype(np.float64) for w in some_weights(SHAPE, seed=2)]
    packed, [(x, y, mask)] = make_phone([7, 4, 2], 3, seed=2)
    update = trainer.train(trainer.load([w.astype(np.float32) for w in weights]), packed, 1.0).update
    flat, rng, step = flatten(weights), np.random.default_rng(0), 1e-5
    for _ in range(5):
        direction = rng.normal(size=len(flat)) / np.sqrt(len(flat))
        beyond, before = (
            float(padded_loss(unflatten(flat + sign * step * direction, SHAPE), x, y, mask.astype(np.float64)))
            for sign in (1, -1)
        )
        assert -update @ direction == pytest.approx((beyond - before) / (2 * step), rel=1e-3, abs=1e-5)


def test_training_learns_in_one_trace(trainer):
    weights, losses = flatten(initial_weights(SHAPE, 0)), []
    packed, _ = make_phone([7, 3, 5, 2, 6, 4], 3, seed=3)
    for _ in range(30):
        result = trainer.train(trainer.load(unflatten(weights, SHAPE)), packed, 1.0)
        weights, losses = weights + result.update, [*losses, result.loss_sum / result.num_tokens]
    trainer.train(trainer.load(unflatten(weights, SHAPE)), make_phone([1], 1, seed=4)[0], 1.0)
    assert losses[0] == pytest.approx(np.log(V), rel=0.1) and losses[-1] < 0.5 * losses[0]
    assert trainer.trace_count == 1


# By name ---------------------------------------------------------------------------------------

FLAGS = ("--model.cell", "my_gru", "--model.update-bias", "0.5", "--model.units", "12", "--model.embedding-size", "8")


@pytest.fixture
def registered():
    """The cell is known by its name while the test runs."""
    with CELLS.lend(KIND):
        yield
    assert "my_gru" not in CELLS.names


def test_its_settings_are_flags_and_keys_with_it_alone(registered, tmp_path):
    config = parse_simulate(FLAGS).run
    assert config.model.make_cell() == Gru(0.5) and model_shape(config.model).state_sizes == {"memory": 12}
    (tmp_path / "run.toml").write_text(to_toml(config))
    assert "update_bias = 0.5" in to_toml(config)
    assert parse_simulate(["--config", str(tmp_path / "run.toml")]).run == config
    with pytest.raises(ConfigError, match=r"--model.update-bias: expected only with --model.cell my_gru"):
        parse_simulate(["--model.update-bias", "1"])
    with pytest.raises(ConfigError, match=r"--model.update-bias: expected a number >= 0, found -1"):
        parse_simulate(["--model.cell", "my_gru", "--model.update-bias", "-1"])


def test_a_name_that_nobody_registered_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"--model.cell: expected one of cifg, gru, .*, found 'my_gru'"):
        parse_simulate(FLAGS)


# By object -------------------------------------------------------------------------------------


def test_an_object_of_another_process_trains_here_as_there():
    """Its file runs as `__main__` there, as a notebook would; its classes cannot be imported under that name here."""
    command = [sys.executable, toy_cell.__file__]
    done = run_forked(command, cwd=ROOT, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    text, there = done.stdout.splitlines()[-2:]
    task = HostTask.from_json(text)
    assert type(task.shape.cell).__module__ == "__main__" and task.shape.cell.update_bias == 0.25
    found = update_of_a_phone(task)
    np.testing.assert_allclose(found, json.loads(there), rtol=1e-5, atol=1e-7)  # another number of threads
    np.testing.assert_array_equal(found, update_of_a_phone(task_of(Gru(0.25))))
    assert (found != update_of_a_phone(task_of(Gru(0.75)))).any()


def test_an_object_that_cannot_leave_the_process_is_refused():
    @dataclass(frozen=True)
    class Holding(Gru):
        lock: object = None

    with pytest.raises(ConfigError, match=r"cell: expected an object that can be sent to workers, found cannot pickle"):
        task_of(Holding(lock=threading.Lock())).to_json()


def prepared_with(parts, tmp_path, *more):
    flags = (*TINY, "--engine.no-export", "--model.units", 12, "--output-dir", tmp_path / "run", *more)
    return prepare(parse_simulate([str(flag) for flag in flags]).run, parts=parts)


def test_a_run_knows_the_cell_that_was_handed_in_and_is_not_resumed_without_it(tmp_path):
    parts, said = Parts(cell=Gru(0.5)), io.StringIO()
    prepared = prepared_with(parts, tmp_path)
    assert prepared.shape.cell == Gru(0.5) and prepared.task.handed_in == {"cell": Gru(0.5)}
    with RunProgress(said, 3, 0) as progress:
        folder = start_run(prepared, resume=False, progress=progress).directory.root
    assert "my_gru small: 400 words" in said.getvalue()
    with pytest.raises(ConfigError, match=r"config.toml.*model.cell: expected one of cifg, gru, .*, found 'my_gru'"):
        read_config(folder / "config.toml")
    with parts.at_their_doors():
        config = replace(read_config(folder / "config.toml"), output_dir=folder)
        assert config.model.make_cell() == Gru(0.5)
        with RunProgress(said, 3, 0) as progress:
            start_run(prepare(config, resume=True, parts=parts), resume=True, progress=progress)
            for others in (Parts(), Parts(cell=Gru(0.75))):
                with pytest.raises(ConfigError, match=r"--resume: .*run: expected the parts that it began with"):
                    start_run(prepare(config, resume=True, parts=others), resume=True, progress=progress)


def test_a_cell_of_ours_may_be_handed_in_and_no_other_of_its_name():
    config, parts = with_named_cell(parse_simulate([]).run, Parts(cell=Lstm()))
    expected = ModelConfig(cell="lstm", cell_settings=Lstm(), init=PUBLIC_START)
    assert config.model == expected and parts.cell is None

    class Other(Gru):
        name = "lstm"

    with pytest.raises(ConfigError, match=r"cell 'lstm': expected a name that is free, found it taken"):
        with_named_cell(parse_simulate([]).run, Parts(cell=Other()))


# What is asked of a cell -----------------------------------------------------------------------


class Wide(Gru):
    def step(self, weights, x, state):
        _, after = super().step(weights, x, state)
        return after["memory"], after


class Forgetful(Gru):
    def step(self, weights, x, state):
        return super().step(weights, x, state)[0], {}


class Idle(Gru):
    def weights(self, sizes):
        return {**super().weights(sizes), "unused": starting_at((0.0, 3))}


class Mixing(Gru):
    def step(self, weights, x, state):
        return super().step(weights, x - tf.reduce_mean(x, 0), state)


class Tied(Gru):
    def weights(self, sizes):
        return {**super().weights(sizes), "embedding": starting_at((0.0, 3))}


class Named(Gru):
    def state_sizes(self, sizes):
        return {"token": sizes.units}


class Misshapen(Gru):
    def weights(self, sizes):
        return {**super().weights(sizes), "gate_bias": CellWeight((3 * sizes.units,), lambda rng: rng.normal(size=3))}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Wide(), r"expected an output float32 \[3, 6\], found float32 \[3, 11\]"),
        (Forgetful(), r"expected a next state of \['memory'\], found \[\]"),
        (Idle(), "expected outputs that depend on the weight unused"),
        (Mixing(), "expected a row's output to be the same among other rows as alone"),
        (Tied(), "expected weights with names that are free, such as 'input_kernel', found 'embedding'"),
        (Named(), "expected parts of the state with names that are free, .* found 'token'"),
        (Misshapen(), r"expected initial values of gate_bias of shape \(33,\), found \(3,\)"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_in_one_line(cell, message):
    check_cell(Gru(), SHAPE.cell_sizes)
    with pytest.raises(ConfigError, match=rf"^cell 'my_gru': {message}[^\n]*$"):
        check_cell(cell, SHAPE.cell_sizes)


def test_an_operator_that_phones_lack_is_refused_before_anything_is_trained(tmp_path):
    class Special(Gru):
        def step(self, weights, x, state):
            return super().step(weights, tf.math.digamma(x), state)

    with pytest.raises(ConfigError, match=r"cell 'my_gru': .*expected builtin operators only, found Digamma; --engine"):
        check_exportable(Special())
    check_exportable(Gru())


# Files -----------------------------------------------------------------------------------------


def test_files_agree_with_its_step_and_learn_as_a_simulated_phone_does():
    shape = ModelShape(Gru(), 300, 16, 40, T)
    weights, rng = some_weights(shape, seed=2), np.random.default_rng(0)
    files = convert(shape, weights, tuple(FILES), max_gradient_norm=0.5)
    names = (*SPECIAL_TOKENS, *PUNCTUATION, *(f"w{number}" for number in range(300 - FIRST_WORD)))
    streams = [np.append(1, rng.integers(FIRST_WORD, 300, rng.integers(1, T))).astype(np.int32) for _ in range(20)]
    text = CheckText([(stream[:-1], stream[1:]) for stream in streams], Vocabulary(names))
    expected = reference_suggestions(shape, weights, text)
    same = {kind: agreement(file_suggestions(file, shape, text), expected, text) for kind, file in files.items()}
    assert same["float32"][:2] == same["training"][:2] == (1.0, 1.0)
    assert same["float16"].first > 0.98 and same["int8"].first > 0.8  # random weights are the hard case
    check_training(files["training"], shape, weights, text.inputs, 0.5)
    for kind, signature in (("int8", "step"), ("training", "infer")):
        names = open_interpreter(files[kind]).get_signature_list()[signature]
        assert set(names["inputs"]) == {"token", "memory"}
        assert set(names["outputs"]) == {"ids", "probabilities", "logits", "memory_out"}


@pytest.mark.slow
def test_by_entry_point_it_trains_on_ray_and_its_files_pass_their_checks(installed_run, script_here):
    assert "model       my_gru small" in installed_run.printed
    manifest = json.loads((installed_run.folder / "model" / "manifest.json").read_text())
    assert set(FILES.values()) <= set(manifest)
    assert manifest["keyboard_train.tflite"]["same_first_word"] >= 0.999
    unknown = script_here("export_model.py", installed_run.folder)
    assert unknown.returncode == 2 and unknown.stderr.count("\n") == 1
    assert "config.toml" in unknown.stderr and "found 'my_gru'" in unknown.stderr
