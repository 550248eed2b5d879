"""What a soak found: a line for each kill, and for each run that was held to an undisturbed one, in a file."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import BenchmarkError
from simulation.studies.privacy_check import check_statement
from typefleet.errors import TypefleetError, expected

_COMPARED = ("round", "weights_sha256", "loss", "epsilon", "tokens", "clip_norm", "simulated_date")


@dataclass(frozen=True)
class Kill:
    """One life of a run, and what ended it."""

    plan: str
    run: str
    kind: str
    hit: bool  # False: it had ended before, or there was nothing to kill, so that this is no kill
    after_s: float  # since the life began
    rounds_before: int
    rounds_after: int
    exit_code: int
    ended_s: float  # from the kill to the end of the driver
    left: int  # processes, five seconds later
    lost: str  # what must not be; empty if nothing was
    load: float  # of the machine

    def told(self) -> str:
        """The kill in a line."""
        what = self.kind if self.hit else f"no {self.kind} there to end"
        return (
            f"{self.run}: {what} after {self.after_s:.1f} s, rounds {self.rounds_before} -> {self.rounds_after}, "
            f"exit code {self.exit_code} after {self.ended_s:.1f} s at load {self.load:g}"
        )


@dataclass(frozen=True)
class Comparison:
    """A run that was killed, held to one that was not."""

    plan: str
    run: str
    lost: list[str]


@dataclass
class Results:
    """All of them, in a file that is only added to.

    Args:
        path: of the file; what it has is read.

    Raises:
        BenchmarkError: it is not such a file.
    """

    path: Path
    kills: list[Kill] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def __post_init__(self) -> None:
        lines = self.path.read_text().split("\n") if self.path.exists() else [""]
        for number, line in enumerate(lines[:-1], 1):
            try:
                self._take(**json.loads(line))
            except (ValueError, TypeError) as error:
                found = "another one"
                raise BenchmarkError(expected(f"{self.path}:{number}", "a line of a soak", found)) from error
        if lines[-1]:  # the soak itself was killed while it wrote
            self.path.write_text("".join(f"{line}\n" for line in lines[:-1]))

    def _take(self, **values: Any) -> None:
        if "kind" in values:
            self.kills.append(Kill(**values))
        else:
            self.comparisons.append(Comparison(**values))

    def add(self, one: Kill | Comparison) -> None:
        """Keep it, on the disk as well."""
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(one)) + "\n")
        self._take(**asdict(one))

    @property
    def number(self) -> int:
        """Kills that hit."""
        return sum(kill.hit for kill in self.kills)

    def kills_of(self, plan: str) -> int:
        """Kills that hit, of one plan."""
        return sum(kill.hit for kill in self.kills if kill.plan == plan)

    @property
    def compared(self) -> set[str]:
        """Names of the runs that are done with."""
        return {one.run for one in self.comparisons}

    @property
    def lost(self) -> list[str]:
        """All that must not be."""
        return [
            *(kill.lost for kill in self.kills if kill.lost),
            *(what for one in self.comparisons for what in one.lost),
        ]

    @property
    def left(self) -> int:
        """Processes that were left five seconds after a kill."""
        return sum(kill.left for kill in self.kills)

    def told(self) -> Iterator[str]:
        """The sum, in lines."""
        hits = [kill for kill in self.kills if kill.hit]
        kinds, plans = Counter(kill.kind for kill in hits), Counter(kill.plan for kill in hits)
        for counted in (plans, kinds):
            yield f"{counted.total()} kills: " + ", ".join(
                f"{number} {name}" for name, number in sorted(counted.items())
            )
        slowest = max(hits, key=lambda kill: kill.ended_s, default=None)
        if slowest is not None:
            yield f"the slowest driver ended after {slowest.ended_s:.1f} s ({slowest.kind}, load {slowest.load:g})"
        runs = len(self.comparisons)
        yield f"{runs} runs compared, {len(self.lost)} lost, {self.left} processes left"
        yield from self.lost


def losses(run: Path, straight: Path) -> list[str]:
    """What a run that was killed has otherwise than the undisturbed one: nothing, if all is well."""
    lost = []
    wanted, found = ([{key: line.get(key) for key in _COMPARED} for line in _rounds(one)] for one in (straight, run))
    if found != wanted:
        lost.append(f"{run.name}: other rounds than those of the run that was not killed")
    if (run / "privacy_ledger.jsonl").exists():
        said = io.StringIO()
        try:
            if not check_statement(run, said, said):
                lost.append(f"{run.name}: {said.getvalue().strip()}")
        except TypefleetError as error:
            lost.append(f"{run.name}: {error}")
    name = "participation.json"
    if (run / name).read_bytes() != (straight / name).read_bytes():
        lost.append(f"{run.name}: another {name}")
    return lost


def _rounds(run: Path) -> list[dict[str, Any]]:
    path = run / "rounds.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
