"""A sweep of tiny runs, whole and undisturbed, and the files and commands of others like it."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

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


def swept(study, folder, *flags):
    return subprocess.run(command(study, folder, *flags), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="session")
def whole(made_once):
    """(file of the study, folder, standard output)."""

    def make(folder):
        done = swept(described(folder), folder / "sweep")
        assert done.returncode == 0, done.stderr
        (folder / "stdout.txt").write_text(done.stdout)

    folder = made_once("sweep", make)
    return folder / "study.toml", folder / "sweep", (folder / "stdout.txt").read_text()


def weights(folder):
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text())["weights_sha256"]
        for path in sorted(folder.glob("*/*/seed-*/summary.json"))
    }
