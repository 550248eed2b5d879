"""What carries out the runs of a sweep: a process on this machine, or one that a Ray task starts on any of a cluster.

Either way the process has an engine of its own, with its own workers, and keeps it from run to run; and either way it
is started again if it dies.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from simulation.run.run_messages import Line, RoundNews, RunEnded, RunFailed, RunRequest, StopRequest
from typefleet.errors import MachineError, expected

_MODULE = "simulation.trial_process"
_END_WITHIN_S = 30.0  # a process that has been told that there is no more to do


class Channel(Protocol):
    """To and from a process that carries out runs."""

    def send(self, line: str) -> None:
        """Say something; nothing happens if the process has ended."""

    def receive(self) -> str | None:
        """Its next line; None once it has ended."""

    def end(self) -> str:
        """Say that there is nothing more, wait until it has ended, by force if need be; how it ended."""

    def kill(self) -> None:
        """End it at once."""


class LocalChannel:
    """A process on this machine."""

    def __init__(self, log: Path, modules: Sequence[str] = ()) -> None:
        """Start it.

        Args:
            log: file that takes what the process and its libraries say.
            modules: folders to look for modules in, before this process's own.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        paths = dict.fromkeys([*modules, *(path for path in sys.path if path)])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**kept, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the sweep, which tells the process what to do
            )

    def send(self, line: str) -> None:
        """Write it and its end; see `Channel`."""
        if self._process.stdin is None:
            raise MachineError(expected("the process of a run", "a pipe to it", "none"))
        with suppress(BrokenPipeError):  # how it ended is asked when its lines end
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def receive(self) -> str | None:
        """Wait for its next line; see `Channel`."""
        if self._process.stdout is None:
            raise MachineError(expected("the process of a run", "a pipe from it", "none"))
        return self._process.stdout.readline() or None

    def end(self) -> str:
        """Close its input and wait; see `Channel`."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):  # something unsaid is left, and nobody to hear it
                self._process.stdin.close()
        try:
            code = self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """Leave it no time; see `Channel`."""
        self._process.kill()


class ClusterChannel:
    """A process on whichever machine of a Ray cluster has processors free; they are its own until it ends."""

    def __init__(self, log: Path, processors: int) -> None:
        """Start it.

        Args:
            log: file that takes what is said, on a file system that all machines share, as runs need one too.
            processors: that the process and its workers use.

        Raises:
            EngineError: no machine has started it after a minute.
        """
        import ray

        from simulation.engine.failures import EngineError
        from simulation.engine.ray_start import START_TIMEOUT_S

        actor: Any = ray.remote(LocalChannel)
        self._channel = actor.options(num_cpus=processors, max_concurrency=2).remote(
            log.resolve(), [path for path in sys.path if path]
        )
        try:
            ray.get(self._channel.__ray_ready__.remote(), timeout=START_TIMEOUT_S)
        except ray.exceptions.GetTimeoutError as error:  # Ray itself would wait for ever
            free = ray.available_resources().get("CPU", 0)
            ray.kill(self._channel)
            wanted = f"room for a run of {processors} workers within {START_TIMEOUT_S:.0f} s"
            raise EngineError(expected("the cluster", wanted, f"none, and {free:g} CPUs free")) from error
        except ray.exceptions.RayActorError:
            pass  # said when something is asked of it

    def send(self, line: str) -> None:
        """Write it and its end; see `Channel`."""
        self._asked(self._channel.send, line)

    def receive(self) -> str | None:
        """Wait for its next line; see `Channel`."""
        answer: str | None = self._asked(self._channel.receive)
        return answer

    def end(self) -> str:
        """Close its input and wait; see `Channel`."""
        import ray

        how = self._asked(self._channel.end)
        ray.kill(self._channel)  # and its processors are free
        return how or "its machine lost"

    def kill(self) -> None:
        """Leave it no time; see `Channel`."""
        import ray

        self._asked(self._channel.kill)
        ray.kill(self._channel)

    def _asked(self, method: Any, *arguments: str) -> Any:
        """What the actor answers; None if it is gone, as is then its process, whose input has ended."""
        import ray

        try:
            return ray.get(method.remote(*arguments))
        except ray.exceptions.RayActorError:
            return None


class RunHost:
    """Carries out runs, one after another, in a process that is started with the first."""

    def __init__(self, log: Path, start: Callable[[Path], Channel] = LocalChannel) -> None:
        """Start nothing yet.

        Args:
            log: file that takes what the process says.
            start: starts the process, given the log.
        """
        self._log, self._start = log, start
        self._channel: Channel | None = None

    def carry_out(self, request: RunRequest, on_news: Callable[[RoundNews], bool]) -> RunEnded | RunFailed:
        """Carry out a run; a process that dies on the way is a run that failed.

        Args:
            request: what to run.
            on_news: told of each round; True stops the run after the one that is under way.
        """
        channel = self._channel = self._channel or self._start(self._log)
        channel.send(Line.of(request))
        stopping = False
        while (line := channel.receive()) is not None:
            message = Line.read(line)
            if isinstance(message, RunEnded | RunFailed):
                return message
            if isinstance(message, RoundNews) and on_news(message) and not stopping:
                stopping = True
                channel.send(Line.of(StopRequest()))
        self._channel = None
        return RunFailed(expected("the process of the run", "to go on to its end", f"{channel.end()}; see {self._log}"))

    def close(self) -> None:
        """Nothing more is asked; a run that is under way is stopped after its round."""
        if self._channel is not None:
            self._channel.end()
            self._channel = None

    def kill(self) -> None:
        """End the process at once; the run's last checkpoint is safe."""
        if self._channel is not None:
            self._channel.kill()


@contextmanager
def all_closed(hosts: Sequence[RunHost]) -> Iterator[None]:
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
