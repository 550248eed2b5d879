"""A thread of Flower's for each worker, so that no worker is idle for want of a message.

Flower's simulation keeps a message under way as long as one of its threads waits for the answer, and makes its pool of
threads by `ThreadPoolExecutor()`, of min(32, processors of this machine + 4) (Python's documentation of
concurrent.futures): 64 workers on a cluster whose first machine has 2 processors would have 6 messages in hand.
`run_simulation` has no argument for it, so the pool is named by its size while Flower runs, in those versions
whose code was read. With another version the engine runs as Flower would, and says how many workers are idle.
"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

_LOG = logging.getLogger("typefleet")
_READ = ("1.27",)  # versions of Flower of which it is known where the pool is made


@contextmanager
def thread_for_each(workers: int) -> Iterator[None]:
    """Let Flower's simulation, started in this context, have as many messages under way as there are workers.

    Args:
        workers: that answer messages.
    """
    engine = known_engine()
    if engine is None:
        most = min(32, (os.cpu_count() or 1) + 4)
        if workers > most:
            told = "Flower %s may keep %d messages under way, so %d of %d workers may stay idle; known: Flower %s"
            _LOG.warning(told, version("flwr"), most, workers - most, workers, ", ".join(_READ))
        yield
        return
    engine.ThreadPoolExecutor = partial(ThreadPoolExecutor, max_workers=workers)
    try:
        yield
    finally:
        engine.ThreadPoolExecutor = ThreadPoolExecutor


def known_engine() -> Any:
    """Flower's module that carries messages, in which names can be given another meaning; None if it is not known."""
    if version("flwr").rpartition(".")[0] not in _READ:
        return None
    from flwr.server.superlink.fleet.vce import vce_api

    return vce_api if getattr(vce_api, "ThreadPoolExecutor", None) is ThreadPoolExecutor else None
