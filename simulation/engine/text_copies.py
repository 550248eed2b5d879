"""The tokenised text of a run on the machines of a cluster that do not see its folder: a copy in the cache of each.

    the driver                     puts the files of the folder into Ray's object store, once a run
    a task on each such machine    writes them into that machine's own cache
    hosts                          find the copy by its name (`node_text`) and map it into memory
    the driver                     has the copies removed, when its rounds have ended

What travels are the bytes of the files, encrypted where the folder is. The envelope with its key does not: hosts are
told the key in messages, as on the first machine, and a copy that a killed driver has left can be read by nobody then.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.cache import (
    ABOUT,
    SEAL,
    cache_root,
    expire,
    is_whole,
    note_use,
    take_away,
    whose_else,
    write_entry,
)
from simulation.engine.config import EngineConfig
from simulation.engine.failures import EngineError
from simulation.engine.host_task import HostTask
from typefleet.errors import expected
from typefleet.sealed.envelope import ENVELOPE

_LOG = logging.getLogger("typefleet")
_REMOVAL_TIMEOUT_S = 10.0  # of all copies at once; what is left then is said
_WHERE = "a machine of the cluster"


@contextmanager
def text_on_all_machines(task: HostTask, config: EngineConfig) -> Iterator[HostTask]:
    """The task as hosts of all machines can open its text, while the context lasts.

    Args:
        task: of the run; its text is in a folder that the driver sees.
        config: of the engine, which runs; without an address all hosts are on this machine.

    Raises:
        EngineError: a machine cannot take a copy.
    """
    folder = task.population.cache_folder
    if config.address is None or folder is None:
        yield task
        return
    seal = (Path(folder) / SEAL).read_bytes()
    seen = _on(_machines(), config.message_timeout_s, _sees, folder, seal)
    lacking = [machine for machine, sees in seen.items() if not sees]
    if not lacking:
        yield task
        return
    # A copy is this run's alone: another one with the same text removes its own while this one's hosts have yet to open
    # theirs.
    name = f"{hashlib.sha256(seal + secrets.token_bytes(16)).hexdigest()[:32]}-{Path(folder).name}"
    try:
        _send(Path(folder), name, lacking, config.message_timeout_s)
        yield replace(task, copy=name)
    finally:
        try:
            _on(lacking, _REMOVAL_TIMEOUT_S, _remove, name)
        except EngineError as error:
            told = "the copy %s of the text may be left in caches of other machines, where show_cache.py removes it: %s"
            _LOG.warning(told, name, error)


def _machines() -> list[str]:
    """Ids of the machines that are there, this one among them."""
    import ray

    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


def _send(folder: Path, name: str, machines: Sequence[str], timeout_s: float) -> None:
    """Have the files of a folder written into the cache of each of some machines."""
    import ray

    files = sorted(path for path in folder.iterdir() if path.name != ENVELOPE)
    contents = [ray.put(np.fromfile(path, np.uint8)) for path in files]
    _on(machines, timeout_s, _receive, name, [path.name for path in files], *contents)


def _on(machines: Sequence[str], timeout_s: float, do: Callable[..., bool], *told: Any) -> dict[str, bool]:
    """What a function gives on each of some machines, all at once, besides what the workers there do.

    Raises:
        EngineError: it raises on one, or takes too long; or Ray has ended.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not ray.is_initialized():  # else Ray would start another one
        raise EngineError(expected(_WHERE, "an answer about the run's text", "a Ray that has ended"))
    task = ray.remote(num_cpus=0, max_retries=0)(do)
    there = [NodeAffinitySchedulingStrategy(machine, soft=False) for machine in machines]
    asked = [task.options(scheduling_strategy=one).remote(*told) for one in there]
    try:
        return dict(zip(machines, ray.get(asked, timeout=timeout_s), strict=True))
    except ray.exceptions.RayTaskError as error:
        raise EngineError(expected(_WHERE, "a cache that can take the run's text", error.cause)) from error
    except ray.exceptions.RayError as error:
        raise EngineError(expected(_WHERE, "an answer about the run's text", type(error).__name__)) from error


def _sees(folder: str, seal: bytes) -> bool:
    """Whether this machine has the very folder of the driver: the same digests of all files."""
    path = Path(folder) / SEAL
    return path.exists() and path.read_bytes() == seal


def _receive(name: str, files: Sequence[str], *contents: NDArray[np.uint8]) -> bool:
    """Write a copy into this machine's cache, whole or not at all.

    Raises:
        OSError: it cannot be written, or is not what was sent.
    """
    copy = cache_root(None) / name
    if (found := whose_else(copy.parent)) is not None:
        raise OSError(expected(copy.parent, "a folder that is yours alone", found))
    sent = dict(zip(files, contents, strict=True))
    about, seal = (sent.pop(one).tobytes() for one in (ABOUT, SEAL))
    if copy.exists() and not (_sees(str(copy), seal) and is_whole(copy)):
        take_away(copy)  # what somebody has put there
    if not copy.exists():  # else it is the same, of another machine with the same cache
        write_entry(copy, {file: partial(_write, content) for file, content in sent.items()}, json.loads(about))
    if not _sees(str(copy), seal):
        take_away(copy)
        raise OSError(expected(copy, "the files that were sent", "others"))
    note_use(copy)
    expire(copy.parent, copy)
    return True


def _write(content: NDArray[np.uint8], file: IO[bytes]) -> None:
    file.write(content.data)


def _remove(name: str) -> bool:
    """Remove the copy from this machine's cache; hosts that have it open keep what they mapped."""
    copy = cache_root(None) / name
    there = copy.exists()
    if there:
        take_away(copy)
    return there
