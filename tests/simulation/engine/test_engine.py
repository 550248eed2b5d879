"""The engine starts while others work, serves one after another, and leaves nothing behind."""

import logging
import tempfile
import threading

import psutil
import pytest
import ray
from flwr.app import Message, MessageType, RecordDict

from simulation.engine import ray_start
from simulation.engine.config import EngineConfig
from simulation.engine.engine import Engine
from simulation.engine.exchange import exchange
from simulation.engine.failures import EngineError, FailureWatch
from simulation.engine.flower_on_ray import wait_for_nodes
from tests.waiting import PATIENCE_S, wait_until
from typefleet.errors import ConfigError


@pytest.fixture(autouse=True)
def _logs_that_are_kept_go_with_the_test(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # short enough for sockets
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield


def test_more_nodes_than_can_be_of_use_are_refused_before_anything_starts():
    with pytest.raises(ConfigError, match=r"^--engine.hosts-per-worker: expected at most 100, found 101$"):
        Engine(EngineConfig(hosts_per_worker=101)).start()


def below_this():
    """Processes that this one has started, directly or not, and that still run."""
    return [p for p in psutil.Process().children(recursive=True) if runs(p)]


def runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def nothing_is_left(before):
    """Whether all processes but those of before are gone, or about to go."""
    wait_until(lambda: set(below_this()) <= before, "that all have gone", look_every_s=0.1)
    return True


def flower_log():
    log = logging.getLogger("flwr")
    return list(log.handlers), log.propagate


def names_of_threads():
    return {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
def test_an_engine_serves_one_after_another_on_loopback_only_and_leaves_nothing(engine_alone, reports):
    before, log_before, threads_before = set(below_this()), flower_log(), names_of_threads()
    with Engine(EngineConfig(workers=1, hosts_per_worker=3)) as engine:
        engine.start()
        engine.start()  # again is no harm
        with pytest.raises(ZeroDivisionError):
            engine.run(lambda grid: 1 / 0)
        assert [engine.run(wait_for_nodes) for _ in range(2)] == [3, 3]
        require_that_a_second_is_refused()
        assert engine.run(wait_for_nodes) == 3  # the first goes on
        assert reports == []  # nobody's machine was described
        processes = [psutil.Process(), *(set(below_this()) - before)]
        sockets = [c for process in processes for c in process.net_connections("inet")]
        commands = [word for process in processes for word in process.cmdline()]
        assert not [word for word in commands if word.endswith(("agent.py", "agent/main.py"))]  # nobody would use them
        folder = ray_start.session_folder()
        assert folder.is_dir()
        listening = [c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN]
        assert len(listening) >= 3  # Ray's own processes, and its workers
        assert all(ip.startswith(("127.", "::1", "::ffff:127.")) for ip in listening), listening
    assert nothing_is_left(before) and not ray.is_initialized() and not folder.exists()
    assert flower_log() == log_before
    assert "typefleet engine" not in names_of_threads() - threads_before
    with pytest.raises(EngineError, match="found one that is closed"):
        engine.run(wait_for_nodes)


@pytest.mark.slow
def test_an_engine_given_up_while_it_starts_leaves_nothing(engine_alone):
    before = set(below_this())
    with pytest.raises(KeyError), Engine(EngineConfig(workers=1)) as engine:
        engine.start()
        raise KeyError("the input turned out to be bad")
    assert nothing_is_left(before) and not ray.is_initialized()


def require_that_a_second_is_refused():
    with Engine(EngineConfig(workers=1)) as second, pytest.raises(EngineError, match="this process uses another one"):
        second.run(wait_for_nodes)


@pytest.mark.slow
def test_flower_that_ends_after_ray_starts_no_other(engine_alone, monkeypatch):
    """Flower ends its actors by calls that would start a Ray, which listens to everybody, if there were none."""
    monkeypatch.setattr("simulation.engine.engine._GRACE_S", 5.0)
    before, engine = set(below_this()), Engine(EngineConfig(workers=1))
    engine.run(wait_for_nodes)
    ray_start.stop_ray()
    engine.close(5.0)
    assert nothing_is_left(before) and not ray.is_initialized()


@pytest.mark.slow
def test_a_dead_backend_does_not_leave_the_server_waiting(engine_alone, monkeypatch):
    def broken(*_args, **_kwargs):
        raise RuntimeError("actors cannot be made")

    monkeypatch.setattr("flwr.server.superlink.fleet.vce.backend.raybackend.BasicActorPool", broken)
    with Engine(EngineConfig(workers=1)) as engine, pytest.raises(EngineError, match="actors cannot be made"):
        engine.run(lambda grid: list(exchange(grid, one_message(grid), 600.0)))


def one_message(grid):
    wait_for_nodes(grid)
    return [Message(RecordDict(), node, MessageType.TRAIN) for node in grid.get_node_ids()][:1]


@pytest.mark.parametrize("kind", [ConnectionError, Exception])
def test_ray_that_does_not_start_is_said_at_once(engine_alone, monkeypatch, kind):
    def refuse(**_):
        raise kind("no raylet")

    monkeypatch.setattr(ray_start.ray, "init", refuse)  # the real cause cannot be had on a healthy machine
    with (
        Engine(EngineConfig(workers=1)) as engine,
        pytest.raises(EngineError, match="Ray: expected to start, found no raylet"),
    ):
        engine.run(lambda grid: None)


def test_ray_that_does_not_answer_is_given_up(engine_alone, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(ray_start.ray, "init", lambda **_: answer.wait())
    monkeypatch.setattr(ray_start, "START_TIMEOUT_S", 0.5)
    with Engine(EngineConfig(workers=1)) as engine:
        with pytest.raises(EngineError, match=r"Ray: expected to start, found no answer within 0\.5 s"):
            engine.run(lambda grid: None)
        answer.set()


def test_a_ray_that_cannot_be_stopped_is_left_to_the_end_of_the_process(engine_alone, monkeypatch):
    """As it stops, Ray waits for its raylet and its GCS without a limit, and they may hang."""
    goes_on, left = threading.Event(), []
    monkeypatch.setattr(ray_start, "stop_ray", lambda keep_logs: goes_on.wait())
    for name in ("_STOP_S", "_NEW_WORKERS_S"):
        monkeypatch.setattr(f"simulation.engine.engine.{name}", 0.05)
    monkeypatch.setattr("simulation.engine.engine.never_ends_by_itself", lambda: left.append("told"))
    engine = Engine(EngineConfig(workers=1))
    engine._began = 1.0
    engine._is_ray_up.set()
    closing = threading.Thread(target=engine.close, args=(0.0,), daemon=True)
    closing.start()
    closing.join(PATIENCE_S)
    assert not closing.is_alive() and left == ["told"]
    goes_on.set()


def test_an_address_without_a_cluster_is_said_at_once(engine_alone):
    for address, reason in (("nowhere", "neither auto nor HOST:PORT"), ("127.0.0.1:1", "refused")):
        with Engine(EngineConfig(address=address)) as engine, pytest.raises(EngineError) as error:
            engine.run(lambda grid: None)
        assert str(error.value).startswith(f"--engine.address {address}: ") and reason in str(error.value)


def test_a_report_of_a_dead_backend_is_heard_and_others_are_not():
    watch, before = FailureWatch(lambda: None), flower_log()
    with watch.listening():
        logging.getLogger("flwr").error("a host failed")
        watch.check()
        logging.getLogger("flwr").error("An exception occured!! %s", "no memory")
        with pytest.raises(EngineError, match=r"simulation engine: expected to run on, found .*no memory"):
            watch.check()
    assert flower_log() == before
