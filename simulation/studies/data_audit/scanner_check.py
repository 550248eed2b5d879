"""Precision and recall of the scanner on the labelled sample, with intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from client_model.text.personal.kinds import WORDS, Finding, Kind
from client_model.text.personal.scanner import Scanner
from simulation.studies.data_audit.labelled_sample import Labelled, labelled_sample
from simulation.tables import print_table
from typefleet.steps import each

_TAIL = 0.025  # to each side: an interval of 95 %


@dataclass(frozen=True)
class Share:
    """A share of a number of cases, with the 95 % interval of Clopper and Pearson (Biometrika 1934)."""

    value: float | None  # None: no case
    low: float | None
    high: float | None
    of: int

    @classmethod
    def counted(cls, some: int, of: int) -> "Share":
        """So many of so many.

        Args:
            some: that are.
            of: that could be.
        """
        if not of:
            return cls(None, None, None, 0)
        from scipy.special import betaincinv  # the quantile of a beta distribution

        low = float(betaincinv(some, of - some + 1, _TAIL)) if some else 0.0
        high = float(betaincinv(some + 1, of - some, 1 - _TAIL)) if some < of else 1.0
        return cls(some / of, low, high, of)

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "none"
        return f"{100 * self.value:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f})"


@dataclass(frozen=True)
class KindCheck:
    """How well a kind is found."""

    kind: Kind
    precision: Share | None  # of what is found, what is there; None: not looked for
    recall: Share | None  # of what is there, what is found as a whole
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the report's file."""
        return asdict(self)


def check_scanner(scanner: Scanner, number: int, seed: int) -> list[KindCheck]:
    """Scan the labelled sample and count.

    Args:
        scanner: that is measured.
        number: of messages.
        seed: of the sample.
    """
    sample = labelled_sample(number, seed)
    found = [scanner.find(one.text) for one in each("scanning the labelled sample", sample, number)]
    return [_counted(kind, scanner, sample, found) for kind in Kind]


def _counted(kind: Kind, scanner: Scanner, sample: Sequence[Labelled], found: Sequence[Sequence[Finding]]) -> KindCheck:
    if kind in scanner.missing:
        return KindCheck(kind, None, None, scanner.missing[kind])
    counts: Counter[str] = Counter()
    for one, there in zip(sample, found, strict=True):
        label = one.label if one.label is not None and one.label.kind is kind else None
        own = [finding for finding in there if finding.kind is kind]
        counts["found"] += len(own)
        counts["right"] += sum(label is not None and _overlap(finding, label) for finding in own)
        counts["labels"] += label is not None
        counts["whole"] += label is not None and any(_covers(finding, label) for finding in own)
    return KindCheck(
        kind,
        Share.counted(counts["right"], counts["found"]),
        Share.counted(counts["whole"], counts["labels"]),
    )


def _overlap(a: Finding, b: Finding) -> bool:
    return a.begin < b.end and b.begin < a.end


def _covers(a: Finding, b: Finding) -> bool:
    return a.begin <= b.begin and b.end <= a.end


def print_check(console: Console, checks: Sequence[KindCheck], number: int) -> None:
    """Print the table.

    Args:
        console: where to.
        checks: one for each kind.
        number: of messages in the sample.
    """
    rows = [
        [
            WORDS[one.kind].partition(" (")[0],
            *("-" if share is None else str(share) for share in (one.precision, one.recall)),
        ]
        for one in checks
    ]
    print_table(console, ("personal data", "precision, %", "recall, %"), rows)
    console.print(
        f"On {number:,} messages that the project wrote itself, with 95 % intervals (Clopper and Pearson). They are "
        "tidier than what people write: expect less on real text."
    )
    for why in sorted({one.why for one in checks if one.why}):
        console.print(f"- : {why}")
