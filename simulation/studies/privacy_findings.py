"""What a check of a privacy statement finds: a line for each thing that is said, and on what it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """On what a line stands, the worst last."""

    RECOMPUTED = "recomputed"
    SIGNED = "signed"
    NOT_CHECKABLE = "not checkable"
    WRONG = "does not agree"


class Finding(NamedTuple):
    """One line of a statement, or one thing that a file of the run says."""

    place: str
    standing: Standing
    why: str


@dataclass
class Findings:
    """All of them, in the order of the check."""

    lines: list[Finding]

    def recomputed(self, place: str, by: str) -> None:
        """What is said is what comes out."""
        self.lines.append(Finding(place, Standing.RECOMPUTED, by))

    def not_checkable(self, place: str, why: str) -> None:
        """Nothing at hand says whether it is so."""
        self.lines.append(Finding(place, Standing.NOT_CHECKABLE, why))

    def wrong(self, place: str, why: str) -> None:
        """Something else comes out."""
        self.lines.append(Finding(place, Standing.WRONG, why))

    def agree(self, place: str, same: bool, by: str, otherwise: str) -> bool:
        """One of the two; whether it is the first."""
        if same:
            self.recomputed(place, by)
        else:
            self.wrong(place, otherwise)
        return same

    def signed(self, by: str) -> None:
        """What nothing else vouches for is what the signature is of."""
        self.lines = [
            Finding(line.place, Standing.SIGNED, by) if line.standing is Standing.NOT_CHECKABLE else line
            for line in self.lines
        ]

    @property
    def wrongs(self) -> list[Finding]:
        """What does not agree."""
        return [line for line in self.lines if line.standing is Standing.WRONG]

    def counts(self) -> Iterator[tuple[Standing, int]]:
        """How many lines stand on what, where there are any."""
        for standing in Standing:
            number = sum(line.standing is standing for line in self.lines)
            if number:
                yield standing, number
