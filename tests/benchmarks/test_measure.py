"""Measuring a command from outside: when its first round ended, and what it said if it failed."""

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks.measure import BenchmarkError, measure
from benchmarks.workload import TOKENS, simulate_flags, write_messages
from client_model.text.vocabulary import read_vocabulary
from simulation.flags import parse_simulate

ROUNDS = """
import json, pathlib, sys, time
lines = pathlib.Path(sys.argv[1])
lines.parent.mkdir()
time.sleep(0.5)
for number in (1, 2):
    with lines.open("a") as file:
        file.write(json.dumps({"round": number, "reports": 4, "train_seconds": 0.25}) + "\\n")
    time.sleep(0.5)
"""


def test_rounds_and_the_time_to_the_first_are_seen(tmp_path):
    lines = tmp_path / "run" / "rounds.jsonl"
    found = measure([sys.executable, "-c", ROUNDS, str(lines)], lines, 60.0)
    assert [line["round"] for line in found.rounds] == [1, 2] and found.phones == 4
    assert found.first_round_s > 0.5 and len(found.cpu_s_at_round) == 2
    assert found.tokens_per_s(TOKENS) == pytest.approx(8 * TOKENS / 0.5)
    json.dumps(found.rounds)


def test_a_failure_says_how_it_ended_and_names_no_file_that_is_gone(tmp_path):
    code = "import sys; print('going well'); sys.exit('error: expected a goal, found none')"
    with pytest.raises(BenchmarkError) as error:
        measure([sys.executable, "-c", code], tmp_path / "run" / "rounds.jsonl", 60.0)
    assert "going well / error: expected a goal, found none" in str(error.value)
    named = [Path(path) for path in re.findall(r"/\S+", str(error.value))]
    assert all(path.exists() for path in named if path.parent != Path("/")), named


def test_in_the_workload_all_phones_train(tmp_path):
    settings = {"phones": 7, "rounds": 2, "workers": 1, "held_out_share": 0.1}
    run = parse_simulate(simulate_flags(tmp_path / "m.jsonl", tmp_path, "cifg", **settings)).run
    write_messages(tmp_path / "m.jsonl", 8)
    words = (tmp_path / "m.jsonl").read_text().split('"text": "')[1].split('"')[0].split()
    assert set(words) <= set(read_vocabulary(run.data.vocabulary_path).tokens)
    assert run.cohort.goal == 7 and run.fleet.memory_floor_gb == 0 and run.fleet.failure_share == 0
