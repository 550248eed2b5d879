"""A small process that waits until the owner of a Ray has ended, however it ended, and leaves nothing of that Ray.

python -I -S ray_guard.py FOLDER, started by `ray_folder` as a process of its own; it imports nothing of ours.

The kernel ends two of Ray's processes with the driver that started them. Some of the others notice within a second,
some not within a minute. Those that write a file in the Ray's folder, as each writes its log, are the ones to end. An
owner that goes on has ended them itself, and only the folder is left.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT = "kept"  # a file in the folder: it is to stay, for its logs
FAREWELL = b"ended"  # of an owner that goes on, and has ended its Ray itself
_TRIES, _PAUSE_S = 20, 0.05  # a process that is being started opens its log a moment later


def writers_in(folder: Path) -> Iterator[int]:
    """Ids of other processes that have a file in a folder open for writing.

    Args:
        folder: its path, as the processes know it.
    """
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        process = int(descriptors.parent.name)
        with suppress(OSError):  # it has just ended, or is another user's
            if process != os.getpid() and any(_is_written(one, folder) for one in descriptors.iterdir()):
                yield process


def _is_written(descriptor: Path, folder: Path) -> bool:
    with suppress(OSError):
        if descriptor.readlink().is_relative_to(folder):
            flags = (descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().split("flags:")[1].split()[0]
            return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def end_writers(folder: Path) -> None:
    """End what is left of a Ray whose owner has ended.

    Args:
        folder: of the Ray.
    """
    for _ in range(_TRIES):
        found = list(writers_in(folder))
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if not found:
            break
        time.sleep(_PAUSE_S)


def remove(folder: Path) -> None:
    """Remove a folder, unless it is to be kept.

    Args:
        folder: of a Ray that has ended.
    """
    for _ in range(_TRIES):
        if (folder / KEPT).exists() or not folder.exists():
            break
        shutil.rmtree(folder, ignore_errors=True)  # a process that ends may write its last words meanwhile


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those are for the owner
    root = Path(sys.argv[1])
    if sys.stdin.buffer.read() != FAREWELL:  # it ends when nobody has the other end any more
        end_writers(root)
    remove(root)
