"""Where a ledger says what: lines of this life of a run, found by what they follow and by what they say.

A run that went back to be played on without some phones (`ledger_lines.goes_back`) has a new life from there on. What
is on record of a life before is counted and never made again, so that nobody looks for it here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server_strategy.privacy.ledger_lines import ASKED, HIDDEN, is_release, life_begins

Entries = Sequence[dict[str, Any]]


def line_with(entries: Entries, follows: int, there: Mapping[str, Any]) -> int | None:
    """The last line of this life that follows a line and says these values; None if there is none.

    Args:
        entries: of the ledger.
        follows: the line, from 0.
        there: values by name.
    """
    for line in range(len(entries) - 1, max(follows, life_begins(entries)), -1):
        entry = entries[line]
        if entry.get("follows") == follows and all(entry.get(name) == value for name, value in there.items()):
            return line
    return None


def is_hidden(entries: Entries, line: int) -> bool:
    """Whether a line is of a sum that is known to have been learnt by nobody."""
    said = entries[line].get("sum")
    return said == HIDDEN or (said == ASKED and line_with(entries, line, {"sum": HIDDEN}) is not None)


def has_round(entries: Entries, server_round: int, released: bool) -> bool:
    """Whether a release of a round is on record in this life, or a sum that may have been learnt.

    Args:
        entries: of the ledger.
        server_round: number of the round.
        released: only releases.
    """
    lines = (n for n in range(life_begins(entries) + 1, len(entries)) if entries[n].get("round") == server_round)
    return any(is_release(entries[line]) if released else not is_hidden(entries, line) for line in lines)


def lines_of_release(entries: Entries, release: int) -> int:
    """How many lines are of one release, of whatever life."""
    return sum(is_release(entry) and entry["release"] == release for entry in entries)
