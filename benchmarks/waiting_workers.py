"""Workers that do nothing but wait, in Flower's own engine: what is left is what messages cost the driver."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.server.superlink.fleet.vce import backend

from simulation.engine import flower_on_ray
from simulation.engine.flower_on_ray import EngineGrid, wait_for_nodes

_POLL_S = 0.1


class _Waiting(backend.Backend):
    """In the place of Ray's workers: threads, each of which answers a message after a time with what was asked."""

    workers, seconds = 1, 0.0

    def __init__(self, backend_config: Any) -> None:
        pass

    @property
    def num_workers(self) -> int:
        """Messages that are worked on at the same time."""
        return self.workers

    def build(self, app_fn: Callable[[], ClientApp]) -> None:
        """Nothing is built."""

    def is_worker_idle(self) -> bool:
        """Not asked for."""
        return True

    def terminate(self) -> None:
        """Nothing is left of them."""

    def process_message(self, message: Message, context: Context) -> tuple[Message, Context]:
        """Wait and answer."""
        time.sleep(self.seconds)
        return Message(RecordDict(dict(message.content)), reply_to=message), context


@contextmanager
def waiting_workers(workers: int, hosts_per_worker: int, seconds: float) -> Iterator[EngineGrid]:
    """A grid of the engine whose workers wait so long for each message; nothing of it is left afterwards.

    Args:
        workers: how many.
        hosts_per_worker: nodes of each.
        seconds: that a message takes.
    """
    kind: type[backend.Backend] = type("Waiting", (_Waiting,), {"workers": workers, "seconds": seconds})
    by_name, rays = backend.supported_backends, backend.supported_backends["ray"]
    by_name["ray"] = kind
    grid = EngineGrid(lambda: None)
    serving = threading.Thread(
        target=grid.serve, args=(workers, hosts_per_worker), name="typefleet waiting workers", daemon=True
    )
    serving.start()
    try:
        grid.wait_until_served()
        while wait_for_nodes(grid) < workers * hosts_per_worker:  # they are registered one by one
            time.sleep(_POLL_S)
        yield grid
    finally:
        grid.released.set()
        serving.join()
        by_name["ray"] = rays


@contextmanager
def pool_of_flower() -> Iterator[None]:
    """Let Flower have as many messages under way as it would by itself."""
    engine: Any = flower_on_ray
    ours = engine.thread_for_each
    engine.thread_for_each = _left_alone
    try:
        yield
    finally:
        engine.thread_for_each = ours


@contextmanager
def _left_alone(workers: int) -> Iterator[None]:
    yield
