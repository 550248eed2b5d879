"""Flower on Ray: start it, run a server function on it, carry messages, fail fast.

A simulated phone is not a Flower node. A few nodes (hosts) run in Ray actors, one thread each, and
every message carries the ids of many phones; see `client_app`. `devices_per_message=1` gives the
textbook form, one message a phone, with the same result bit for bit.

What is taken from Flower are its public parts: Message API, ClientApp, ServerApp, run_simulation.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable

import ray
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from simulation.client_app import app as client_app
from simulation.config import EngineConfig

_POLL_S = 0.02
_LONGEST_POLL_S = 0.2
_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.25  # before a message is repeated; doubles, so a restarting actor has time
_NODES_TIMEOUT_S = 60.0


class EngineError(RuntimeError):
    """The engine could not start or could not finish a round; says why."""


class _FailureWatch(logging.Handler):
    """Notices that Flower's backend died.

    Flower logs the cause in one thread and leaves the server's thread waiting for answers that will
    never come; the log is the only place where the server can learn of it.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.cause: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first report of a dead backend."""
        if self.cause is None and str(record.msg).startswith("An exception occur"):
            self.cause = record.getMessage()

    def check(self) -> None:
        """Raise EngineError if the backend died."""
        if self.cause is not None:
            raise EngineError(f"Flower's simulation engine failed: {self.cause}")


_watch = _FailureWatch()


def run_on_flower(config: EngineConfig, body: Callable[[Grid], None]) -> None:
    """Start Ray and Flower, call `body` with the grid in the ServerApp, and shut both down.

    Raises:
        EngineError: Ray did not start.
        Whatever `body` raises.
    """
    raised: list[BaseException] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            body(grid)
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread below
            raised.append(error)

    _watch.cause = None
    flower_log = logging.getLogger("flwr")
    flower_log.handlers = [_watch]  # not to the terminal: errors are raised below, once
    flower_log.propagate = False
    _start_ray(config.workers)
    try:
        run_simulation(
            server_app,
            client_app,
            num_supernodes=config.workers * config.hosts_per_worker,
            backend_config={
                # A dead actor is restarted; `exchange` repeats its message.
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0, "max_restarts": -1},
            },
        )
    except RuntimeError as error:
        if not raised:
            raise EngineError(f"Flower's simulation engine failed: {_watch.cause or error}") from error
    finally:
        ray.shutdown()
    if raised:
        raise raised[0]


def _start_ray(workers: int) -> None:
    """Start a Ray of our own, so that a failure is seen here and not after an hour's wait.

    "local" keeps Ray from joining whatever cluster it finds a trace of.
    """
    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH"):
        if name in os.environ:
            environment[name] = os.environ[name]
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
        )
    except (RuntimeError, OSError, ValueError, ConnectionError) as error:
        raise EngineError(f"Ray did not start: {error}") from error


def wait_for_nodes(grid: Grid) -> int:
    """Wait until Flower has registered its nodes; returns how many."""
    give_up = time.monotonic() + _NODES_TIMEOUT_S
    while time.monotonic() < give_up:
        nodes = len(list(grid.get_node_ids()))
        if nodes:
            return nodes
        _watch.check()
        time.sleep(_POLL_S)
    raise EngineError(f"expected Flower nodes within {_NODES_TIMEOUT_S:g} s, found none")


def exchange(grid: Grid, messages: Iterable[Message], timeout_s: float) -> list[Message]:
    """Send messages and collect a good answer to each, repeating those that fail.

    A phone's training depends only on (seed, round, phone), so a repeated message gives the same
    answer and a fault of the machine leaves no mark on the result.

    Raises:
        EngineError: a message failed several times, or had no answer in time.
    """
    messages = list(messages)
    waiting = {message_id: (m, 1) for message_id, m in zip(grid.push_messages(messages), messages, strict=True)}
    failed: list[tuple[float, Message, int]] = []  # (when to repeat, message, attempts so far)
    answers: list[Message] = []
    began = time.monotonic()
    give_up = began + timeout_s
    while waiting or failed:
        for reply in grid.pull_messages(list(waiting)):
            message, attempts = waiting.pop(reply.metadata.reply_to_message_id)
            if not reply.has_error():
                answers.append(reply)
            elif attempts == _ATTEMPTS:
                raise EngineError(f"a message failed {_ATTEMPTS} times: {_last_line(reply.error.reason)}")
            else:
                pause_s = _FIRST_PAUSE_S * 2 ** (attempts - 1)
                failed.append((time.monotonic() + pause_s, message, attempts))
        now = time.monotonic()
        for entry in [f for f in failed if f[0] <= now]:
            failed.remove(entry)
            again = _copy_of(entry[1])
            (message_id,) = grid.push_messages([again])
            waiting[message_id] = (again, entry[2] + 1)
        _watch.check()
        if now > give_up:
            raise EngineError(f"{len(waiting) + len(failed)} messages had no answer within {timeout_s:g} s")
        if waiting or failed:
            # Asking takes processor time from the workers: ask less often in a long round.
            time.sleep(min(max(_POLL_S, (now - began) / 100), _LONGEST_POLL_S))
    return answers


def _last_line(reason: str | None) -> str:
    """The cause at the end of the traceback that Flower passes on."""
    lines = [line for line in (reason or "").splitlines() if line.strip()]
    return lines[-1].strip().removesuffix("'>") if lines else "no reason given"


def _copy_of(message: Message) -> Message:
    meta = message.metadata
    return Message(message.content, dst_node_id=meta.dst_node_id, message_type=meta.message_type, ttl=meta.ttl)
