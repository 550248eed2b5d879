"""Measuring a command from outside: when its first round ended, and what it said if it failed."""

import json
import re
import sys
from importlib.machinery import BuiltinImporter
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from benchmarks.measure import BenchmarkError, Measured, measure, require_own_kernel
from benchmarks.workload import TOKENS, Simulated, simulate_flags, write_messages
from client_model.text.vocabulary import read_vocabulary
from simulation.flags import parse_simulate

ROUNDS = """
import json, pathlib, sys, time
lines = pathlib.Path(sys.argv[1])
lines.parent.mkdir()
time.sleep(0.5)
for number in (1, 2):
    with lines.open("a") as file:
        profile = {"driver_s": {"exchange": 0.25, "evaluation": 0.125}}
        file.write(json.dumps({"round": number, "reports": 4, "train_seconds": 0.25, "profile": profile}) + "\\n")
    time.sleep(0.5)
"""


def test_rounds_and_the_time_to_the_first_are_seen(tmp_path):
    lines = tmp_path / "run" / "rounds.jsonl"
    found = measure([sys.executable, "-c", ROUNDS, str(lines)], lines, 60.0)
    assert [line["round"] for line in found.rounds] == [1, 2] and len(found.cpu_s_at_round) == 2
    assert found.first_round_s > 0.5 and found.first_round_s - found.start_up_s == pytest.approx(0.375)
    assert found.trained_tokens_per_s(TOKENS) == [pytest.approx(4 * TOKENS / 0.25)]  # of the second round alone
    assert found.scored_tokens_per_s(800) == [pytest.approx(800 / 0.125)]
    (cpu_s,) = found.cpu_s_a_phone()
    assert cpu_s == (found.cpu_s_at_round[1] - found.cpu_s_at_round[0]) / 4
    json.dumps(found.rounds)


def test_without_profiles_nothing_is_said_of_start_up_and_scoring():
    found = Measured([{"reports": 2, "train_seconds": 1.0}] * 3, [1.0, 3.0, 7.0], 5.0)
    assert found.start_up_s is None and found.scored_tokens_per_s(10) == []
    assert found.cpu_s_a_phone() == [1.0, 2.0]


def test_a_failure_says_how_it_ended_and_names_no_file_that_is_gone(tmp_path):
    code = "import sys; print('going well'); sys.exit('error: expected a goal, found none')"
    with pytest.raises(BenchmarkError) as error:
        measure([sys.executable, "-c", code], tmp_path / "run" / "rounds.jsonl", 60.0)
    assert "going well / error: expected a goal, found none" in str(error.value)
    named = [Path(path) for path in re.findall(r"/\S+", str(error.value))]
    assert all(path.exists() for path in named if path.parent != Path("/")), named


class Editable:
    """As `pip install -e` puts one on `sys.meta_path`: it knows where packages are, which is in none of its folders."""

    def __init__(self, folder):
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        return spec_from_file_location(name, self.folder / name / "__init__.py") if name == "client_model" else None


@pytest.mark.parametrize("editable", [False, True])
@pytest.mark.parametrize("built", [(), ("checkout",), ("installed",), ("checkout", "installed")])
def test_a_checkout_without_the_kernel_that_is_installed_is_refused(tmp_path, built, editable):
    for place in built:
        native = tmp_path / place / "client_model" / "learning" / "native"
        native.mkdir(parents=True)
        (native / "kernel.abi3.so").touch()
    folders = [str(tmp_path / "checkout"), *([] if editable else [str(tmp_path / "installed")])]
    finders = [BuiltinImporter, *([Editable(tmp_path / "installed")] if editable else [])]
    places = tmp_path / "checkout", folders, finders
    if built == ("installed",):
        with pytest.raises(BenchmarkError, match="expected a native kernel in the checkout") as error:
            require_own_kernel(*places)
        assert "build_ext --inplace" in str(error.value) and "\n" not in str(error.value)
    else:
        require_own_kernel(*places)


def test_in_the_workload_all_phones_train(tmp_path):
    of = Simulated(cell="cifg", phones=7, rounds=2, workers=1, held_out_share=0.1, scored=8, scores_every=2)
    run = parse_simulate(simulate_flags(tmp_path / "m.jsonl", tmp_path, of)).run
    write_messages(tmp_path / "m.jsonl", 8)
    words = (tmp_path / "m.jsonl").read_text().split('"text": "')[1].split('"')[0].split()
    assert set(words) <= set(read_vocabulary(run.data.vocabulary_path).tokens)
    assert run.cohort.goal == 7 and run.fleet.memory_floor_gb == 0 and run.fleet.failure_share == 0
