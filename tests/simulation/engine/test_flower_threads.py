"""As many messages are under way as there are workers, in Flower's own engine; workers are threads here."""

import threading
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.server.superlink.fleet.vce import vce_api
from flwr.server.superlink.fleet.vce.backend import Backend, supported_backends

from simulation.engine import flower_threads
from simulation.engine.exchange import exchange
from simulation.engine.flower_on_ray import EngineGrid, wait_for_nodes
from simulation.engine.flower_threads import first_called, thread_for_each
from tests.waiting import PATIENCE_S, wait_until

WORKERS = 64  # more than the pool would have on any machine
_STUCK_S = PATIENCE_S / 10  # after which there is no thread for the rest


class WorkersAreThreads(Backend):
    """In Ray's place: each message is answered once all workers have one, or somebody has waited too long."""

    def __init__(self, config):
        self.all_have_one = threading.Barrier(WORKERS)

    @property
    def num_workers(self):
        return WORKERS

    def build(self, app_fn):
        pass

    def is_worker_idle(self):
        return True

    def terminate(self):
        pass

    def process_message(self, message, context):
        try:
            self.all_have_one.wait(_STUCK_S)
            return Message(RecordDict(message.content), reply_to=message), context
        except threading.BrokenBarrierError:
            return Message(RecordDict(), reply_to=message), context


def test_every_worker_has_a_message_at_the_same_time(monkeypatch):
    """Fails with a Flower that makes its pool otherwise."""
    monkeypatch.setitem(supported_backends, "ray", WorkersAreThreads)
    grid = EngineGrid(lambda: None)
    serving = threading.Thread(target=grid.serve, args=(WORKERS, 2), daemon=True)
    serving.start()
    try:
        grid.wait_until_served()
        wait_until(lambda: wait_for_nodes(grid) == 2 * WORKERS, "all nodes")  # they are registered one by one
        asked = [Message(RecordDict({"w": ArrayRecord()}), node, "query.number") for node in grid.get_node_ids()]
        answers = list(exchange(grid, asked, PATIENCE_S))
    finally:
        grid.released.set()
    assert len(answers) == 2 * WORKERS
    assert all("w" in answer.content for answer in answers)  # nobody waited in vain
    serving.join(PATIENCE_S)
    assert not serving.is_alive() and vce_api.ThreadPoolExecutor is ThreadPoolExecutor


def test_the_pool_is_as_it_was_after_an_error():
    with pytest.raises(ZeroDivisionError), thread_for_each(3):
        assert vce_api.ThreadPoolExecutor is not ThreadPoolExecutor
        raise ZeroDivisionError
    assert vce_api.ThreadPoolExecutor is ThreadPoolExecutor


@pytest.mark.parametrize("change", ["version", "module"])
def test_another_flower_is_left_alone_and_idle_workers_are_said(monkeypatch, caplog, change):
    if change == "version":
        monkeypatch.setattr(flower_threads, "version", lambda _: "1.28.0")
    else:
        monkeypatch.setattr(vce_api, "ThreadPoolExecutor", Executor)
    pool = vce_api.ThreadPoolExecutor
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for workers in (6, WORKERS):
        with thread_for_each(workers):
            assert vce_api.ThreadPoolExecutor is pool
    (said,) = (one.getMessage() for one in caplog.records)
    assert "6 messages under way, so 58 of 64 workers may stay idle" in said


def test_the_first_call_is_ours_the_others_are_flowers_whatever_engine_lives_on():
    def flowers():
        return "Flower"

    names = {"name": flowers}
    with first_called(names, {"name": lambda: "first engine"}):
        of_first = names["name"]
        assert [of_first(), of_first()] == ["first engine", "Flower"]
        with first_called(names, {"name": lambda: "second engine"}):
            assert [names["name"](), names["name"](), of_first()] == ["second engine", "Flower", "Flower"]
        assert names["name"]() == "Flower"
    assert names == {"name": flowers}


def test_an_engine_that_ends_before_a_later_one_leaves_what_that_one_put_there():
    def flowers():
        return "Flower"

    names = {"name": flowers}
    first = first_called(names, {"name": lambda: "first engine"})
    second = first_called(names, {"name": lambda: "second engine"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert names["name"]() == "second engine"
    second.__exit__(None, None, None)
    assert names == {"name": flowers}
