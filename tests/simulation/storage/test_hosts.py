"""Ray's workers read encrypted text with the key that they are sent, which is in no file of Ray's or of the run."""

import json

import pytest

from simulation.engine import ray_start
from tests.simulation.planted_secrets import leaks_of_bits
from tests.simulation.storage.encrypted_run import OTHER, TINY
from typefleet.sealed.envelope import data_key_of


@pytest.mark.slow
def test_hosts_are_sent_the_key_of_the_text_and_nobody_writes_it(
    tmp_path, messages, shared_engine, simulate_on_ray, monkeypatch
):
    shared_engine.run(lambda grid: None)  # its processes are there, and do not have the variable
    monkeypatch.setenv("STORAGE_KEY", OTHER)
    run, cache = tmp_path / "run", tmp_path / "cache"
    text = ("--data.path", messages, "--data.cache-dir", cache)
    simulate_on_ray(*TINY, *text, "--output-dir", run, "--storage.key", "env:STORAGE_KEY")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["rounds_completed"] == 2 and summary["devices_trained"] >= 8
    (entry,) = cache.iterdir()
    for bits in (bytes.fromhex(OTHER), data_key_of(entry), data_key_of(run)):
        for folder in (run, cache, ray_start.session_folder()):
            assert leaks_of_bits(folder, bits) == []
