"""One writer for a run: a lock that the kernel releases when its process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typefleet.errors import InputError, MachineError, expected, said_by_system
from typefleet.private_files import open_private

LOCK = ".lock"
_LOOK_AGAIN_S = 0.02


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
            raise _no_locks(folder, error) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _no_locks(path: Path, error: OSError) -> NoLockError:
    found = f"one that refuses them: {said_by_system(error)}"
    return NoLockError(expected(path, "a file system with locks, so that no two write one run", found))


@contextmanager
def in_turn(path: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Hold a file that several processes change, each for a moment; the lock lies beside it, and outlives a new one.

    Args:
        path: of the file, which need not be there.
        wait_s: for others to be done.

    Raises:
        RunInUseError: somebody holds it for longer.
        NoLockError: the file system has no locks.
    """
    until = time.monotonic() + wait_s
    with open_private(path.with_name(f".{path.name}{LOCK}"), "a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise RunInUseError(expected(path, "a file that no process is changing", "one at it")) from error
                time.sleep(_LOOK_AGAIN_S)
            except OSError as error:
                raise _no_locks(path, error) from error
        yield
