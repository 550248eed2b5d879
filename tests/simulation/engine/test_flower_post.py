"""Messages are handed on as soon as they are pushed; workers are threads here."""

import gc
import threading
import time
import weakref

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.server.superlink.fleet.vce import vce_api
from flwr.server.superlink.fleet.vce.backend import Backend, supported_backends

from simulation.engine import flower_threads
from simulation.engine.exchange import exchange
from simulation.engine.flower_on_ray import EngineGrid, wait_for_nodes
from simulation.engine.flower_post import Post
from tests.waiting import PATIENCE_S, wait_until

_STUCK_S = PATIENCE_S / 10  # from one look to the next, of which none is needed


class AnswersAtOnce(Backend):
    """In Ray's place."""

    def __init__(self, config):
        pass

    @property
    def num_workers(self):
        return 2

    def build(self, app_fn):
        pass

    def is_worker_idle(self):
        return True

    def terminate(self):
        pass

    def process_message(self, message: Message, context: Context):
        return Message(RecordDict(), reply_to=message), context


@pytest.fixture
def grid(monkeypatch):
    """Flower's engine, in which nothing is looked for: what is not told of is never seen."""
    monkeypatch.setitem(supported_backends, "ray", AnswersAtOnce)
    grid = EngineGrid(lambda: None)
    serving = threading.Thread(target=grid.serve, args=(2, 2), daemon=True)
    serving.start()
    grid.wait_until_served()
    wait_until(lambda: wait_for_nodes(grid) == 4, "all nodes")  # they are registered one by one
    yield grid
    grid.released.set()
    serving.join(PATIENCE_S)


def asked(grid):
    return [Message(RecordDict(), node, "query.number", ttl=PATIENCE_S) for node in grid.get_node_ids()]


def test_who_is_told_waits_for_nobody(grid, monkeypatch):
    looks = []
    monkeypatch.setattr("simulation.engine.exchange._LONGEST_POLL_S", _STUCK_S)
    monkeypatch.setattr("simulation.engine.flower_on_ray.POLL_S", _STUCK_S)
    monkeypatch.setattr(time, "sleep", looks.append)
    began = time.monotonic()
    for _ in range(3):
        assert len(list(exchange(grid, asked(grid), PATIENCE_S))) == 4
    assert len(list(grid.send_and_receive(asked(grid)))) == 4
    assert time.monotonic() - began < _STUCK_S and looks == []


def test_answers_that_do_not_come_are_waited_for_as_long_as_is_said(grid, monkeypatch):
    monkeypatch.setattr(grid, "pull_messages", lambda ids: [])
    assert list(grid.send_and_receive(asked(grid), timeout=0.05)) == []


def test_another_flower_is_left_alone(monkeypatch):
    monkeypatch.setattr(flower_threads, "version", lambda _: "1.28.0")
    by_flower, post = vce_api.add_messages_to_queue, Post()
    with post.carried():
        assert vce_api.add_messages_to_queue is by_flower
        post.wait_for_an_answer(PATIENCE_S)  # returns, to look
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError), post.carried():
        assert vce_api.add_messages_to_queue is not by_flower
        raise ZeroDivisionError
    assert vce_api.add_messages_to_queue is by_flower


def test_an_engine_that_lives_on_carries_nothing_for_the_next_one(grid):
    second = EngineGrid(lambda: None)
    serving = threading.Thread(target=second.serve, args=(2, 2), daemon=True)
    serving.start()
    try:
        second.wait_until_served()
        wait_until(lambda: wait_for_nodes(second) == 4, "all nodes")
        for one in (second, grid, second):
            assert len(list(exchange(one, asked(one), _STUCK_S))) == 4
    finally:
        second.released.set()
        serving.join(PATIENCE_S)
    assert not serving.is_alive()


def test_only_what_was_answered_is_asked_for_and_now_and_then_all_since_some_may_have_run_out(grid, monkeypatch):
    pulled, looked = [], grid._now().pull_messages
    grid.pull_messages([])  # the first look is at all
    monkeypatch.setattr(grid._now(), "pull_messages", lambda ids: pulled.append(len(ids)) or looked(ids))
    monkeypatch.setattr("simulation.engine.flower_post._LOOK_AT_ALL_S", PATIENCE_S)
    for _ in range(3):
        assert len(list(exchange(grid, asked(grid), PATIENCE_S))) == 4
    assert sum(pulled) == 12  # each once
    silent = [Message(RecordDict(), node, "query.number", ttl=0.01) for node in grid.get_node_ids()]
    monkeypatch.setattr(grid._post, "pushed", lambda messages: None)  # nobody answers
    ids = list(grid.push_messages(silent))
    time.sleep(0.05)
    assert list(grid.pull_messages(ids)) == []
    monkeypatch.setattr("simulation.engine.flower_post._LOOK_AT_ALL_S", 0.0)
    assert [reply.has_error() for reply in grid.pull_messages(ids)] == [True] * 4


def test_each_message_is_handed_on_once_and_nothing_is_looked_through_for_it(grid, monkeypatch):
    state, looked = grid._now().state, []
    look = state.get_message_ins
    with monkeypatch.context() as patched:
        patched.setattr(state, "get_message_ins", lambda **of: looked.append(of) or look(**of))
        assert len(list(exchange(grid, [*asked(grid), *asked(grid)], PATIENCE_S))) == 8
        ids = list(grid.push_messages(asked(grid)))
        wait_until(lambda: state.num_message_res() == 4, "all answers")  # which nobody pulls
    assert looked == []
    for node in grid.get_node_ids():  # Flower knows that they were handed on
        assert state.get_message_ins(node_id=node, limit=None) == []
    assert len(list(grid.pull_messages(ids))) == 4


def test_what_is_pushed_is_not_kept_where_nobody_hands_it_on():
    post, message = Post(), Message(RecordDict(), 1, "train")
    kept = weakref.ref(message)
    post.pushed([message])
    del message
    gc.collect()
    assert kept() is None
