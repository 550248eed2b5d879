"""Whether a library written in C survives a file: what is damaged in it may end the process that reads it."""

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from typefleet.errors import InputError, expected

_BYTES_PER_CPU_S = 500_000  # a sound file is read many times as fast
_LEAST_S = 60.0  # on a machine that is busy with other things
_LOOK_EVERY_S = 0.002


def require_survival(path: Path, what: str, error: type[InputError], read: Callable[[], object]) -> None:
    """Let a copy of this process read a file first; only what it survives is read here.

    Args:
        path: of the file.
        what: it should be, for the message.
        error: that is raised.
        read: reads all of the file; what it raises does not matter here, since it will be raised again.

    Raises:
        error: the copy was ended by a signal, as it is if it takes much longer than its size lets expect.
    """
    cpu_s = 2 + path.stat().st_size // _BYTES_PER_CPU_S
    copy = os.fork()
    if copy == 0:
        _read_and_leave(read, cpu_s)
    ends = time.monotonic() + _LEAST_S + 20 * cpu_s
    try:
        while time.monotonic() < ends:
            done, status = os.waitpid(copy, os.WNOHANG)
            if done:
                copy = 0
                if os.WIFSIGNALED(status):
                    raise error(expected(path, what, "a damaged one"))
                return
            time.sleep(_LOOK_EVERY_S)
        raise error(expected(path, what, "one that takes for ever to read"))
    finally:
        if copy:  # out of time, or this process was interrupted
            with suppress(ProcessLookupError):
                os.kill(copy, signal.SIGKILL)
            os.waitpid(copy, 0)


def _read_and_leave(read: Callable[[], object], cpu_s: int) -> None:
    """In the copy: read, say nothing, and leave without what a process does at its end."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        read()
    finally:
        os._exit(0)  # whatever it raised
