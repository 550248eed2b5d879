"""All measurements, one after another; never two at once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import ONE_THREAD, ROOT, BenchmarkError, Measured, measure, module_json
from benchmarks.workload import SENTENCES, TOKENS, simulate_flags, write_messages
from typefleet.errors import expected

_TIMEOUT_S = 900.0
_HELD_OUT = 64  # phones of each file that only wake the workers, in the evaluation before the first round


@dataclass(frozen=True)
class Sizes:
    """How much work each measurement is."""

    name: str
    work: int  # phones that hold the published amount of text
    tiny: int  # phones that hold one word
    simulated: Mapping[tuple[str, int], int]  # (cell, workers) -> phones a round
    tiny_rounds: Mapping[str, tuple[int, int]]  # name -> (phones, rounds)
    textbook_cells: tuple[str, ...]
    textbook: tuple[int, int]  # phones, rounds
    fleets: tuple[int, ...]  # phones


FULL = Sizes(
    name="full",
    work=360,
    tiny=5000,
    simulated={("cifg", 1): 180, ("cifg", 2): 360, ("lstm", 2): 150},
    tiny_rounds={"tiny": (400, 3), "50 rounds": (200, 50), "5,000 phones": (5000, 2)},
    textbook_cells=("cifg", "lstm"),
    textbook=(30, 3),
    fleets=(1_000_000, 10_000_000),
)
QUICK = Sizes(
    name="quick",
    work=120,
    tiny=400,
    simulated={("cifg", 1): 60, ("cifg", 2): 120, ("lstm", 2): 50},
    tiny_rounds={"tiny": (400, 3)},
    textbook_cells=("cifg",),
    textbook=(16, 2),
    fleets=(1_000_000,),
)
SMOKE = Sizes(
    name="smoke",
    work=12,
    tiny=12,
    simulated={("cifg", 1): 6, ("cifg", 2): 6, ("lstm", 2): 6},
    tiny_rounds={"tiny": (6, 2)},
    textbook_cells=("cifg",),
    textbook=(2, 2),
    fleets=(1_000_000,),
)


class Benchmark:
    """Runs the measurements in a scratch folder and keeps what they found."""

    def __init__(self, folder: Path, sizes: Sizes, say: Callable[[str], None]) -> None:
        self.folder, self.sizes, self.say = folder, sizes, say
        self.found: dict[str, Any] = {"sizes": sizes.name}
        self._work, self._tiny = folder / "work.jsonl", folder / "tiny.jsonl"

    def run(self) -> dict[str, Any]:
        """Everything; returns the results as they go into the JSON file."""
        self._step("writing the workload", self._write_workload)
        for cell in ("cifg", "lstm"):
            self._step(f"limit and kernel, {cell}", partial(self._kernel, cell))
        self._step("two kernels at once", self._two_kernels)
        self._step("start-up", self._start_up)
        for cell, workers in (("cifg", 1), ("cifg", 2), ("lstm", 2)):
            self._step(f"simulation, {cell}, {workers} workers", partial(self._simulation, cell, workers))
        for cell in self.sizes.textbook_cells:
            self._step(f"textbook, {cell}", partial(self._textbook, cell))
        for name, (phones, rounds) in self.sizes.tiny_rounds.items():
            self._step(f"phones with one tiny message, {name}", partial(self._tiny_phones, name, phones, rounds))
        for phones in self.sizes.fleets:
            self._step(f"a fleet of {phones:,}", partial(self._fleet, phones))
        return self.found

    def _step(self, name: str, body: Callable[[], None]) -> None:
        began = time.monotonic()
        self.say(f"{name} ...")
        body()
        self.found.setdefault("seconds", {})[name] = time.monotonic() - began

    def _write_workload(self) -> None:
        write_messages(self._work, self.sizes.work + _HELD_OUT)
        write_messages(self._tiny, self.sizes.tiny + _HELD_OUT, sentences=1, words=1)

    def _kernel(self, cell: str) -> None:
        self.found[f"kernel {cell}"] = module_json("benchmarks.kernel", cell)

    def _two_kernels(self) -> None:
        """The same kernel in two processes at the same time: what this machine's second core is worth."""
        command = [sys.executable, "-m", "benchmarks.kernel", "cifg", "phone"]
        settings: dict[str, Any] = {"cwd": ROOT, "env": os.environ | ONE_THREAD, "stdout": subprocess.PIPE}
        pair = [subprocess.Popen(command, stderr=subprocess.DEVNULL, **settings) for _ in range(2)]
        ends = [process.communicate(timeout=_TIMEOUT_S)[0].splitlines() for process in pair]
        if any(process.returncode for process in pair):
            raise BenchmarkError(expected("two kernels at once", "both to end well", "a failure of one"))
        printed = [json.loads(lines[-1]) for lines in ends]
        self.found["two kernels"] = {"tokens_per_s": sum(p["kernel_tokens_per_s"] for p in printed)}

    def _start_up(self) -> None:
        """The default run, as far as the end of its first round, which is a small one."""
        output = self.folder / "start-up"
        flags = ["--rounds", "1", "--cohort.goal", "8", "--engine.no-export", "--output-dir", str(output)]
        command = [sys.executable, str(ROOT / "scripts/simulate.py"), *flags]
        self.found["start-up"] = asdict(measure(command, output / "rounds.jsonl", _TIMEOUT_S))

    def _simulation(self, cell: str, workers: int) -> None:
        phones = self.sizes.simulated[cell, workers]
        self._simulate(f"simulation {cell} {workers}", self._work, cell, phones=phones, rounds=3, workers=workers)

    def _tiny_phones(self, name: str, phones: int, rounds: int) -> None:
        self._simulate(name, self._tiny, "cifg", phones=phones, rounds=rounds, workers=2)

    def _simulate(self, name: str, messages: Path, cell: str, *, phones: int, rounds: int, workers: int) -> None:
        output = self.folder / name.replace(" ", "-").replace(",", "")
        with messages.open() as file:
            users = len({json.loads(line)["user_id"] for line in file})
        share = _HELD_OUT / users
        flags = simulate_flags(
            messages,
            self.folder / "cache",
            cell,
            phones=phones,
            rounds=rounds,
            workers=workers,
            held_out_share=share,
        )
        command = [sys.executable, str(ROOT / "scripts/simulate.py"), *flags, "--output-dir", str(output)]
        self._keep(name, measure(command, output / "rounds.jsonl", _TIMEOUT_S))

    def _textbook(self, cell: str) -> None:
        phones, rounds = self.sizes.textbook
        output = self.folder / f"textbook-{cell}"
        output.mkdir()
        arguments = [str(output), cell, str(self._work), str(phones), str(rounds), "2"]
        command = [sys.executable, "-m", "benchmarks.textbook", *arguments]
        self._keep(f"textbook {cell}", measure(command, output / "rounds.jsonl", _TIMEOUT_S))

    def _fleet(self, phones: int) -> None:
        self.found[f"fleet {phones}"] = module_json("benchmarks.fleet", str(phones), timeout_s=_TIMEOUT_S)

    def _keep(self, name: str, measured: Measured) -> None:
        self.found[name] = {
            **asdict(measured),
            "cpu_s_a_phone": measured.cpu_s_a_phone,
            "tokens_per_s": measured.tokens_per_s(self._tokens(name)),
            "tokens_per_s_after_first_round": measured.tokens_per_s(self._tokens(name), skip=1),
        }

    @staticmethod
    def _tokens(name: str) -> int:
        """A phone's, in one round."""
        return SENTENCES * TOKENS if name.startswith(("simulation", "textbook")) else 2
