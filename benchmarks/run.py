"""All measurements, one after another; never two at once."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

from benchmarks.machine import cores_of_others, load_at_start, machine_facts
from benchmarks.measure import ONE_THREAD, ROOT, BenchmarkError, Measured, measure, module_json, own_environment
from benchmarks.workload import SENTENCES, TOKENS, Simulated, simulate_flags, vocabulary_of, write_messages
from typefleet.errors import expected

_TIMEOUT_S = 900.0
_ROUNDS_THAT_COUNT = 3  # of a simulation; its first ones fill caches and memory


@dataclass(frozen=True)
class Sizes:
    """How much work each measurement is."""

    name: str
    repetitions: int
    kernel_repeats: int  # of a phone's training in each repetition, twice
    work: int  # phones that hold the published amount of text
    tiny: int  # phones that hold one word
    held_out: int  # phones of each file besides, which are only scored
    cells: tuple[str, ...]
    start_up: Mapping[str, int]  # settings beside those of the default run
    simulated: Mapping[tuple[str, int], int]  # (cell, workers) -> phones a round
    tiny_rounds: Mapping[str, tuple[int, int]]  # name -> (phones, rounds)
    textbook_cells: tuple[str, ...]
    textbook: int  # phones a round
    fleets: Mapping[int, int]  # phones -> repetitions
    default_run: Mapping[str, int]  # settings beside the defaults, of the one that is done whole


_START_UP = {"rounds": 1, "cohort.goal": 8}
FULL = Sizes(
    name="full",
    repetitions=3,
    kernel_repeats=12,
    work=180,
    tiny=5000,
    held_out=64,
    cells=("cifg", "lstm"),
    start_up=_START_UP,
    simulated={("cifg", 1): 90, ("cifg", 2): 180, ("lstm", 2): 100},
    tiny_rounds={"tiny": (2000, 5), "50 rounds": (200, 50), "5,000 phones": (5000, 3)},
    textbook_cells=("cifg", "lstm"),
    textbook=30,
    fleets={1_000_000: 3, 10_000_000: 1},
    default_run={},
)
QUICK = Sizes(
    name="quick",
    repetitions=3,
    kernel_repeats=6,
    work=80,
    tiny=2000,
    held_out=64,
    cells=("cifg", "lstm"),
    start_up=_START_UP,
    simulated={("cifg", 1): 40, ("cifg", 2): 80, ("lstm", 2): 40},
    tiny_rounds={"tiny": (2000, 5)},
    textbook_cells=("cifg",),
    textbook=8,
    fleets={1_000_000: 3},
    default_run={},
)
SMOKE = Sizes(
    name="smoke",
    repetitions=1,
    kernel_repeats=1,
    work=4,
    tiny=4,
    held_out=16,
    cells=("cifg",),
    start_up=_START_UP | {"fleet.size": 300, "cohort.goal": 2, "evaluation.max-phones": 4},
    simulated={("cifg", 2): 4},
    tiny_rounds={},
    textbook_cells=("cifg",),
    textbook=2,
    fleets={5_000: 1},
    default_run={"rounds": 2, "fleet.size": 300, "cohort.goal": 2, "evaluation.max-phones": 4},
)


class Benchmark:
    """Runs the measurements in a scratch folder and keeps what they found.

    What is one process, or a simulation that stands beside it, is repeated by starting another, each time after the
    others of the same repetition, so that a machine whose pace changes shows in the range, and not in a ratio of two.
    Of other simulations the rounds after the first are the repetitions.
    """

    def __init__(self, folder: Path, sizes: Sizes, say: Callable[[str], None]) -> None:
        self.folder, self.sizes, self.say = folder, sizes, say
        self.measured: dict[str, list[dict[str, Any]]] = {}
        self.others_cores: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self._work, self._tiny = folder / "work.jsonl", folder / "tiny.jsonl"

    def run(self) -> dict[str, Any]:
        """Everything; returns the results as they go into the JSON file, but for the figures made of them."""
        told = {"sizes": self.sizes.name, "machine": machine_facts(), "load_at_start": load_at_start()}
        self.say("writing the workload ...")
        write_messages(self._work, self.sizes.work + self.sizes.held_out)
        if self.sizes.tiny_rounds:
            write_messages(self._tiny, self.sizes.tiny + self.sizes.held_out, sentences=1, words=1)
            copyfile(vocabulary_of(self._work), vocabulary_of(self._tiny))  # the model is the same
        for repetition in range(1, self.sizes.repetitions + 1):
            self._processes(repetition)
        self._step("scoring cifg 2", self._scoring)
        self._step("default run", self._default_run)
        for cell in self.sizes.textbook_cells:
            self._step(f"textbook {cell}", partial(self._textbook, cell))
        for name, (phones, rounds) in self.sizes.tiny_rounds.items():
            self._step(name, partial(self._tiny_phones, name, phones, rounds))
        return told | {"seconds": self.seconds, "others_cores": self.others_cores, "measured": self.measured}

    def _processes(self, repetition: int) -> None:
        """What a process of its own measures, once."""
        of = f", {repetition} of {self.sizes.repetitions}"
        for cell in self.sizes.cells:
            self._step(f"kernel {cell}", partial(self._kernel, cell), of)
        for (cell, workers), phones in self.sizes.simulated.items():
            self._step(f"simulation {cell} {workers}", partial(self._simulation, repetition, cell, workers, phones), of)
            if (cell, workers) == ("cifg", 2):
                self._step("two kernels", self._two_kernels, of)
        self._step("start-up", partial(self._start_up, repetition), of)
        for phones, repetitions in self.sizes.fleets.items():
            if repetition <= repetitions:
                self._step(f"fleet {phones}", partial(self._fleet, phones), of)

    def _step(self, name: str, body: Callable[[], dict[str, Any]], of: str = "") -> None:
        self.say(f"{name}{of} ...")
        self.others_cores[name] = max(self.others_cores.get(name, 0.0), cores_of_others())
        began = time.monotonic()
        self.measured.setdefault(name, []).append(body())
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def _kernel(self, cell: str) -> dict[str, Any]:
        return module_json("benchmarks.kernel", cell, "all", str(self.sizes.kernel_repeats))

    def _two_kernels(self) -> dict[str, Any]:
        """The same kernel in two processes at the same time: what this machine's second core is worth."""
        command = [sys.executable, "-m", "benchmarks.kernel", "cifg", "phone", str(5 * self.sizes.kernel_repeats)]
        settings: dict[str, Any] = {"cwd": ROOT, "env": own_environment() | ONE_THREAD, "stdout": subprocess.PIPE}
        pair = [subprocess.Popen(command, stderr=subprocess.DEVNULL, **settings) for _ in range(2)]
        try:
            ends = [process.communicate(timeout=_TIMEOUT_S)[0].splitlines() for process in pair]
        finally:
            for process in pair:  # that still runs after a timeout or Ctrl-C
                process.kill()
        if any(process.returncode for process in pair):
            raise BenchmarkError(expected("two kernels at once", "both to end well", "a failure of one"))
        printed = [json.loads(lines[-1]) for lines in ends]
        return {"tokens_per_s": sum(p["kernel_tokens_per_s"] for p in printed)}

    def _default_run(self) -> dict[str, Any]:
        """The default run from the command to its closing table, and what it has learned."""
        output = self.folder / "default-run"
        flags = [*_flags(self.sizes.default_run), "--output-dir", str(output)]
        measured = measure(
            [sys.executable, str(ROOT / "scripts/simulate.py"), *flags], output / "rounds.jsonl", _TIMEOUT_S
        )
        summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
        return {"whole_s": measured.whole_s, "recall": summary["top1_recall"], "rounds": summary["rounds_completed"]}

    def _start_up(self, repetition: int) -> dict[str, Any]:
        """The default run, as far as the end of its first round, which is a small one."""
        output = self.folder / f"start-up-{repetition}"
        flags = [*_flags(self.sizes.start_up), "--engine.profile", "--engine.no-export", "--output-dir", str(output)]
        command = [sys.executable, str(ROOT / "scripts/simulate.py"), *flags]
        measured = measure(command, output / "rounds.jsonl", _TIMEOUT_S)
        return asdict(measured) | {"start_up_s": measured.start_up_s, "scoring_first_s": _scoring_first_s(output)}

    def _simulation(self, repetition: int, cell: str, workers: int, phones: int) -> dict[str, Any]:
        """Training: a round before what counts, and one after it, which is scored as well."""
        rounds = _ROUNDS_THAT_COUNT + 2
        of = self._of(cell=cell, workers=workers, phones=phones, rounds=rounds, scores_every=rounds)
        found = self._simulate(f"simulation {cell} {workers} {repetition}", self._work, of)
        trained = replace(found, rounds=found.rounds[:-1], cpu_s_at_round=found.cpu_s_at_round[:-1])
        return asdict(found) | _rates(trained, SENTENCES * TOKENS)

    def _scoring(self) -> dict[str, Any]:
        """Scoring after each round of next to no training."""
        of = self._of(rounds=self.sizes.repetitions + 1, scored=self.sizes.held_out)
        found = self._simulate("scoring cifg 2", self._work, of)
        return asdict(found) | {"tokens_per_s": found.scored_tokens_per_s(self.sizes.held_out * SENTENCES * TOKENS)}

    def _tiny_phones(self, name: str, phones: int, rounds: int) -> dict[str, Any]:
        of = self._of(phones=phones, rounds=rounds, scores_every=rounds, tiny=True)
        found = self._simulate(name, self._tiny, of)
        trained = replace(found, rounds=found.rounds[:-1], cpu_s_at_round=found.cpu_s_at_round[:-1])
        return asdict(found) | _rates(trained, 2)

    def _of(self, *, tiny: bool = False, workers: int = 2, **settings: Any) -> Simulated:
        """A simulation of two workers that trains few phones, but for what is told."""
        users = (self.sizes.tiny if tiny else self.sizes.work) + self.sizes.held_out
        usual = {"cell": "cifg", "phones": 2, "scored": min(8 * 2 * workers, self.sizes.held_out), "scores_every": 1}
        return Simulated(**{**usual, "workers": workers, "held_out_share": self.sizes.held_out / users, **settings})

    def _simulate(self, name: str, messages: Path, of: Simulated) -> Measured:
        output = self.folder / name.replace(" ", "-").replace(",", "")
        flags = simulate_flags(messages, self.folder / "cache", of)
        command = [sys.executable, str(ROOT / "scripts/simulate.py"), *flags, "--output-dir", str(output)]
        return measure(command, output / "rounds.jsonl", _TIMEOUT_S)

    def _textbook(self, cell: str) -> dict[str, Any]:
        output = self.folder / f"textbook-{cell}"
        output.mkdir()
        rounds = str(self.sizes.repetitions + 1)
        arguments = [str(output), cell, str(self._work), str(self.sizes.textbook), rounds, "2"]
        command = [sys.executable, "-m", "benchmarks.textbook", *arguments]
        return _rates(measure(command, output / "rounds.jsonl", _TIMEOUT_S), SENTENCES * TOKENS)

    def _fleet(self, phones: int) -> dict[str, Any]:
        return module_json("benchmarks.fleet", str(phones), timeout_s=_TIMEOUT_S)


def _flags(settings: Mapping[str, int]) -> list[str]:
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def _rates(found: Measured, tokens_a_phone: int) -> dict[str, Any]:
    """What was seen of a command that trains, and its rates of each round but the first."""
    return asdict(found) | {
        "cpu_s_a_phone": found.cpu_s_a_phone(),
        "tokens_per_s": found.trained_tokens_per_s(tokens_a_phone),
    }


def _scoring_first_s(run: Path) -> float:
    """Wall seconds that a run of one round took to score its starting weights."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    (record,) = [json.loads(line) for line in (run / "rounds.jsonl").read_text(encoding="utf-8").splitlines()]
    return float(summary["wall_seconds"] - sum(record["profile"]["driver_s"].values()))
