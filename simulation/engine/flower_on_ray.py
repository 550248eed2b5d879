"""Flower on Ray: start it, run a server function on it, start it again on what is left, fail fast.

A simulated phone is not a Flower node. A few nodes (hosts) run in Ray actors, one thread each, and
every message carries the ids of many phones; see `client_app`. `devices_per_message=1` gives the
textbook form, one message a phone, with the same result bit for bit.

When a machine of a cluster dies, Flower keeps offering work to the workers that died with it. Then
the engine is started again on the machines that are left, below the server function, which only sees
an `exchange` that took longer.

What is taken from Flower are its public parts: Message API, ClientApp, ServerApp, run_simulation.
"""

import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ray
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from client_model.quiet import native_messages_aside
from simulation.engine.client_app import app as client_app
from simulation.engine.config import EngineConfig
from typefleet.errors import MachineError

_LOG = logging.getLogger("typefleet")
POLL_S = 0.02
_LOOK_S = 5.0  # between looks at whether Ray is alive
_GRACE_S = 10.0  # for Flower to end by itself
_START_TIMEOUT_S = 25.0  # of Ray; it takes about four
_NODES_TIMEOUT_S = 60.0
_MACHINE_LOSS_TIMEOUT_S = 30.0  # Ray takes up to so long to notice that a machine is gone


class EngineError(MachineError):
    """The engine could not start or could not finish a round; says why."""


class _FailureWatch(logging.Handler):
    """Notices that Flower's backend or Ray died.

    Flower logs the cause in one thread and leaves the server's thread waiting for answers that will
    never come; the log is the only place where the server can learn of it.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.cause: str | None = None
        self._looked_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first report of a dead backend."""
        if self.cause is None and str(record.msg).startswith("An exception occur"):
            self.cause = record.getMessage()

    def check(self) -> None:
        """Raise EngineError if the backend or Ray died."""
        if self.cause is not None:
            raise EngineError(f"Flower's simulation engine failed: {self.cause}")
        if time.monotonic() - self._looked_at > _LOOK_S and ray.is_initialized():
            self._looked_at = time.monotonic()
            if not _machines_alive():
                raise EngineError("Ray died; its own logs, in /tmp/ray/session_latest/logs, may say why")


_watch = _FailureWatch()
check_backend = _watch.check


class EngineGrid(Grid):
    """The grid of the engine that runs now; it stays the same object when the engine is started again."""

    def __init__(self) -> None:
        self._grids: queue.Queue[Grid] = queue.Queue()
        self._grid: Grid | None = None
        self.released = threading.Event()  # Flower's server may return, which ends the engine
        self.machines = 0  # alive when the engine was started

    def hand_over(self, grid: Grid) -> None:
        """Called by Flower's server when the engine runs; returns when the engine is to end."""
        self._grids.put(grid)
        self.released.wait()

    def wait_until_started(self) -> None:
        """Take over the grid of an engine that is being started.

        Raises:
            EngineError: the engine's backend died instead.
        """
        give_up = time.monotonic() + _NODES_TIMEOUT_S
        while time.monotonic() < give_up:
            try:
                self._grid = self._grids.get(timeout=10 * POLL_S)
                return
            except queue.Empty:
                _watch.check()
        raise EngineError(f"expected Flower's server to start within {_NODES_TIMEOUT_S:g} s, found it did not")

    def restart(self) -> None:
        """Start the engine again on the machines that are left; what was on its way is lost."""
        _LOG.warning("a worker is gone for good; starting the engine again on what is left")
        _wait_for_machine_loss(self.machines)
        self._grid = None
        self.released.set()
        self.wait_until_started()
        wait_for_nodes(self)

    def _now(self) -> Grid:
        if self._grid is None:
            raise EngineError("the engine does not run")
        return self._grid

    # Flower's interface, handed on.

    def set_run(self, run_id: int) -> None:
        self._now().set_run(run_id)

    @property
    def run(self) -> Any:
        return self._now().run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        return self._now().create_message(*args, **kwargs)

    def get_node_ids(self) -> Iterable[int]:
        return self._now().get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return self._now().push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return self._now().pull_messages(message_ids)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self._now().send_and_receive(messages, timeout=timeout)


def run_on_flower(config: EngineConfig, body: Callable[[Grid], None]) -> None:
    """Start Ray and Flower, call `body` with a grid, and shut both down.

    `body` runs in a thread of its own; Flower needs this one.

    Raises:
        EngineError: Ray did not start, or stopped.
        Whatever `body` raises.
    """
    grid, raised = EngineGrid(), list[BaseException]()
    finished, ended = threading.Event(), threading.Event()

    def run_body() -> None:
        try:
            grid.wait_until_started()
            body(grid)
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread below
            raised.append(error)
        finally:
            finished.set()
            grid.released.set()
            if raised and not ended.wait(_GRACE_S):  # Flower waits for workers that will never answer
                ray.shutdown()

    flower_log = logging.getLogger("flwr")
    flower_log.handlers = [_watch]  # not to the terminal: errors are raised below, once
    flower_log.propagate = False
    thread = threading.Thread(target=run_body, name="typefleet server", daemon=True)
    while not finished.is_set():
        _run_once(config, grid, thread)
        if _watch.cause is not None:
            finished.wait(_NODES_TIMEOUT_S)  # the server notices by itself, and may know a better reason
            break
    ended.set()
    if raised:
        raise raised[0]
    _watch.check()


