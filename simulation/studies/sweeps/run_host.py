"""What carries out the runs of a sweep: a process on this machine, or one that Ray starts on any of a cluster."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from simulation.run.run_messages import Line, RoundNews, RunEnded, RunFailed, RunRequest, StopRequest
from typefleet.errors import MachineError, expected

_MODULE = "simulation.trial_process"
_END_WITHIN_S = 30.0  # a process that has been told that there is no more to do


class RunHost(Protocol):
    """Carries out runs, one after another."""

    def carry_out(self, request: RunRequest, on_news: Callable[[RoundNews], bool]) -> RunEnded | RunFailed:
        """Carry out a run.

        Args:
            request: what to run.
            on_news: told of each round; True stops the run after the one that is under way.
        """
        ...

    def close(self) -> None:
        """Nothing more is asked; a run that is under way is stopped after its round."""
        ...


class ProcessHost:
    """Runs in a process of its own, which keeps its engine from run to run and is started again if it dies."""

    def __init__(self, log: Path) -> None:
        """Start nothing yet.

        Args:
            log: file that takes what the process and its libraries say.
        """
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def carry_out(self, request: RunRequest, on_news: Callable[[RoundNews], bool]) -> RunEnded | RunFailed:
        """See `RunHost`; a process that dies on the way is a run that failed."""
        process = self._started()
        requests, answers = _pipes(process)
        stopping = False
        try:
            _send(requests, Line.of(request))
            for line in answers:
                message = Line.read(line)
                if isinstance(message, RunEnded | RunFailed):
                    return message
                if isinstance(message, RoundNews) and on_news(message) and not stopping:
                    stopping = True
                    _send(requests, Line.of(StopRequest()))
        except BrokenPipeError:
            pass  # it has ended, and how is asked below
        code = process.wait()
        self._process = None
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return RunFailed(expected("the process of the run", "to go on to its end", f"{how}; see {self._log}"))

    def close(self) -> None:
        """See `RunHost`; waits for the process to end."""
        if self._process is None:
            return
        requests, _ = _pipes(self._process)
        requests.close()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the process at once; the run's last checkpoint is safe."""
        if self._process is not None:
            self._process.kill()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            with self._log.open("a", encoding="utf-8") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _MODULE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C is for the sweep, which tells the process what to do
                )
        return self._process


def _environment() -> dict[str, str]:
    """This process's, with its modules, and without what a Ray around it says to its own workers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise MachineError(expected("the process of a run", "pipes to it", "none"))
    return process.stdin, process.stdout


def _send(requests: IO[str], line: str) -> None:
    requests.write(line)
    requests.flush()


@contextmanager
def all_closed(hosts: list[ProcessHost]) -> Iterator[None]:
    """At the end no host is left; after an error, or a second Ctrl-C, at once."""
    try:
        yield
    except BaseException:
        for host in hosts:
            host.kill()
        raise
    finally:
        for host in hosts:
            host.close()
