"""Runs that are killed again and again, at random moments and in every way: python -m benchmarks.soak --kills 100

Each run of a plan is carried out twice: undisturbed, and in lives that something ends. It must come to the same bits,
round by round, with a whole ledger that gives the privacy it claims, and within five seconds of each death no process
may be left. Prints a line for each kill and a sum at the end; exit code 1 if anything was lost.

In slices: with `--folder`, each kill and comparison is a line of `soak.jsonl` there, and the same command goes on where
it ended, `--at-most` kills at a time. The plans take turns, so that each slice has some of every one.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
from annotated_types import Ge

from benchmarks.measure import ROOT, BenchmarkError
from benchmarks.soak_results import Comparison, Kill, Results, losses
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import expected

ROUNDS, _GONE_WITHIN_S = 30, 5.0
_LIFE_S = 3600.0  # longer than an undisturbed life takes on a machine with sixty other busy processes, some 900 s
_MARK = "TYPEFLEET_SOAK"  # in the environment of every process of a run, whatever becomes of its parents
_SMALL = f"""
--rounds {ROUNDS} --cohort.goal 8 --fleet.size 300 --data.format synthetic --data.vocabulary-phones 100
--model.vocabulary-size 400 --model.embedding-size 16 --model.units 16 --evaluation.max-phones 10
--privacy.noise-multiplier 1 --privacy.modelled-cohort 500 --privacy.noise-source seeded --training.max-sequences 12
--cohort.min-separation-rounds 10 --engine.no-export --engine.no-report --engine.workers 2
""".split()
PLANS = {
    "gaussian": ["--privacy.mechanism", "gaussian"],
    "tree": ["--privacy.mechanism", "tree"],
    "banded": ["--privacy.mechanism", "banded"],
    "blt": ["--privacy.mechanism", "blt", "--privacy.clip-quantile", "0.5"],
    "none": ["--privacy.mechanism", "none"],
    "buffered": ["--privacy.mechanism", "blt", "--cohort.policy", "buffered", "--cohort.concurrency", "20"],
}
_WITHOUT_NOISE = ("--privacy.noise-multiplier", "--privacy.modelled-cohort", "--privacy.noise-source")


@dataclass(frozen=True)
class Flags:
    """Kill runs at random moments and see whether anything is lost."""

    kills: Annotated[int, Ge(1)] = 100
    """How many, over all plans and slices."""
    at_most: Annotated[int, Ge(1)] | None = None
    """In this slice; by default all that are left."""
    plans: tuple[str, ...] = tuple(PLANS)
    """Which of the plans."""
    seed: int = 0
    """Of moments and kinds."""
    folder: Path | None = None
    """Where runs and results are left, for another slice to go on with; by default they are removed."""


@dataclass
class Life:
    """One process that works on a run, and all that it starts."""

    process: subprocess.Popen[str]
    mark: str

    def members(self) -> list[psutil.Process]:
        """Those that still run."""
        found = []
        for one in psutil.process_iter():
            try:
                if one.environ().get(_MARK) == self.mark and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
            except psutil.Error:
                continue
        return found

    def named(self, part: str) -> list[psutil.Process]:
        """Those whose name or command line has a part."""
        found = []
        for one in self.members():
            try:
                if part in " ".join([one.name(), *one.cmdline()]):
                    found.append(one)
            except psutil.Error:
                continue
        return found


def _signals(*numbers: signal.Signals) -> Any:
    def send(life: Life, _: random.Random) -> bool:
        for number in numbers:
            life.process.send_signal(number)
            time.sleep(0.05)
        return True

    return send


def _kill_one(part: str) -> Any:
    def kill(life: Life, drawn: random.Random) -> bool:
        found = life.named(part)
        if found:
            drawn.choice(found).kill()
        return bool(found)

    return kill


def _whole_group(life: Life, _: random.Random) -> bool:
    os.killpg(life.process.pid, signal.SIGINT)  # as a terminal does, twice
    time.sleep(0.2)
    os.killpg(life.process.pid, signal.SIGINT)
    return True


# How, and the exit codes that may come of it: 0 where the run goes on or has just ended, and the signal's own in the
# first moments, while Python imports what handles it.
KINDS: dict[str, tuple[Any, set[int]]] = {
    "driver": (_signals(signal.SIGKILL), {-signal.SIGKILL}),
    "worker": (_kill_one("ray::"), {0}),
    "fork server": (_kill_one("fork-server"), {0}),
    "raylet": (_kill_one("raylet/raylet"), {0, 2}),
    "gcs": (_kill_one("gcs_server"), {0, 2}),
    "SIGTERM": (_signals(signal.SIGTERM), {0, 130, 143, -signal.SIGTERM}),
    "SIGHUP": (_signals(signal.SIGHUP), {0, 130, -signal.SIGHUP}),
    "SIGINT twice": (_signals(signal.SIGINT, signal.SIGINT), {0, 130, -signal.SIGINT}),
    "Ctrl-C twice": (_whole_group, {0, 130, -signal.SIGINT}),
}


def begin(flags: list[str], log: Path) -> Life:
    """Start scripts/simulate.py in a session of its own."""
    mark = uuid.uuid4().hex
    with log.open("a") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "scripts" / "simulate.py"), *flags],
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, _MARK: mark},
            start_new_session=True,
        )
    return Life(process, mark)


def rounds_done(run: Path) -> int:
    """How many whole lines a run's rounds.jsonl has; an abandoned round has one, too."""
    path = run / "rounds.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def flags_for(run: Path, plan: list[str]) -> list[str]:
    """To begin a run, or to go on with it."""
    if (run / "config.toml").exists():
        return ["--resume", str(run)]
    if run.exists():  # it was killed while its folder was being made
        shutil.rmtree(run)
    small = _SMALL
    if "none" in plan:
        at = [small.index(flag) for flag in _WITHOUT_NOISE]
        small = [flag for place, flag in enumerate(small) if place not in {*at, *(one + 1 for one in at)}]
    return [*small, *plan, "--output-dir", str(run)]


