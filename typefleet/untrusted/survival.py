"""Whether a library written in C survives a file: what is damaged in it may end the process that reads it."""

import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from typefleet.errors import InputError, expected

_BYTES_PER_CPU_S = 500_000  # a sound file is read many times as fast
_MORE_BYTES = 2 * 2**30  # of memory, and ten times the file's size
_MESSAGE_BYTES = 4096
_LEAST_S = 60.0  # on a machine that is busy with other things
_LOOK_EVERY_S = 0.002


def require_survival(path: Path, what: str, error: type[InputError], read: Callable[[], object]) -> None:
    """Let a copy of this process read a file first; only what it survives is read here.

    Args:
        path: of the file.
        what: it should be, for the message.
        error: that is raised.
        read: reads all of the file. An `InputError` that it raises is raised here; any other will be raised again.

    Raises:
        error: the copy was ended by a signal, as it is if it takes much longer than its size lets expect.
    """
    cpu_s = 2 + path.stat().st_size // _BYTES_PER_CPU_S
    memory_bytes = _address_space() + _MORE_BYTES + 10 * path.stat().st_size
    hears, says = os.pipe()
    copy = os.fork()
    if copy == 0:
        too_large = expected(path, what, "one that takes far more memory than its size")
        _read_and_leave(read, cpu_s, memory_bytes, says, too_large)
    os.close(says)
    ends = time.monotonic() + _LEAST_S + 20 * cpu_s
    try:
        while time.monotonic() < ends:
            done, status = os.waitpid(copy, os.WNOHANG)
            if done:
                copy = 0
                if os.WIFSIGNALED(status):
                    raise error(expected(path, what, "a damaged one"))
                if said := os.read(hears, _MESSAGE_BYTES).decode("utf-8", "replace"):
                    raise error(said)
                return
            time.sleep(_LOOK_EVERY_S)
        raise error(expected(path, what, "one that takes for ever to read"))
    finally:
        os.close(hears)
        if copy:  # out of time, or this process was interrupted
            with suppress(ProcessLookupError):
                os.kill(copy, signal.SIGKILL)
            os.waitpid(copy, 0)


def _address_space() -> int:
    """Bytes that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _read_and_leave(read: Callable[[], object], cpu_s: int, memory_bytes: int, says: int, too_large: str) -> None:
    """In the copy: read, say nothing, and leave without what a process does at its end."""
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        read()
    except InputError as refused:
        os.write(says, str(refused).encode()[:_MESSAGE_BYTES])
    except MemoryError:
        os.write(says, too_large.encode()[:_MESSAGE_BYTES])
    finally:
        os._exit(0)  # whatever it raised
