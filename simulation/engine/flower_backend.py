"""Flower's backend on Ray, in which each worker has its next message in hand before it has answered the last one.

Flower gives a worker a message when it has taken in the answer to the one before, and meanwhile the worker waits: for
the driver to take the sum in and to hand the weights out, at each message. Ray queues what an actor is sent, so that
a worker here is sent one message more than it works on. Both are repeated if it dies; see `exchange`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.server.superlink.fleet.vce.backend import supported_backends
from flwr.server.superlink.fleet.vce.backend.raybackend import RayBackend
from ray.exceptions import RayError

from simulation.engine.failures import EngineError
from simulation.engine.flower_threads import first_called, known_engine, of_flower
from simulation.engine.ray_memory import give_back_while_it_lives
from simulation.engine.ray_start import own_that_died
from simulation.engine.shared_weights import SharedWeights
from typefleet.errors import expected

IN_HAND = 2  # messages of a worker at a time
_SHUNNED_S = 1.0  # after a failure, about as long as a worker takes to be there again


class WorkersOnRay(RayBackend):
    """Sends each message to the worker that has fewest, and to one that has just failed when no other has room.

    Calls of a worker that died fail at once while it is started again, so that it always has fewest.
    """

    def __init__(self, backend_config: dict[str, Any]) -> None:
        super().__init__(backend_config)
        self._lock = threading.Lock()
        self._in_hand: dict[Any, int] = {}  # worker -> messages
        self._failed_s: dict[Any, float] = {}  # worker -> when it last did, by the monotonic clock

    @property
    def num_workers(self) -> int:
        """As many as messages are to be under way."""
        return IN_HAND * super().num_workers

    def is_worker_idle(self) -> bool:
        """Whether one has no message in hand, and has not just failed."""
        with self._lock:
            return any(self._busy(worker) == 0 for worker in self._in_hand)

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """Start the workers."""
        super().build(app_fn)
        self._weights = SharedWeights(app_fn)
        if self.pool is not None:
            self._in_hand = dict.fromkeys(self.pool.pool, 0)

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """The answer of a worker, and the context as it left it.

        Raises:
            ray.exceptions.RayError: the worker died, or raised.
            EngineError: Ray itself died. Whoever still gave it something would be ended by it on the spot, with exit
                code 1 and without a word.
        """
        _require_ray()
        with self._lock:
            worker = min(self._in_hand, key=self._busy)
            self._in_hand[worker] += 1
        try:
            node = str(context.node_config["partition-id"])
            app_fn, bare = self._weights.apart(message)
            call = worker.run.remote(app_fn, bare, node, context)
            ray.wait([call], fetch_local=False)  # which asks nobody for the answer, only whether there is one
            _require_ray()
            _, answer, left = ray.get(call)
            give_back_while_it_lives(answer)
            return answer, left
        except RayError:
            with self._lock:
                self._failed_s[worker] = time.monotonic()
            raise
        finally:
            with self._lock:
                self._in_hand[worker] -= 1

    def _busy(self, worker: Any) -> int:
        """Messages in its hand; no fewer than a busy one has, if it has just failed."""
        failed_s = self._failed_s.get(worker)
        failed = failed_s is not None and time.monotonic() - failed_s < _SHUNNED_S
        return self._in_hand[worker] + (IN_HAND if failed else 0)


class Workers:
    """What is known of the workers of a simulation that runs; of a Flower whose code was not read, nothing.

    Attributes:
        messages_of_each: that a worker has at a time.
    """

    messages_of_each = 1

    def __init__(self) -> None:
        self._backend: WorkersOnRay | None = None

    @property
    def is_one_idle(self) -> bool:
        """Whether one is known to have nothing to do."""
        return self._backend is not None and self._backend.is_worker_idle()

    def make_backend(self, backend_config: dict[str, Any]) -> WorkersOnRay:
        """What Flower calls for its backend."""
        self._backend = WorkersOnRay(backend_config)
        return self._backend


def _require_ray() -> None:
    if died := own_that_died():
        raise EngineError(expected("Ray", "to run on", f"no {died[0]} any more"))


@contextmanager
def next_in_hand() -> Iterator[Workers]:
    """Let Flower's simulation, started in this context, give workers their next message early.

    A Flower whose code was not read is left alone.
    """
    workers = Workers()
    if known_engine() is None or of_flower(supported_backends, "ray") is not RayBackend:
        yield workers
        return
    workers.messages_of_each = IN_HAND
    with first_called(supported_backends, {"ray": workers.make_backend}):
        yield workers
