"""Flower on Ray: run a server function on it, and start it again on what is left.

A simulated phone is not a Flower node. A few nodes (hosts) run in Ray actors, one thread each, and
every message carries the ids of many phones; see `client_app`. `devices_per_message=1` gives the
textbook form, one message per phone, with the same result bit for bit.

When a machine of a cluster dies, Flower keeps offering work to the workers that died with it. Then
the engine is started again on the machines that are left, below whoever uses the grid, who only sees
an `exchange` that took longer.

What is taken from Flower are its public parts: Message API, ClientApp, ServerApp, run_simulation; and besides, the size
of its pool of threads (`flower_threads`), how it carries messages (`flower_post`), and when it gives a worker the next
one (`flower_backend`).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from simulation import start_up
from simulation.engine.client_app import app as client_app
from simulation.engine.failures import EngineError
from simulation.engine.flower_backend import Workers, next_in_hand
from simulation.engine.flower_post import Post
from simulation.engine.flower_reports import make_no_reports
from simulation.engine.flower_threads import thread_for_each
from simulation.engine.ray_start import START_TIMEOUT_S, machines_alive, ray_is_up, wait_for_machine_loss
from typefleet.errors import expected

_LOG = logging.getLogger("typefleet")
POLL_S = 0.02
_POLL_OTHERS_S = 0.5  # of a server in another process
_NODES_TIMEOUT_S = 60.0
_RESTART_TIMEOUT_S = 4 * START_TIMEOUT_S  # what is there ends, Ray is joined, its processors get free, Flower starts


class EngineGrid(Grid):
    """The grid of the engine that runs now; it stays the same object when the engine is started again.

    Args:
        check: raises EngineError if the engine died.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self.machines = 0  # alive when the engine was started
        self.hosts_per_worker = 1
        self.released = threading.Event()  # Flower's server may return, which ends the engine
        self.start_again = False  # instead of ending
        self._grids: queue.Queue[Grid] = queue.Queue()
        self._grid: Grid | None = None
        self._post, self._workers = Post(), Workers()
        self._let_go: set[str] = set()  # ids of messages whose answers nobody waits for any more

    def serve(self, workers: int, hosts_per_worker: int, gpu_share: float = 0.0) -> None:
        """One life of Flower on a Ray that runs; returns when the grid is released.

        Args:
            workers: processes.
            hosts_per_worker: Flower's nodes, of each.
            gpu_share: what each worker has of a GPU.

        Raises:
            RuntimeError: Flower's backend died.
        """
        self.hosts_per_worker = hosts_per_worker
        server_app = ServerApp()
        is_started = start_up.opened("start", "Flower", start_up.ENGINE)

        @server_app.main()
        def main(flower_grid: Grid, context: Context) -> None:
            is_started()
            self._grids.put(flower_grid)
            self.released.wait()

        make_no_reports()
        with (
            self._post.carried(),
            next_in_hand() as self._workers,
            thread_for_each(self._workers.messages_of_each * workers),
        ):
            run_simulation(
                server_app,
                client_app,
                num_supernodes=workers * hosts_per_worker,
                backend_config={
                    # A dead actor is restarted; `exchange` repeats its message.
                    "client_resources": {"num_cpus": 1, "num_gpus": gpu_share, "max_restarts": -1},
                },
            )

    def wait_until_served(self, timeout_s: float = _NODES_TIMEOUT_S) -> None:
        """Take over the grid of a Flower that is being started.

        Raises:
            EngineError: it died instead, or took longer than `timeout_s`.
        """
        give_up = time.monotonic() + timeout_s
        while self._grid is None:
            try:
                self._grid = self._grids.get(timeout=10 * POLL_S)
            except queue.Empty:
                self.check()
                if time.monotonic() > give_up:
                    raise EngineError(expected("Flower's server", f"a start within {timeout_s:g} s", "none")) from None

    @property
    def has_an_idle_worker(self) -> bool:
        """Whether a worker is known to have no message."""
        return self._workers.is_one_idle

    @property
    def has_lost_a_machine(self) -> bool:
        """Whether Ray knows that one is gone since the engine was started."""
        return ray_is_up() and machines_alive() < self.machines

    def restart(self) -> None:
        """Start the engine again on the machines that are left; what was on its way is lost."""
        _LOG.warning("a worker is gone for good; starting the engine again on what is left")
        wait_for_machine_loss(self.machines)
        self._grid, self.start_again = None, True
        self._let_go.clear()
        self.released.set()
        self.wait_until_served(_RESTART_TIMEOUT_S)
        wait_for_nodes(self)

    def _now(self) -> Grid:
        if self._grid is None:
            raise EngineError(expected("the engine", "one that runs", "one that is being started"))
        return self._grid

    # Flower's interface, handed on.

    def set_run(self, run_id: int) -> None:
        """Say which run the messages belong to."""
        self._now().set_run(run_id)

    @property
    def run(self) -> Any:
        """Flower's record of the run."""
        return self._now().run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        """A message that this grid can push."""
        return self._now().create_message(*args, **kwargs)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes that are connected now."""
        return self._now().get_node_ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; gives an id for each."""
        messages = list(messages)
        pushed = self._now().push_messages(messages)
        self._post.pushed(messages)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Replies that have come to some messages, by their ids."""
        pulled = self._now().pull_messages(self._post.to_be_pulled([*message_ids, *self._let_go]))
        wanted = []
        for reply in pulled:
            if (name := reply.metadata.reply_to_message_id) in self._let_go:
                self._let_go.discard(name)
            else:
                wanted.append(reply)
        return wanted

    def let_go(self, message_ids: Iterable[str]) -> None:
        """Keep no reply to some messages; Flower's state would, with the weights of each, until it ends."""
        self._let_go.update(message_ids)

    def wait_for_an_answer(self, timeout_s: float) -> None:
        """Until there may be a reply that was not pulled yet, but no longer than `timeout_s`."""
        self._post.wait_for_an_answer(timeout_s)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and wait for their replies, or for so many seconds."""
        waiting, replies = set(self.push_messages(messages)), list[Message]()
        give_up = time.monotonic() + (float("inf") if timeout is None else timeout)
        while waiting and time.monotonic() < give_up:
            came = list(self.pull_messages(waiting))
            replies += came
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            if waiting:
                self.wait_for_an_answer(10 * POLL_S)
        return replies


def check_engine(grid: Grid) -> None:
    """Raise EngineError if the grid is of an engine of ours that died."""
    if isinstance(grid, EngineGrid):
        grid.check()


def wait_for_nodes(grid: Grid, timeout_s: float = _NODES_TIMEOUT_S) -> int:
    """Wait until Flower has registered its nodes, or those of several machines are back; returns how many.

    Raises:
        EngineError: the engine died, or there are none in time.
    """
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        nodes = len(list(grid.get_node_ids()))
        if nodes:
            return nodes
        check_engine(grid)
        time.sleep(POLL_S if isinstance(grid, EngineGrid) else _POLL_OTHERS_S)
    raise EngineError(expected("Flower", f"nodes within {timeout_s:g} s", "none"))
