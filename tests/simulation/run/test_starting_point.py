import io
import json
import os

import numpy as np
import pytest

from client_model.learning.language_model import flatten, initial_weights, model_shape, weights_sha256
from simulation.flags import parse_simulate
from simulation.run.lifecycle import start_run
from simulation.run.outcome import statement_facts
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.starting_point import open_starting_point, starting_weights
from tests.heard_steps import Heard
from tests.simulation.test_runs import outcome
from typefleet.errors import ConfigError
from typefleet.steps import heard_by

MODEL = ("--model.embedding-size", "8", "--model.units", "10")


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "public.jsonl"
    lines = ({"user_id": i % 7, "text": " ".join(f"w{j}" for j in rng.geometric(0.1, 6))} for i in range(300))
    path.write_text("".join(json.dumps({**line, "user_id": str(line["user_id"])}) + "\n" for line in lines))
    return path


def config_of(path, tmp_path, *more):
    reads_text = path.suffix == ".jsonl"  # weights bring their vocabulary
    of_text = ["--data.cache-dir", str(tmp_path / "cache"), "--model.vocabulary-size", "60"] if reads_text else []
    return parse_simulate(["--model.init", str(path), *of_text, *MODEL, *more]).run


def start(config):
    heard = Heard()
    point = open_starting_point(config)
    shape = model_shape(config.model, len(point.vocabulary))
    with heard_by(heard):
        return point, flatten(starting_weights(point, config, shape)), shape, heard


def keep(folder, weights, shape, vocabulary):
    """A run's model folder."""
    (folder / "model").mkdir(parents=True)
    arrays, at = {}, 0
    for name, dims in shape.weight_shapes().items():
        arrays[name] = weights[at : at + np.prod(dims)].reshape(dims)
        at += int(np.prod(dims))
    np.savez(folder / "model" / "weights.npz", **arrays)
    (folder / "model" / "vocab.txt").write_text(vocabulary.to_text())
    return folder


def test_a_corpus_gives_vocabulary_and_trained_weights(corpus, tmp_path):
    point, weights, shape, heard = start(config_of(corpus, tmp_path))
    assert "w1" in point.vocabulary.tokens and len(point.vocabulary) <= 60
    assert (weights != flatten(initial_weights(shape, 0))).any() and np.isfinite(weights).all()
    done, total, note, left_s = heard.moves[-1]
    assert heard.names == ["central training on public.jsonl"] and done == total and left_s == 0
    assert note.startswith("loss ") and float(note.removeprefix("loss ")) > 0
    assert "public.jsonl" in point.description


def test_weights_come_back_as_they_were_from_file_or_folder(corpus, tmp_path):
    first, weights, shape, _ = start(config_of(corpus, tmp_path))
    folder = keep(tmp_path / "run", weights, shape, first.vocabulary)
    for path in (folder, folder / "model" / "weights.npz"):
        point, again, _, heard = start(config_of(path, tmp_path))
        np.testing.assert_array_equal(again, weights)
        assert point.vocabulary == first.vocabulary and not heard.names


def test_bad_starting_points_are_said(corpus, tmp_path):
    first, weights, shape, _ = start(config_of(corpus, tmp_path))
    file = keep(tmp_path / "run", weights, shape, first.vocabulary) / "model" / "weights.npz"

    def refused(config, message):
        with pytest.raises(ConfigError, match=message):
            start(config)

    refused(config_of(tmp_path / "none", tmp_path), r"--model\.init: .*none: expected a file that can be read, found")
    refused(config_of(file, tmp_path, "--model.units", "11"), r"expected input_kernel of shape \(8, 33\)")
    words = [*first.vocabulary.tokens[:8], "other"]
    (tmp_path / "other.txt").write_text("\n".join(words) + "\n")
    refused(
        config_of(file, tmp_path, "--data.vocabulary-path", str(tmp_path / "other.txt")), "vocabulary of the weights"
    )
    (file.parent / "vocab.txt").unlink()
    refused(config_of(file, tmp_path), r"expected vocab\.txt beside")
    file.write_bytes(b"not a zip file")
    refused(config_of(file, tmp_path, "--data.vocabulary-path", str(tmp_path / "other.txt")), "expected the weights of")


def test_a_pipe_or_a_device_is_no_starting_point(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for path, found in ((tmp_path / "pipe.npz", "a pipe"), ("/dev/zero", "a device")):
        config = parse_simulate(["--data.format", "synthetic", "--model.init", str(path)]).run
        with pytest.raises(
            ConfigError, match=rf"^--model\.init: {path}: expected a file that can be read, found {found}$"
        ):
            open_starting_point(config)


@pytest.mark.slow
def test_a_run_starts_where_another_one_ended(straight, tmp_path):
    flags = ["--fleet.size", "300", "--model.embedding-size", "32", "--model.units", "48", "--cohort.goal", "8"]
    config = parse_simulate([*flags, "--model.init", str(straight[0]), "--output-dir", str(tmp_path / "run")]).run
    with RunProgress(io.StringIO(), config.rounds, 0) as progress:
        run = start_run(prepare(config), resume=False, progress=progress)
    assert weights_sha256(run.flat) == outcome(straight[0])["weights_sha256"]
    assert run.prepared.task.vocabulary == (straight[0] / "model" / "vocab.txt").read_text()
    facts = statement_facts(run)
    assert any("the starting weights, read from weights.npz" in item for item in facts.outside_the_budget)