def end(life: Life) -> tuple[int, float, int]:
    """Wait for the end of a life: its exit code, seconds until then, and processes that are left of it.

    Raises:
        BenchmarkError: it does not end.
    """
    began = time.monotonic()
    try:
        code = life.process.wait(_LIFE_S)
    except subprocess.TimeoutExpired as error:
        for one in life.members():
            one.kill()
        raise BenchmarkError(expected("a life", f"an end within {_LIFE_S:g} s", "none")) from error
    ended = time.monotonic()
    while (left := life.members()) and time.monotonic() - ended < _GONE_WITHIN_S:
        time.sleep(0.05)
    for one in left:
        print(f"left: {one.pid} {' '.join(one.cmdline())[:80]}", flush=True)
        one.kill()
    return code, ended - began, len(left)


def wait_for(life: Life, run: Path, straight: Path, drawn: random.Random) -> None:
    """A random moment of a life: in a third while everything starts, else after a random round and somewhere in it."""
    before, began = rounds_done(run), time.monotonic()
    after_s = drawn.uniform(0.3, 6.0) if drawn.random() < 1 / 3 else None
    at, later_s = drawn.randint(before + 1, max(before + 1, rounds_done(straight))), drawn.uniform(0.0, 0.3)
    while life.process.poll() is None and time.monotonic() - began < _LIFE_S:
        if after_s is not None and time.monotonic() - began > after_s:
            break
        if after_s is None and rounds_done(run) >= at:
            time.sleep(later_s)
            break
        time.sleep(0.01)


