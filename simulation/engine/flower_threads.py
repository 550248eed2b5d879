"""A thread of Flower's for each worker, so that no worker is idle for want of a message.

Flower's simulation keeps a message under way as long as one of its threads waits for the answer, and makes its pool of
threads by `ThreadPoolExecutor()`, of min(32, processors of this machine + 4) (Python's documentation of
concurrent.futures): 64 workers on a cluster whose first machine has 2 processors would have 6 messages in hand.
`run_simulation` has no argument for it, so the pool is named by its size while Flower runs, in those versions
whose code was read. With another version the engine runs as Flower would, and says how many workers are idle.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from itertools import chain, repeat
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
    with first_called(vars(engine), {"ThreadPoolExecutor": partial(ThreadPoolExecutor, max_workers=workers)}):
        yield


class _FirstCall:
    """Something of ours at the first call, which is that of the simulation it is for, and Flower's own at all others.

    An engine that lives on, or never ended, would else carry the messages of whatever simulation comes after it.
    """

    def __init__(self, ours: Callable[..., Any], flowers: Callable[..., Any]) -> None:
        self.flowers = flowers
        self._calls = chain((ours,), repeat(flowers))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return next(self._calls)(*args, **kwargs)


@contextmanager
def first_called(names: MutableMapping[str, Any], ours: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Give names of Flower's another meaning, for the one simulation that is started in this context.

    Args:
        names: of a module, or of a table of Flower's.
        ours: by the name that it is called by first.
    """
    flowers = {name: of_flower(names, name) for name in ours}
    put = {name: _FirstCall(one, flowers[name]) for name, one in ours.items()}
    names.update(put)
    try:
        yield
    finally:  # another engine, which began later, may have put its own there
        names.update({name: flowers[name] for name in ours if names.get(name) is put[name]})


def of_flower(names: Mapping[str, Any], name: str) -> Any:
    """What Flower means by a name, whatever an engine of ours has put there; None if it means nothing."""
    found = names.get(name)
    return found.flowers if isinstance(found, _FirstCall) else found


def known_engine() -> Any:
    """Flower's module that carries messages, in which names can be given another meaning; None if it is not known."""
    if version("flwr").rpartition(".")[0] not in _READ:
        return None
    from flwr.server.superlink.fleet.vce import vce_api

    return vce_api if of_flower(vars(vce_api), "ThreadPoolExecutor") is ThreadPoolExecutor else None
