"""One writer for a run: a lock that the kernel releases when its process ends, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typefleet.errors import InputError, MachineError, expected
from typefleet.private_files import open_private

LOCK = ".lock"


class RunInUseError(InputError):
    """Another process is working on the run."""


class NoLockError(MachineError):
    """The file system cannot say who is working on a run."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the run in `folder` for this process.

    The lock is on an open file, which worker processes do not inherit: it ends with this process, even if that is
    killed and its workers live on for a while. The file stays; what stands in it is the holder's process id.

    Raises:
        RunInUseError: another process, or this one, holds it already.
        NoLockError: the file system has no locks.
    """
    with open_private(folder / LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip()
            found = f"process {holder} at work on it" if holder else "a process at work on it"
            raise RunInUseError(expected(folder, "a run that no process is working on", found)) from error
        except OSError as error:  # a network file system whose lock service is away, or one without locks
            found = f"one that refuses them: {error.strerror}"
            raise NoLockError(
                expected(folder, "a file system with locks, so that no two write one run", found)
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