def _run_once(config: EngineConfig, grid: EngineGrid, thread: threading.Thread) -> None:
    """One life of the engine; returns when the server lets go of it or the backend dies."""
    server_app = ServerApp()

    @server_app.main()
    def main(flower_grid: Grid, context: Context) -> None:
        grid.hand_over(flower_grid)

    _watch.cause = None
    grid.released.clear()
    workers = _start_ray(config)
    grid.machines = _machines_alive()
    try:
        if not thread.is_alive():
            thread.start()
        run_simulation(
            server_app,
            client_app,
            num_supernodes=workers * config.hosts_per_worker,
            backend_config={
                # A dead actor is restarted; `exchange` repeats its message.
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0, "max_restarts": -1},
            },
        )
    except RuntimeError as error:
        _watch.cause = _watch.cause or str(error)
    finally:
        ray.shutdown()


def _start_ray(config: EngineConfig) -> int:
    """Start a Ray of our own, or join a cluster; returns the number of workers.

    Done here and not left to Flower, so that a failure is seen at once and not after an hour's wait.
    "local" keeps Ray from joining whatever cluster it finds a trace of.
    """
    environment = {
        name: os.environ[name]
        for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH")
        if name in os.environ
    }
    settings: dict[str, Any] = {"address": config.address}
    if config.address is None:
        settings = {
            "address": "local",
            "num_cpus": config.workers_here,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # nobody beyond this machine may reach it: Ray runs what it is sent
        }
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    where = "Ray did not start" if config.address is None else f"--engine.address {config.address}: cannot be joined"
    try:
        _probe(config.address)
        with native_messages_aside():
            _within(
                _START_TIMEOUT_S,
                lambda: ray.init(
                    **settings,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": environment},
                ),
            )
        _start_a_worker()
    except (RuntimeError, OSError, ValueError, ConnectionError) as error:
        ray.shutdown()
        raise EngineError(f"{where}: {error}") from error
    if config.address is None:
        return config.workers_here
    return _cluster_workers(config.address)


def _probe(address: str | None) -> None:
    """Is anybody there? Ray itself would ask for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("expected auto or HOST:PORT")
    socket.create_connection((host, int(port)), timeout=_START_TIMEOUT_S / 3).close()


def _within(timeout_s: float, body: Callable[[], object]) -> None:
    """Run `body` in a thread that is given up after `timeout_s`.

    The thread stays: the processes that Ray starts die with the thread that started them.
    """
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread below
            raised.append(error)
        done.set()
        while not raised:
            time.sleep(3600)

    threading.Thread(target=run, name="typefleet Ray", daemon=True).start()
    if not done.wait(timeout_s):
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    if raised:
        raise raised[0]


def _start_a_worker() -> None:
    """One worker process, at once: Ray would start one that cannot run again and again, without a word.

    Raises:
        TimeoutError: none came up; the message ends with what the last one said.
    """
    hello = ray.remote(num_cpus=0)(lambda: True)  # a lambda, so that the worker imports nothing of ours
    try:
        ray.get(hello.remote(), timeout=_START_TIMEOUT_S)
    except ray.exceptions.RayError as error:
        node: Any = ray._private.worker._global_node
        logs = Path(node.get_logs_dir_path())
        said = [li for log in sorted(logs.glob("*.err")) for li in log.read_text(errors="replace").splitlines()]
        last = next((line.strip() for line in reversed(said) if "Error" in line), str(error).splitlines()[0])
        raise TimeoutError(f"its worker processes do not start: {last} (all of it in {logs})") from error


def _cluster_workers(address: str) -> int:
    """One worker a processor of the cluster; they must be free, or workers would wait for ever."""
    total, free = (int(resources.get("CPU", 0)) for resources in (ray.cluster_resources(), ray.available_resources()))
    give_up = time.monotonic() + _MACHINE_LOSS_TIMEOUT_S  # those of a run that has just ended are soon free
    while free < total and time.monotonic() < give_up:
        time.sleep(10 * POLL_S)
        total, free = (int(r.get("CPU", 0)) for r in (ray.cluster_resources(), ray.available_resources()))
    if total < 1 or free < total:
        ray.shutdown()
        raise EngineError(
            f"--engine.address {address}: expected a cluster with all its CPUs free, found {free} of {total}"
        )
    return total


def _machines_alive() -> int:
    return sum(bool(node["Alive"]) for node in ray.nodes())


def _wait_for_machine_loss(before: int) -> None:
    """Until Ray knows that a machine is gone; else its processors would be counted on again."""
    give_up = time.monotonic() + _MACHINE_LOSS_TIMEOUT_S
    while _machines_alive() >= before and time.monotonic() < give_up:
        time.sleep(10 * POLL_S)


def wait_for_nodes(grid: Grid) -> int:
    """Wait until Flower has registered its nodes; returns how many."""
    give_up = time.monotonic() + _NODES_TIMEOUT_S
    while time.monotonic() < give_up:
        nodes = len(list(grid.get_node_ids()))
        if nodes:
            return nodes
        _watch.check()
        time.sleep(POLL_S)
    raise EngineError(f"expected Flower nodes within {_NODES_TIMEOUT_S:g} s, found none")
