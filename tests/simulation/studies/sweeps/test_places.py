"""Runs on a cluster are the runs that this machine would have carried out."""

import pytest
from ray.cluster_utils import Cluster

from simulation.studies.sweeps.places import places_for
from simulation.studies.sweeps.study_file import Choices, Study, StudyOptions
from tests.forked_processes import run_forked
from tests.simulation.studies.sweeps.conftest import command, described, weights
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError

ASKED = Study(StudyOptions(), {}, {"rounds": Choices((1,))})


@pytest.mark.slow
def test_a_cluster_is_filled_and_the_bits_are_the_same(whole, tmp_path):
    """Two runs on two machines at the same time, of settings that the sweep of `whole` had here as well."""
    study = described(tmp_path, "[4.0]", "confirm = false")
    study.write_text(study.read_text().replace("seeds = 2", "seeds = 1"))
    # On loopback alone, which nobody else reaches, and where Ray itself would not look for it.
    machine = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    try:
        cluster.add_node(**machine)
        assert cluster.address.startswith("127.0.0.1:")
        asked = command(study, tmp_path / "cluster", "--address", cluster.address)
        done = run_forked(asked, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        assert "whoever reaches its ports runs code" in done.stdout
    finally:
        cluster.shutdown()
    assert {p.name for p in (tmp_path / "cluster" / "hosts").iterdir()} == {"0.log", "1.log"}
    there, here = weights(tmp_path / "cluster"), weights(whole[1])
    assert set(there) == {"trials/0000/seed-0", "trials/0001/seed-0"}
    assert list(there.values()) == [here["trials/0002/seed-0"], here["trials/0003/seed-0"]]  # with a rate of 4


def test_more_at_the_same_time_than_there_is_room_for_is_refused():
    with pytest.raises(ConfigError, match="--parallel: expected at most the"), places_for(ASKED, 10_000, None):
        pass


def test_runs_at_the_same_time_share_the_processors(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    with places_for(ASKED, None, None) as one, places_for(ASKED, 3, None) as three:
        assert (one.number, one.workers, three.number, three.workers) == (1, None, 3, 2)


def test_no_cluster_there_is_said_in_one_line(script_here, no_engine, tmp_path):
    def refused(study, address):
        done = script_here("sweep.py", study, "--output-dir", tmp_path / "sweep", "--address", address)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert "error: --address 127.0.0.1:1: expected a cluster" in refused(described(tmp_path), "127.0.0.1:1")
    said = refused(described(tmp_path), "203.0.113.7:6379")
    assert "(engine.trust_network = true in the settings joins any), found 203.0.113.7" in said
    trusting = described(tmp_path)
    trusting.write_text(trusting.read_text().replace("workers = 1", "workers = 1\ntrust_network = true"))
    # Tried, though it is not private.
    assert "expected a cluster that can be joined" in refused(trusting, "0.0.0.0:1")