def killed_once(name: str, run: Path, straight: Path, log: Path, drawn: random.Random) -> Kill:
    """One life of a run, and what ends it."""
    kind = drawn.choice(sorted(KINDS))
    kill, allowed = KINDS[kind]
    before, began = rounds_done(run), time.monotonic()
    life = begin(flags_for(run, PLANS[name]), log)
    wait_for(life, run, straight, drawn)
    moment = time.monotonic()
    hit = life.process.poll() is None and bool(kill(life, drawn))
    code, ended_s, left = end(life)
    lost = ""
    if code not in (allowed if hit else {0}):
        last = log.read_text().strip().splitlines()[-1:]
        lost = f"{run.name}: {kind}: exit code {code}: {last}"
    return Kill(
        plan=name,
        run=run.name,
        kind=kind,
        hit=hit,
        after_s=round(moment - began, 2),
        rounds_before=before,
        rounds_after=rounds_done(run),
        exit_code=code,
        ended_s=round(ended_s, 2),
        left=left,
        lost=lost,
        load=round(os.getloadavg()[0], 1),
    )


def is_done(run: Path) -> bool:
    """Whether nothing of a run is left to do."""
    return (run / "participation.json").exists()


class Soak:
    """Plans that take turns at being killed, in a folder that says what was done before.

    Args:
        folder: of runs and results.
        flags: how many, and which.
    """

    def __init__(self, folder: Path, flags: Flags) -> None:
        self.folder, self.flags = folder, flags
        self.results = Results(folder / "soak.jsonl")

    def slice(self) -> None:
        """Kill as often as is left for this slice, and lead every run that was killed to its end."""
        total = self.results.number
        end_at = min(self.flags.kills, total + (self.flags.at_most or self.flags.kills))
        attempt = len(self.results.kills)
        while self.results.number < end_at:
            name = min(self.flags.plans, key=lambda one: self.results.kills_of(one))
            self._straight(name)
            run = self._open_run(name)
            kill = killed_once(
                name, run, self.folder / name, self._log(name), random.Random(f"{self.flags.seed} {attempt}")
            )
            attempt += 1
            self.results.add(kill)
            print(kill.told(), flush=True)
            if is_done(run):
                self._compare(name, run)
        for name in self.flags.plans:
            if (self.folder / name).exists() and (run := self._open_run(name)).exists():
                self._lead_to_its_end(name, run)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _straight(self, name: str) -> None:
        """The undisturbed run of a plan, if there is none yet.

        Raises:
            BenchmarkError: it does not end well.
        """
        run = self.folder / name
        if not is_done(run):
            shutil.rmtree(run, ignore_errors=True)  # of a slice that was ended in the middle of it: not undisturbed
            code, *_ = end(begin(flags_for(run, PLANS[name]), self._log(name)))
            if code != 0:
                raise BenchmarkError(
                    expected(name, "an undisturbed run that ends well", f"another: see {self._log(name)}")
                )

    def _open_run(self, name: str) -> Path:
        """The run of a plan that is to be killed next: one that is not compared yet, or a new one."""
        number = 1
        while f"{name}-{number}" in self.results.compared:
            number += 1
        return self.folder / f"{name}-{number}"

    def _lead_to_its_end(self, name: str, run: Path) -> None:
        if not is_done(run):
            code, *_ = end(begin(flags_for(run, PLANS[name]), self._log(name)))
            if code != 0:
                self.results.add(Comparison(name, run.name, [f"{run.name}: exit code {code}, killed by nobody"]))
                return
        self._compare(name, run)

    def _compare(self, name: str, run: Path) -> None:
        self.results.add(Comparison(name, run.name, losses(run, self.folder / name)))


def main(argv: list[str]) -> int:
    """Kill, compare and sum up; 1 if anything was lost or left."""
    flags = parse_with_tyro(Flags, argv)
    unknown = [name for name in flags.plans if name not in PLANS]
    if unknown:
        raise BenchmarkError(expected("--plans", f"some of {', '.join(PLANS)}", unknown[0]))
    with tempfile.TemporaryDirectory(prefix="soak-") as spare:
        folder = flags.folder or Path(spare)
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(folder, flags)
        soak.slice()
    for line in soak.results.told():
        print(line)
    return 1 if soak.results.lost or soak.results.left else 0


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
