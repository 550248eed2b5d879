"""Which worker gets the next message; that workers on Ray answer, and are started again, is in `test_flower_on_ray`."""

import threading
from types import SimpleNamespace

import pytest
from flwr.app import Context, RecordDict
from flwr.server.superlink.fleet.vce.backend import supported_backends
from flwr.server.superlink.fleet.vce.backend.raybackend import RayBackend
from ray.exceptions import RayError

from simulation.engine import flower_backend, flower_threads
from simulation.engine.flower_backend import IN_HAND, WorkersOnRay, next_in_hand
from tests.waiting import PATIENCE_S

CONTEXT = Context(1, 1, {"partition-id": 3}, RecordDict(), {})


class Worker:
    """Answers what it is told to answer; in the place of an actor, whose calls return at once."""

    def __init__(self):
        self.sent, self.answers = [], []
        self.run = SimpleNamespace(remote=self._take)

    def _take(self, app_fn, message, node, context):
        assert node == "3"
        self.sent.append(message)
        self.answers.append(threading.Event())
        return self.answers[-1], (node, message, context)


@pytest.fixture
def workers(monkeypatch):
    """A backend of three, without Ray."""

    def get(call):
        assert call[0].wait(PATIENCE_S)
        if call[1][1] == "fails":
            raise RayError
        return call[1]

    def wait(calls, fetch_local):
        assert not fetch_local and calls[0][0].wait(PATIENCE_S)

    monkeypatch.setattr(flower_backend, "ray", SimpleNamespace(get=get, wait=wait))
    monkeypatch.setattr(flower_backend, "give_back_while_it_lives", lambda answer: None)  # messages are letters here
    backend = WorkersOnRay.__new__(WorkersOnRay)
    backend._lock, backend.app_fn, found = threading.Lock(), None, [Worker() for _ in range(3)]
    backend._weights = SimpleNamespace(put_once=lambda message: message)
    backend._in_hand, backend._failed_s = dict.fromkeys(found, 0), {}
    backend._weights = SimpleNamespace(apart=lambda message: (None, message))
    return backend, found


def under_way(backend, messages):
    """Threads, each with a message that is sent when this returns."""
    threads = []
    for message in messages:
        before = sum(backend._in_hand.values())
        threads.append(threading.Thread(target=lambda m=message: answered(backend, m), daemon=True))
        threads[-1].start()
        while sum(backend._in_hand.values()) == before or not all(
            backend._in_hand[w] <= len(w.sent) for w in backend._in_hand
        ):
            threading.Event().wait(0.001)
    return threads


def answered(backend, message):
    try:
        backend.process_message(message, CONTEXT)
    except RayError:
        assert message == "fails"


def test_each_message_goes_to_the_worker_that_has_fewest(workers):
    backend, found = workers
    threads = under_way(backend, list("abcdef"))
    assert [worker.sent for worker in found] == [["a", "d"], ["b", "e"], ["c", "f"]]  # each has its next one
    found[1].answers[0].set()
    threads[1].join(PATIENCE_S)
    under_way(backend, ["g"])
    assert found[1].sent == ["b", "e", "g"]


def test_one_that_failed_is_out_of_its_workers_hand(workers):
    backend, found = workers
    (thread,) = under_way(backend, ["fails"])
    found[0].answers[0].set()
    thread.join(PATIENCE_S)
    assert list(backend._in_hand.values()) == [0, 0, 0]


def test_one_is_idle_that_has_nothing_in_hand_and_has_not_just_failed(workers, monkeypatch):
    backend, found = workers
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(flower_backend, "time", clock)
    assert backend.is_worker_idle()
    (_, _, thread) = under_way(backend, ["a", "b", "fails"])
    assert not backend.is_worker_idle()
    found[2].answers[0].set()
    thread.join(PATIENCE_S)
    assert not backend.is_worker_idle()
    clock.monotonic = lambda: 101.5
    assert backend.is_worker_idle()


def test_one_that_has_just_failed_counts_as_busy_for_a_while(workers, monkeypatch):
    backend, found = workers
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(flower_backend, "time", clock)
    (thread,) = under_way(backend, ["fails"])
    found[0].answers[0].set()
    thread.join(PATIENCE_S)
    under_way(backend, list("abcd"))  # as much as the others are sent
    assert [worker.sent for worker in found] == [["fails"], ["a", "c"], ["b", "d"]]
    under_way(backend, ["e"])  # it waits for nobody
    assert found[0].sent == ["fails", "e"]
    clock.monotonic = lambda: 101.5
    under_way(backend, ["f"])
    assert found[0].sent == ["fails", "e", "f"]


def test_flower_is_as_it_was_afterwards():
    with pytest.raises(ZeroDivisionError), next_in_hand() as workers:
        assert supported_backends["ray"] is not RayBackend and workers.messages_of_each == IN_HAND
        raise ZeroDivisionError
    assert supported_backends["ray"] is RayBackend


@pytest.mark.parametrize("change", ["version", "backend"])
def test_another_flower_is_left_alone(monkeypatch, change):
    if change == "version":
        monkeypatch.setattr(flower_threads, "version", lambda _: "1.28.0")
    else:
        monkeypatch.setitem(supported_backends, "ray", object)
    there = supported_backends["ray"]
    with next_in_hand() as workers:
        assert supported_backends["ray"] is there and workers.messages_of_each == 1 and not workers.is_one_idle
