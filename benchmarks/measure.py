"""Run a command and measure its whole tree of processes, from outside and the same way for all."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from simulation.engine.memory import peak_rss_of
from typefleet.errors import MachineError, expected

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # numpy's BLAS
_LOOK_S = 0.02  # from one look at the lines to the next
# From one look at the processes to the next, which takes milliseconds of a core from what is measured: often while
# processes come and go, and seldom once they are there, but for each line.
_STARTING_S, _PLAYING_S = 0.1, 1.0


class BenchmarkError(MachineError):
    """A command that was to be measured failed, so there are no figures."""


@dataclass
class Measured:
    """What was seen of one command."""

    rounds: list[dict[str, Any]] = field(default_factory=list)  # lines of its rounds.jsonl
    cpu_s_at_round: list[float] = field(default_factory=list)  # of the whole tree, when each line appeared
    first_round_s: float = 0.0  # wall seconds from the command to the end of the first round
    whole_s: float = 0.0  # to its own end
    driver_peak_rss: int = 0
    worker_peak_rss: int = 0

    @property
    def start_up_s(self) -> float | None:
        """Wall seconds from the command to the beginning of the first round; None without its profile."""
        if not self.rounds or "profile" not in self.rounds[0]:
            return None
        first_round_s: float = sum(self.rounds[0]["profile"]["driver_s"].values())
        return self.first_round_s - first_round_s

    def cpu_s_a_phone(self) -> list[float]:
        """Processor seconds of all processes for a phone, of each round but the first, which pays for tracing too.

        Scoring after the round is among them.
        """
        of_rounds = zip(self.rounds[1:], pairwise(self.cpu_s_at_round), strict=True)
        return [(after - before) / r["reports"] for r, (before, after) in of_rounds]

    def trained_tokens_per_s(self, tokens_a_phone: int) -> list[float]:
        """Of each round but the first."""
        return [tokens_a_phone * r["reports"] / r["train_seconds"] for r in self.rounds[1:]]

    def scored_tokens_per_s(self, tokens: int) -> list[float]:
        """Of the scoring after each round but the first; none without profiles."""
        seconds = [r["profile"]["driver_s"]["evaluation"] for r in self.rounds[1:] if "profile" in r]
        return [tokens / value for value in seconds]


@dataclass
class _Tree:
    """Processor seconds and sizes of a process and all that it ever started."""

    root: psutil.Process
    seconds: dict[int, float] = field(default_factory=dict)
    driver_peak_rss: int = 0
    worker_peak_rss: int = 0

    def sample(self) -> float:
        """Look once; returns the processor seconds so far."""
        try:
            processes = [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            processes = []
        for process in processes:
            try:
                times, rss = process.cpu_times(), peak_rss_of(process.pid) or process.memory_info().rss
                self.seconds[process.pid] = times.user + times.system
                if process.pid == self.root.pid:
                    self.driver_peak_rss = max(self.driver_peak_rss, rss)
                elif "ClientAppActor" in " ".join(process.cmdline()):
                    self.worker_peak_rss = max(self.worker_peak_rss, rss)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return sum(self.seconds.values())


def own_environment() -> dict[str, str]:
    """One in which this checkout is what is measured, and not a version that is installed beside it."""
    others = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *([others] if others else [])])}


def require_own_kernel(
    checkout: Path = ROOT, installed: Sequence[str] | None = None, finders: Sequence[Any] | None = None
) -> None:
    """Refuse to measure a checkout without the native kernel where what is installed has it: a run would train by that.

    Args:
        checkout: what is measured.
        installed: folders of packages; by default where Python looks.
        finders: that Python asks, such as that of `pip install -e`, whose package is in no folder; by default its own.

    Raises:
        BenchmarkError: the kernel is there, but not in the checkout.
    """
    folders = [Path(folder) for folder in (sys.path if installed is None else installed)]
    folders += _found_by(sys.meta_path if finders is None else finders)
    if not _has_kernel(checkout) and any(map(_has_kernel, folders)):
        wanted = "a native kernel in the checkout, too (`python setup.py build_ext --inplace` there)"
        raise BenchmarkError(expected("benchmark.py", wanted, "one in the installed package alone"))


def _found_by(finders: Sequence[Any]) -> Iterator[Path]:
    """The folders in which finders of `sys.meta_path` have our package, whichever of them is asked first."""
    for finder in finders:
        spec = finder.find_spec("client_model", None)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parents[1]


def _has_kernel(folder: Path) -> bool:
    return any((folder / "client_model/learning/native").glob("kernel.*so"))


def measure(command: list[str], lines: Path, timeout_s: float) -> Measured:
    """Run a command that appends a line to `lines` after each round.

    Raises:
        BenchmarkError: it failed, or took longer than `timeout_s`; with the end of what it printed.
    """
    found, began = Measured(), time.monotonic()
    log = lines.parent.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=own_environment(), stdout=output, stderr=subprocess.STDOUT)
        tree, sampled = _Tree(psutil.Process(process.pid)), -math.inf
        while process.poll() is None:
            now, done = time.monotonic(), _lines_in(lines)
            new = done - len(found.cpu_s_at_round)
            if new or now - sampled > (_PLAYING_S if done else _STARTING_S):
                seconds, sampled = tree.sample(), now
                found.first_round_s = found.first_round_s or (now - began if done else 0.0)
                found.cpu_s_at_round += [seconds] * new
            if now - began > timeout_s:
                process.terminate()
                process.wait()
                break
            time.sleep(_LOOK_S)
    found.whole_s = time.monotonic() - began
    if process.returncode != 0:
        end = " / ".join(log.read_text().splitlines()[-8:])
        raise BenchmarkError(expected(f"{' '.join(command[:3])} ...", "it to end well", f"a failure: {end}"))
    found.rounds = [json.loads(line) for line in lines.read_text().splitlines()]
    found.driver_peak_rss, found.worker_peak_rss = tree.driver_peak_rss, tree.worker_peak_rss
    return found


def _lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def module_json(*arguments: str, timeout_s: float = 600) -> dict[str, Any]:
    """Run `python -m ARGUMENTS` and read the JSON object it prints last."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=own_environment() | ONE_THREAD,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        end = " / ".join(done.stderr.splitlines()[-8:])
        raise BenchmarkError(expected(f"python -m {' '.join(arguments)}", "it to end well", f"a failure: {end}"))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
