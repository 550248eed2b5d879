"""A small process that waits until the owner of a Ray has ended, however it ended, and leaves nothing of that Ray.

python -I -S ray_guard.py FOLDER, started by `ray_folder` as a process of its own; it imports nothing of ours. It is no
child of the owner's, which in a hurry ends with all of those.

The kernel ends two of Ray's processes with the driver that started them. Some of the others notice within a second,
some not within a minute, and none if Ray's own parts died first. Those of a Ray are told of its folder on their command
line; a worker, which changes that, is called ray:: and writes its log there.
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
_TRIES, _QUIET, _PAUSE_S = 40, 3, 0.05  # one that was just being started is seen a moment later


def processes_of(folder: Path) -> Iterator[int]:
    """Ids of the processes of the Ray that uses a folder.

    Args:
        folder: its path, as the processes know it.
    """
    option = f"={folder}/".encode()  # who reads a log is told of it in another way
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            command = (process / "cmdline").read_bytes()
            is_worker = command.startswith(b"ray::")
            if option in command or (is_worker and any(_is_written(one, folder) for one in (process / "fd").iterdir())):
                yield int(process.name)


def _is_written(descriptor: Path, folder: Path) -> bool:
    with suppress(OSError):
        if descriptor.readlink().is_relative_to(folder):
            flags = (descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().split("flags:")[1].split()[0]
            return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def end_processes(folder: Path) -> None:
    """End what is left of a Ray.

    Args:
        folder: of the Ray.
    """
    quiet = 0
    for _ in range(_TRIES):
        found = list(processes_of(folder))
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if quiet == _QUIET:
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
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those are for the owner
    root = Path(sys.argv[1])
    sys.stdin.buffer.read()  # until nobody has the other end any more
    end_processes(root)
    remove(root)
