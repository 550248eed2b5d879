"""Runs that several tests compare with."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.simulation.keyboard_model import export_small_model

TINY = (
    *("--rounds", 3, "--cohort.goal", 8, "--fleet.size", 300, "--data.vocabulary-phones", 100),
    *("--model.vocabulary-size", 400, "--model.embedding-size", 32, "--model.units", 48),
    *("--evaluation.max-phones", 10, "--privacy.noise-multiplier", 1, "--privacy.modelled-cohort", 500),
    *("--training.max-sequences", 12, "--engine.checkpoint-every-rounds", 1),
)


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """(folder, standard output) of a run on one worker, undisturbed."""
    folder = tmp_path_factory.mktemp("runs") / "straight"
    command = [sys.executable, str(ROOT / "scripts/simulate.py"), *map(str, TINY), "--engine.workers", "1"]
    done = subprocess.run([*command, "--output-dir", str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="session")
def small_models(tmp_path_factory):
    """([folder of each run], [shape of its model]) of two exported models of one vocabulary; the first can learn."""
    roots = [tmp_path_factory.mktemp("exported") / name for name in ("first", "second")]
    kinds = [("int8", "training"), ("int8",)]
    return roots, [export_small_model(root, seed, kinds[seed]) for seed, root in enumerate(roots)]
