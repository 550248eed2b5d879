"""What a script does before it has work to do costs a moment: it imports nothing heavy."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
HEAVY = (
    *("tensorflow", "tensorflow_privacy", "keras", "ray", "flwr", "dp_accounting", "matplotlib", "pyarrow"),
    *("scipy.special", "scipy.stats", "scipy.signal", "scipy.optimize", "symspellpy"),
)
REFUSED = {
    "a bound": ["--rounds", "-3"],
    "an unknown flag": ["--no-such-flag", "3"],
    "a missing configuration": ["--config", "{tmp}/none.toml"],
    "missing text": ["--data.path", "{tmp}/none.jsonl"],
    "a missing vocabulary": ["--data.vocabulary-path", "{tmp}/none.txt"],
    "missing weights": ["--model.init", "{tmp}/none.npz"],
    "a goal above the fleet": ["--cohort.goal", "100000000"],
    "a goal above those who train": ["--cohort.goal", "4600"],
    "a folder in use": ["--output-dir", "{tmp}"],
    "nothing to resume": ["--resume", "{tmp}/none"],
}


def imported(*command):
    """(exit code, names of the heavy modules that a command imported)."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, command)], capture_output=True, text=True, check=False
    )
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert len(names) > 50
    return done.returncode, {name for name in names if name in HEAVY}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_imports_nothing_heavy(script):
    assert imported(script, "--help") == (0, set())


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_before_anything_heavy_is_imported(case, tmp_path):
    (tmp_path / "something").touch()
    arguments = [part.format(tmp=tmp_path) for part in REFUSED[case]]
    assert imported(ROOT / "scripts" / "simulate.py", *arguments) == (2, set())


def test_heavy_modules_would_be_seen():
    assert imported("-c", "import scipy.special") == (0, {"scipy.special"})
