"""Run what scripts/audit.py does, and die, or be stopped, or find the disk full, at one point after another.

python -m tests.simulation.studies.audits.killed_audit FOLDER
    in FOLDER lies `run`, a run with an audit; for each point a copy of it is audited in a process forked for it, so
    that libraries are imported once. Prints a line for each: the way, the point, the exit code (-9: killed).
"""

import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from simulation.commands.audit import main
from simulation.flags import run_door

_CALLS = ("open", "fsync", "rename", "replace", "unlink")  # of the system, in whose midst a process can end
_KILLED = (2, 9, 15)  # in the midst of audit.json, of the picture, of the page
_STOPPED = (9,)
_BYTES = (5_000,)  # that a file may have: too few for a picture


def at_call(number: int, what: int) -> None:
    """A signal to this process at the n-th of these calls, before it is made."""
    left = [number]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), what)
            return original(*args, **more)

        return call

    from simulation import files

    class Counted:  # what `simulation.files` sees of the system
        def __getattr__(self, name: str) -> Any:
            return counted(getattr(os, name)) if name in _CALLS else getattr(os, name)

    files.os = Counted()
    for name in ("replace", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))


def full_from(most: int) -> None:
    """No file may have more bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def audited(folder: Path, name: str, arm: Callable[[], None]) -> int:
    """The exit code of an audit of a copy of the run, in a process of its own."""
    copy = folder / name
    if not copy.exists():
        shutil.copytree(folder / "run", copy)
    life = os.fork()
    if not life:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which whoever runs tests in the background ignores
        with Path(os.devnull).open("w") as away, redirect_stdout(away), redirect_stderr(away):
            arm()
            os._exit(run_door(lambda: main([str(copy), "--attacks", "drift"])))
    _, status = os.waitpid(life, 0)
    return os.waitstatus_to_exitcode(status)


def lives(folder: Path) -> Iterator[tuple[str, int, int]]:
    yield "whole", 0, audited(folder, "whole-0", lambda: None)
    for way, what, calls in (("killed", signal.SIGKILL, _KILLED), ("stopped", signal.SIGINT, _STOPPED)):
        for number in calls:
            yield way, number, audited(folder, f"{way}-{number}", lambda at=number, what=what: at_call(at, what))
    for most in _BYTES:
        yield "full", most, audited(folder, f"full-{most}", lambda most=most: full_from(most))
    shutil.copytree(folder / f"killed-{_KILLED[1]}", folder / "again-0")
    yield "again", 0, audited(folder, "again-0", lambda: None)


if __name__ == "__main__":
    import simulation.studies.audits.memorisation_groups_figure
    import simulation.studies.audits.page
    import simulation.studies.audits.round_alarms  # noqa: F401  so that no life imports them again

    for one in lives(Path(sys.argv[1])):
        print(*one, flush=True)
