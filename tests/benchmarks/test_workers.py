"""What messages cost is measured in Flower's own engine, and nothing of the waiting workers is left in it."""

import threading
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from flwr.server.superlink.fleet.vce.backend import supported_backends

from benchmarks.waiting_workers import _Waiting
from benchmarks.workers import WorkersFlags, measure
from simulation.engine import flower_on_ray
from simulation.flags import parse_with_tyro
from typefleet.errors import ConfigError

WORKERS, OF_FLOWER = 16, 5  # that may be at work at once, without and with Flower's own bound


class Together:
    """How many are at work at once, at most; the first of them wait for each other until as many are as is wanted."""

    def __init__(self, wanted):
        self._changing, self._enough = threading.Lock(), threading.Event()
        self._wanted, self._now, self.most = wanted, 0, 0

    @contextmanager
    def at_work(self):
        with self._changing:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now >= self._wanted:
                self._enough.set()
        if not self._enough.wait(60):
            self._enough.set()  # so many never are: the others need not wait as long
        yield
        with self._changing:
            self._now -= 1


@pytest.mark.slow
@pytest.mark.parametrize("as_flower_has_it", [False, True])
@patch("concurrent.futures.thread.os.cpu_count", lambda: 1)  # Flower's own pool has five threads
def test_all_messages_are_answered_and_the_engine_is_as_it_was(as_flower_has_it):
    before = supported_backends["ray"], flower_on_ray.thread_for_each
    flags = WorkersFlags(
        hosts_per_worker=2,
        messages_per_host=2,
        round_s=0.4,
        rounds=1,
        weights=10,
        as_flower_has_it=as_flower_has_it,
    )
    at_once = OF_FLOWER if as_flower_has_it else WORKERS
    together, answer = Together(at_once), _Waiting.process_message

    def counted(backend, message, context):
        with together.at_work():
            return answer(backend, message, context)

    with patch.object(_Waiting, "process_message", counted):
        cost = measure(flags, WORKERS)
    assert (cost.workers, cost.messages) == (WORKERS, 64)
    assert together.most == at_once
    assert 0 < cost.busy_share <= at_once / WORKERS
    assert cost.driver_s_per_message > 0 and cost.driver_share > 0
    assert before == (supported_backends["ray"], flower_on_ray.thread_for_each)
    assert not [thread for thread in threading.enumerate() if thread.name == "typefleet waiting workers"]


@pytest.mark.parametrize("workers", [["0"], ["16", "-1"]])
def test_no_workers_are_refused(workers):
    with pytest.raises(ConfigError, match=r"^--workers: expected a number >= 1, found"):
        parse_with_tyro(WorkersFlags, ["--workers", *workers])
