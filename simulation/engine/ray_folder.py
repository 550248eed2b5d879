"""The folder of a Ray of our own: its sockets and logs, for this user only, and gone when it is no longer needed.

Ray keeps what it writes in /tmp/ray, for all users of the machine to read, its sockets for all to connect to, and never
removes anything. So each Ray of our own has a folder made for it, and a guard (`ray_guard`) that removes it, and ends
what is left of that Ray, once its owner has ended.

If the guard is killed as well, the next run does it. An owner holds a lock on its folder, which the kernel releases
when the owner ends, however it ends: so what somebody still uses is never taken for something left behind.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from simulation.engine import ray_guard
from simulation.engine.ray_guard import KEPT, end_processes, remove

_PREFIX, _LOCK = "typefleet-ray-", "lock"
_GUARD_S = 5.0  # for what takes milliseconds
_KEEP_S = 7 * 86_400.0  # of one whose Ray failed: its logs may say why
# Of the 107 bytes of a socket's path Ray takes 64: /session_DATE_TIME_PROCESS/sockets/plasma_store. Ours takes 25.
_LONGEST_PARENT = 107 - 64 - 25


class RayFolder:
    """One that is held by this process."""

    def __init__(self) -> None:
        """Make one, and remove those that killed runs have left.

        Raises:
            OSError: there is no place for it.
        """
        parent = _parent()
        remove_abandoned(parent)
        self._held = ExitStack()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))  # for its owner only
        draft = self.root / f".{_LOCK}"
        lock = self._held.enter_context(draft.open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(self.root / _LOCK)  # held from the moment when it is seen
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", ray_guard.__file__, str(self.root)],
            stdin=subprocess.PIPE,  # nobody but this process has it; it is closed whatever ends this process
            stdout=subprocess.PIPE,  # nothing comes out of it but its end, which is the guard's
            start_new_session=True,  # what a terminal tells its processes is not for this one
        )

    @property
    def of_ray(self) -> Path:
        """Where Ray may do as it likes, which is to let everybody write; nobody comes so far."""
        return self.root / "r"

    def keep(self) -> None:
        """Leave it where it is for a week, for its logs to be read, if there are any."""
        if self.of_ray.exists():
            (self.root / KEPT).touch()

    def close(self) -> None:
        """End what is left of its Ray, and remove it, unless it is to be kept."""
        self._held.close()
        with suppress(subprocess.TimeoutExpired):  # it goes on by itself
            self._guard.communicate(timeout=_GUARD_S)


def _parent() -> Path:
    """The folder for temporary files; /tmp where its path would make a socket's too long."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= _LONGEST_PARENT else Path("/tmp")


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user whose owners have ended without doing so.

    Args:
        parent: of the folders.
    """
    for root in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process removes it, or it is another user's
            if root.is_symlink() or root.stat().st_uid != os.getuid():
                continue
            with (root / _LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                kept = root / KEPT
                if not kept.exists() or time.time() - kept.stat().st_mtime > _KEEP_S:
                    kept.unlink(missing_ok=True)
                    end_processes(root)
                    remove(root)
