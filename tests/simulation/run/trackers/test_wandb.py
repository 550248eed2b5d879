"""Runs for real where Weights & Biases is installed: `pip install 'typefleet[wandb]'`."""

import json
import struct
import time

import pytest

pytest.importorskip("wandb", reason="the extra wandb is not installed")

from simulation.run.trackers.config import TrackingConfig
from simulation.run.trackers.wandb import WeightsAndBiases
from tests.simulation.run.trackers.told import LOSS, PNG, run_in, tell


def records_of(folder):
    """All of them: the program's own process writes the last ones a moment after a run has been closed."""
    give_up = time.monotonic() + 20
    while "exit" not in (found := records_so_far(folder)) and time.monotonic() < give_up:
        time.sleep(0.05)
    return found


def records_so_far(folder):
    """What `wandb sync` would send of the one offline run in a folder, by kind.

    The file is a log as LevelDB has it: blocks of 32 KiB, in each of them pieces with a header of checksum, length and
    type (1: a whole record, 2, 3, 4: its first, middle and last piece).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    content, at, record, found = path.read_bytes(), 7, b"", {}
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768  # too little is left of the block for a header
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            one, record = Record.FromString(record), b""
            name = one.WhichOneof("record_type")
            found.setdefault(name, []).append(getattr(one, name))
    return found


def history_of(records):
    rows = [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in h.item} for h in records["history"]]
    return {row["_step"]: row for row in rows if LOSS in row}, len([row for row in rows if LOSS in row])


def tracker():
    return WeightsAndBiases(TrackingConfig(trackers=("wandb",), experiment="mine"))


def test_a_run_has_its_settings_curves_outcome_and_files_and_nothing_of_the_machine(tmp_path):
    tell(tracker(), run_in(tmp_path, **{"cohort.goal": 20}), {0: 3.0, 1: 2.5})
    records = records_of(tmp_path)
    run = records["run"][0]
    assert (run.run_id, run.project, run.display_name) == (run_in(tmp_path).key, "mine", tmp_path.name)
    assert not run.host and not run.git.remote_url and not records.keys() & {"environment", "stats"}
    config = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["cohort.goal"] == 20 and config["seed"] == 0
    rows, count = history_of(records)
    assert {step: row[LOSS] for step, row in rows.items()} == {0: 3.0, 1: 2.5} and count == 2
    summary = {item.key or "/".join(item.nested_key): item for one in records["summary"] for item in one.update}
    assert json.loads(summary["outcome/epsilon"].value_json) == 1.5
    (files,) = tmp_path.glob("wandb/offline-run-*/files")
    assert (files / "summary.json").read_text() == "{}"
    assert [path.read_bytes()[:8] for path in files.rglob("*.png")] == [PNG[:8]]
    assert records["exit"][-1].exit_code == 0


def test_a_run_that_was_killed_goes_on_as_the_same_with_each_round_once(tmp_path):
    stopped = tracker()
    tell(stopped, run_in(tmp_path), {0: 4.0, 1: 3.0, 2: 2.0}, end=False)
    stopped.close()
    assert records_of(tmp_path)["exit"][-1].exit_code == 1
    told = {number: {LOSS: 4.0 - number} for number in (0, 1)}
    tell(tracker(), run_in(tmp_path, told, 2), {2: 2.0, 3: 1.0})
    records = records_of(tmp_path)
    rows, count = history_of(records)
    assert {step: row[LOSS] for step, row in rows.items()} == {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0} and count == 4
    assert records["run"][0].run_id == run_in(tmp_path).key and records["exit"][-1].exit_code == 0
