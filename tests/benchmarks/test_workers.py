"""What messages cost is measured in Flower's own engine, and nothing of the waiting workers is left in it."""

import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import patch

import pytest
from flwr.server.superlink.fleet.vce.backend import supported_backends

from benchmarks.workers import WorkersFlags, measure
from simulation.engine import flower_on_ray

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("as_flower_has_it", [False, True])
def test_all_messages_are_answered_and_the_engine_is_as_it_was(as_flower_has_it):
    """In a process of its own: an engine that other tests have in this one would be Flower's as well."""
    code = f"from tests.benchmarks.test_workers import measured; measured({as_flower_has_it})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@patch("concurrent.futures.thread.os.cpu_count", lambda: 1)  # Flower's own pool has five threads
def measured(as_flower_has_it):
    before = supported_backends["ray"], flower_on_ray.thread_for_each
    flags = WorkersFlags(
        hosts_per_worker=2,
        messages_per_host=2,
        round_s=0.4,
        rounds=1,
        weights=10,
        as_flower_has_it=as_flower_has_it,
    )
    cost = measure(flags, 16)
    assert (cost.workers, cost.messages) == (16, 64)
    assert 0 < cost.busy_share <= (5 / 16 if as_flower_has_it else 1)
    assert cost.driver_s_per_message > 0 and cost.driver_share > 0
    assert before == (supported_backends["ray"], flower_on_ray.thread_for_each)
    assert not [thread for thread in threading.enumerate() if thread.name == "typefleet waiting workers"]
