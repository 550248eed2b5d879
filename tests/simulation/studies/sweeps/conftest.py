"""A sweep of tiny runs, whole and undisturbed, and the files and commands of others like it."""

import io
import json
import sys

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from simulation.studies.sweeps import run_host
from simulation.studies.sweeps.carry_out import carry_out
from simulation.studies.sweeps.study_file import read_study
from tests.conftest import ROOT
from tests.forked_processes import forking

STUDY = """
seeds = 2
{options}
[settings]
rounds = {rounds}
[settings.cohort]
goal = 8
[settings.fleet]
size = 300
[settings.data]
format = "synthetic"
vocabulary_phones = 100
[settings.model]
vocabulary_size = 400
embedding_size = 32
units = 48
sequence_length = 10
[settings.evaluation]
max_phones = 10
every_rounds = 1
[settings.privacy]
noise_source = "seeded"
noise_multiplier = 1.0
modelled_cohort = 500
[settings.training]
max_sequences = 12
[settings.server_optimizer]
schedule = "constant"
[settings.engine]
workers = 1
export = false
report = false
[search]
"training.learning_rate" = {rates}
"privacy.mechanism" = ["gaussian", "tree"]
"""


def described(folder, rates="[0.5, 4.0]", options="", rounds=2):
    path = folder / "study.toml"
    path.write_text(STUDY.format(rates=rates, options=options, rounds=rounds))
    return path


def command(study, folder, *flags):
    return [sys.executable, str(ROOT / "scripts/sweep.py"), str(study), "--output-dir", str(folder), *flags]


def swept(study, folder):
    """What scripts/sweep.py prints, in this process, with runs in a forked one and without Ray."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_host, "subprocess", forking())
        patch.setattr(run_host, "_MODULE", "tests.simulation.studies.sweeps.trial_without_ray")
        carry_out(read_study(study), folder, stream=printed)
    return printed.getvalue()


@pytest.fixture(scope="package", autouse=True)
def no_wait_for_the_disk():
    """What searches keep need not outlive a power cut; each of thousands of commits waits for the disk else."""

    def soon(connection, _):
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", soon)
    yield
    event.remove(Engine, "connect", soon)


@pytest.fixture(scope="session")
def whole(made_once):
    """(file of the study, folder, what was printed)."""

    def make(folder):
        (folder / "stdout.txt").write_text(swept(described(folder), folder / "sweep"))

    folder = made_once("sweep", make)
    return folder / "study.toml", folder / "sweep", (folder / "stdout.txt").read_text()


def weights(folder):
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text())["weights_sha256"]
        for path in sorted(folder.glob("*/*/seed-*/summary.json"))
    }
