"""Runs that several tests compare with."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from simulation.engine.config import EngineConfig
from simulation.engine.engine import Engine
from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.start import start
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.simulation.device.keyboard_model import SHAPE, export_small_model
from tests.waiting import PATIENCE_S

TINY = (
    *("--rounds", 3, "--cohort.goal", 8, "--fleet.size", 300),
    *("--data.format", "synthetic", "--data.vocabulary-phones", 100),
    *("--model.vocabulary-size", 400, "--model.embedding-size", 32, "--model.units", 48),
    *("--model.sequence-length", 10),  # each process traces as many steps
    *("--evaluation.max-phones", 10, "--privacy.noise-multiplier", 1, "--privacy.modelled-cohort", 500),
    *("--privacy.noise-source", "seeded"),
    *("--training.learning-rate", 4, "--training.max-sequences", 12, "--server-optimizer.schedule", "constant"),
    *("--engine.checkpoint-every-rounds", 1),
)
PLANTED = (
    *("--rounds", 2, "--cohort.goal", 4, "--seed", 918273645, "--evaluation.max-phones", 6),
    *("--cohort.policy", "buffered", "--evaluation.central", "--engine.profile"),
    *("--model.embedding-size", 16, "--model.units", 16, "--training.max-sequences", 6),
    *("--model.sequence-length", 10),
    *("--privacy.mechanism", "blt", "--privacy.clip-quantile", 0.5, "--privacy.target-epsilon", 8),
    *("--privacy.vocabulary-epsilon", 3),  # so that nearly all of the common words enter
    "--privacy.keep-noise-secret",
)
# A second less, a third of which the figures of trackers take: for tests that compare weights.
WEIGHTS_ONLY = (*TINY, "--engine.no-export", "--engine.no-report", "--tracking.trackers")


class _Shared:
    """The engine that runs of this process share. A process has one Ray, so it gives way to tests of the engine."""

    def __init__(self):
        self._engine = None

    def get(self):
        self._engine = self._engine or Engine(EngineConfig(workers=2))
        return self._engine

    def close(self):
        if self._engine is not None:
            self._engine.close()
        self._engine = None


_shared = _Shared()


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running():
    yield
    _shared.close()


@pytest.fixture
def shared_engine():
    """An engine with two workers for all runs of this process that need Ray, and not one of their own."""
    return _shared.get()


@pytest.fixture(scope="module")
def engine_alone():
    """For tests that start Ray by themselves: the shared engine is ended first."""
    _shared.close()


@pytest.fixture
def no_engine():
    """As `engine_alone`, where tests before this one in its module have an engine."""
    _shared.close()


def simulated(engine, arguments):
    flags, printed = parse_simulate([str(argument) for argument in arguments]), io.StringIO()
    start(flags.run, Parts(), printed, flags.resume is not None, engine)
    return printed.getvalue()


@pytest.fixture
def simulate():
    """simulate("--rounds", 1): scripts/simulate.py in this process and without Ray; returns what was printed."""
    from tests.simulation.engine_in_process import EngineInProcess  # which imports TensorFlow

    return lambda *arguments: simulated(EngineInProcess(), arguments)


@pytest.fixture
def simulate_on_ray(shared_engine):
    """As `simulate`, for tests of what the hosts do: they are Ray's, two of them."""
    return lambda *arguments: simulated(shared_engine, arguments)


@pytest.fixture(scope="session")
def straight(made_once):
    """(folder, standard output) of a run on one worker, undisturbed."""

    def run(folder):
        command = [sys.executable, str(ROOT / "scripts/simulate.py"), *map(str, TINY), "--engine.workers", "1"]
        command += ["--output-dir", str(folder / "straight")]
        done = run_forked(command, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        (folder / "stdout.txt").write_text(done.stdout)

    folder = made_once("runs", run)
    return folder / "straight", (folder / "stdout.txt").read_text()


@pytest.fixture(scope="session")
def planted(made_once):
    """A folder with run/, whose phones wrote planted words, another policy and mechanism than `straight` has."""

    def run(folder):
        from tests.simulation.engine_in_process import simulate
        from tests.simulation.planted_secrets import plant

        words = np.array(["the", "of", "and", "to", "in", "is", "you", "that", "it", "was", "for", "on", "be", "this"])
        messages = np.random.default_rng(0).choice(words, (100, 12, 6))
        lines = [{"user_id": f"user{u}", "text": " ".join(one)} for u, own in enumerate(messages) for one in own]
        text, cache = folder / "m.jsonl", folder / "cache"
        text.write_text("".join(json.dumps(line) + "\n" for line in lines))
        plant(text)
        paths = ("--data.path", text, "--data.cache-dir", cache, "--output-dir", folder / "run")
        simulate([str(one) for one in (*PLANTED, *paths)])

    return made_once("planted", run)


@pytest.fixture(scope="session")
def small_models(made_once):
    """Folders of two exported models of one vocabulary; the first can learn, the second has another cell."""

    def export(folder):
        from tests.doors.test_cell_door import Gru  # which takes TINY from here

        export_small_model(folder / "first", 0, ("int8", "training"))
        export_small_model(folder / "second", 1, ("int8",), replace(SHAPE, cell=Gru()))

    folder = made_once("exported", export)
    return [folder / "first", folder / "second"]
