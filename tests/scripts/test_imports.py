"""What a script does before it has work to do costs a moment: it imports nothing heavy."""

import json
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
# Each command in a process forked from one that has imported nothing but small packages of others.
FORKS = f"""
import json, os, runpy, sys
import numpy, rich.console, tyro

for number, command in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        code, sys.argv = 0, command
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            if command[0] == "-c":
                exec(command[1])
            elif command[0] == "-m":
                sys.argv = command[1:]
                runpy.run_module(command[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(command[0], run_name="__main__")
        except SystemExit as left:
            code = left.code
        found = json.dumps([number, code, [name for name in {HEAVY} if name in sys.modules]])
        os.write(2, b"\\nimported " + found.encode() + b"\\n")
        os._exit(0)
    os.wait()
"""


def imported(commands):
    """(exit code, names of the heavy modules that it imported) of each command."""
    asked = json.dumps([[str(part) for part in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", FORKS, asked], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [json.loads(line.removeprefix("imported ")) for line in done.stderr.split("\n") if "imported [" in line]
    assert [number for number, *_ in found] == list(range(len(commands))), done.stderr
    return [(code, set(names)) for _, code, names in found]


@pytest.fixture(scope="module")
def of_help():
    return dict(zip(SCRIPTS, imported([[script, "--help"] for script in SCRIPTS]), strict=True))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_imports_nothing_heavy(script, of_help):
    assert of_help[script] == (0, set())


@pytest.fixture(scope="module")
def of_refused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refused")
    (folder / "something").touch()
    commands = [
        [ROOT / "scripts" / "simulate.py", *(part.format(tmp=folder) for part in arguments)]
        for arguments in REFUSED.values()
    ]
    return dict(zip(REFUSED, imported(commands), strict=True))


def test_a_study_that_is_refused_is_so_before_anything_heavy_is_imported(tmp_path):
    many = list(range(1, 201))
    (tmp_path / "study.toml").write_text(f"[search]\n'training.epochs' = {many}\nrounds = {many}\n")
    ((code, heavy),) = imported([[ROOT / "scripts" / "sweep.py", tmp_path / "study.toml"]])
    assert (code, heavy & {"tensorflow", "ray", "flwr", "matplotlib"}) == (2, set())


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_before_anything_heavy_is_imported(case, of_refused):
    assert of_refused[case] == (2, set())


def test_the_package_is_a_command_too():
    assert imported([["-m", "simulation", "--help"], ["-m", "simulation", "--rounds", -3]]) == [(0, set()), (2, set())]


def test_heavy_modules_would_be_seen():
    assert imported([["-c", "pass"], ["-c", "import scipy.special"]]) == [(0, set()), (0, {"scipy.special"})]
