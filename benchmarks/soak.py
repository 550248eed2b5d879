"""Runs that are killed again and again, at random moments and in every way: python -m benchmarks.soak --kills 100

Each run of a plan is carried out twice: undisturbed, and in lives that something ends. It must come to the same bits,
round by round, with a whole ledger that gives the privacy it claims, and within five seconds of each death no process
may be left. Prints a line for each kill and a sum at the end; exit code 1 if anything was lost.
"""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import psutil
from annotated_types import Ge

from benchmarks.measure import ROOT, BenchmarkError
from simulation.flags import parse_with_tyro, run_door
from simulation.studies.privacy_check import check_statement
from typefleet.errors import TypefleetError, expected

ROUNDS, _GONE_WITHIN_S, _LIFE_S = 30, 5.0, 180.0
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
    """How many, over all plans."""
    plans: tuple[str, ...] = tuple(PLANS)
    """Which of the plans."""
    seed: int = 0
    """Of moments and kinds."""
    folder: Path | None = None
    """Where the runs are left; by default they are removed."""


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
        """Those whose command line has a part."""
        found = []
        for one in self.members():
            try:
                if part in " ".join(one.cmdline()):
                    found.append(one)
            except psutil.Error:
                continue
        return found


@dataclass
class Tally:
    """What became of all kills."""

    kinds: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0  # from a kill to the end of the driver
    left: int = 0  # processes, five seconds later
    lost: list[str] = field(default_factory=list)


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


def rounds_of(run: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's rounds.jsonl."""
    path = run / "rounds.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


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


def end(life: Life, tally: Tally) -> int:
    """Wait for the end of a life, and see that nothing is left of it; its exit code.

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
    tally.slowest_s = max(tally.slowest_s, ended - began)
    while (left := life.members()) and time.monotonic() - ended < _GONE_WITHIN_S:
        time.sleep(0.05)
    tally.left += len(left)
    for one in left:
        print(f"left: {one.pid} {' '.join(one.cmdline())[:80]}", flush=True)
        one.kill()
    return code


def killed_once(run: Path, plan: list[str], log: Path, drawn: random.Random, tally: Tally) -> bool:
    """One life, and what ends it; whether there was something to kill."""
    kind = drawn.choice(sorted(KINDS))
    kill, allowed = KINDS[kind]
    before = len(rounds_of(run))
    # In a third of the lives while everything starts, and else after a random round that is left, and somewhere in it.
    after_s = drawn.uniform(0.3, 6.0) if drawn.random() < 1 / 3 else None
    lines = len(rounds_of(run.with_name(run.name.rpartition("-")[0])))  # abandoned rounds have lines, too
    at, later_s = drawn.randint(before + 1, max(before + 1, lines)), drawn.uniform(0.0, 0.3)
    life, began = begin(flags_for(run, plan), log), time.monotonic()
    while life.process.poll() is None and time.monotonic() - began < _LIFE_S:
        if after_s is not None and time.monotonic() - began > after_s:
            break
        if after_s is None and len(rounds_of(run)) >= at:
            time.sleep(later_s)
            break
        time.sleep(0.01)
    moment = time.monotonic()
    hit = life.process.poll() is None and bool(kill(life, drawn))
    code = end(life, tally)
    if hit:
        tally.kinds[kind] += 1
        done = len(rounds_of(run))
        print(
            f"{run.name}: {kind} after {moment - began:.1f} s, rounds {before} -> {done}, exit code {code}", flush=True
        )
    if code not in (allowed if hit else {0}):
        last = log.read_text().strip().splitlines()[-1:]
        tally.lost.append(f"{run.name}: {kind}: exit code {code}: {last}")
    return hit


def compare(run: Path, straight: Path, tally: Tally) -> None:
    """Hold a run that was killed to the one that was not."""
    same = ("round", "weights_sha256", "loss", "epsilon", "tokens", "clip_norm", "simulated_date")
    wanted, found = ([{key: line.get(key) for key in same} for line in rounds_of(one)] for one in (straight, run))
    if found != wanted:
        tally.lost.append(f"{run.name}: other rounds than those of the run that was not killed")
    if (run / "privacy_ledger.jsonl").exists():
        said = io.StringIO()
        try:
            if not check_statement(run, said, said):
                tally.lost.append(f"{run.name}: {said.getvalue().strip()}")
        except TypefleetError as error:
            tally.lost.append(f"{run.name}: {error}")
    name = "participation.json"
    if (run / name).read_bytes() != (straight / name).read_bytes():
        tally.lost.append(f"{run.name}: another {name}")


def soak(folder: Path, flags: Flags) -> Tally:
    """All plans, each with its share of the kills."""
    tally, drawn = Tally(), random.Random(flags.seed)
    for place, name in enumerate(flags.plans):
        plan, straight, log = PLANS[name], folder / name, folder / f"{name}.log"
        if end(begin(flags_for(straight, plan), log), Tally()) != 0:
            raise BenchmarkError(expected(name, "an undisturbed run that ends well", f"another: see {log}"))
        kills = len(range(place, flags.kills, len(flags.plans)))
        number = 0
        while kills:
            number += 1
            run = folder / f"{name}-{number}"
            while kills and not (run / "participation.json").exists():
                kills -= killed_once(run, plan, log, drawn, tally)
            if not (run / "participation.json").exists():
                end(begin(flags_for(run, plan), log), Tally())
            compare(run, straight, tally)
    return tally


def main(argv: list[str]) -> int:
    """Kill, compare and sum up; 1 if anything was lost or left."""
    flags = parse_with_tyro(Flags, argv)
    with tempfile.TemporaryDirectory(prefix="soak-") as spare:
        folder = flags.folder or Path(spare)
        folder.mkdir(parents=True, exist_ok=True)
        tally = soak(folder, flags)
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(tally.kinds.items()))
    print(f"{tally.kinds.total()} kills ({kinds}); the slowest driver ended after {tally.slowest_s:.1f} s")
    print(f"{len(tally.lost)} lost, {tally.left} processes left")
    for one in tally.lost:
        print(one)
    return 1 if tally.lost or tally.left else 0


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
