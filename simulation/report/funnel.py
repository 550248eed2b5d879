"""The funnel of a whole run: every round's, added up."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

from server_strategy.funnel import Funnel

_ENDS = {
    "reported": ("reported", "reported: their update arrived in time and was wanted"),
    "unused": ("not needed", "not needed: done in time, when the goal had been reached"),
    "late": ("late", "late: done after the deadline"),
    "dropped_failure": ("failed", "dropped: the training failed"),
    "dropped_ineligible": ("interrupted", "dropped: picked up, off the charger or off the Wi-Fi before it was done"),
    "dropped_upload": ("upload broke", "dropped: the last try of the upload broke off"),
}
WITHDRAWN = "withdrawn"  # where owners may withdraw
_LEFT = "left_the_sum"  # where updates are added up in steps
# What policies and the strategy give as the cause -> what it means; the first number is what there was.
_CAUSES = (
    (r"([\d,]+) reports?, minimum ([\d,]+)", "fewer phones reported in time than the {} that a round needs"),
    (r"([\d,]+) usable updates of ([\d,]+) reports(?:; .*)?", "too few of the updates that came could be used"),
    (r"([\d,]+) updates in the buffer, goal ([\d,]+)", "the time was up before the buffer held its goal of {} updates"),
    (r"([\d,]+) phones admitted, goal ([\d,]+)", "fewer phones were allowed to take part again than the goal of {}"),
)


@dataclass(frozen=True)
class FunnelRow:
    """What became of some of the invited phones."""

    short: str
    label: str
    phones: int
    share: float | None  # of the invited

    @property
    def text(self) -> str:
        """Number and share, as they stand behind a bar."""
        return f"{self.phones:,}" if self.share is None else f"{self.phones:,} ({100 * self.share:.1f} %)"


@dataclass(frozen=True)
class Pace:
    """How long rounds took, in simulated seconds."""

    duration_s: float  # from the first invitation to the end, median
    selection_s: float  # waiting for enough phones to check in, median


def funnel_totals(rounds: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Each count of the funnel, over all rounds that invited anybody."""
    names = ["invited", *_ENDS]
    told = [line for line in rounds if fields(Funnel)[0].name in line]
    totals = {name: sum(int(line[name]) for line in told) for name in names} if told else {}
    stepped = [line for line in told if "group" in line]
    left = sum(line["group"] - line["reported"] - line.get("left_withdrawn", 0) for line in stepped)
    totals |= {_LEFT: left} if stepped else {}
    counted = [line.get("withdrawn", 0) + line.get("left_withdrawn", 0) for line in told if "withdrawn" in line]
    return {**totals, **({WITHDRAWN: sum(counted)} if counted else {})}


def funnel_rows(totals: Mapping[str, int]) -> list[FunnelRow]:
    """The invited first, then what became of them; none where nobody was invited."""
    return list(_rows(totals)) if totals.get("invited") else []


def _rows(totals: Mapping[str, int]) -> Iterator[FunnelRow]:
    invited = totals["invited"]
    yield FunnelRow("invited", "invited", invited, None)
    for name, (short, label) in _ENDS.items():
        yield FunnelRow(short, label, totals[name], totals[name] / invited)
    withdrawn = totals.get(WITHDRAWN, 0)
    if WITHDRAWN in totals:
        label = "dropped: the owner took back the consent to train before the sum was there"
        yield FunnelRow("withdrew", label, withdrawn, withdrawn / invited)
    left = totals.get(_LEFT, 0)
    if _LEFT in totals:
        yield FunnelRow("left the sum", "left while the sum was made, or the sum failed", left, left / invited)
    others = invited - withdrawn - left - sum(totals[name] for name in _ENDS)
    if others > 0:  # where attempts go on from round to round
        yield FunnelRow("other", "stale, or still under way when the run ended", others, others / invited)


def pace_of_rounds(rounds: Sequence[Mapping[str, Any]]) -> Pace | None:
    """Medians over the rounds that invited anybody; None without any."""
    told = [line for line in rounds if "closed_s" in line]
    if not told:
        return None
    durations = [line["closed_s"] - line["opened_s"] for line in told]
    return Pace(median(durations), median(line["selection_s"] for line in told))


def why_abandoned(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """(reason in words, number of rounds), the commonest first; reasons that differ in a number only are one."""
    counts: dict[str, list[int]] = defaultdict(list)  # by words: what there was instead
    others: Counter[str] = Counter()
    for reason in (line["abandoned"] for line in rounds if line["abandoned"] is not None):
        found = next(((m, words) for pattern, words in _CAUSES if (m := re.fullmatch(pattern, reason))), None)
        if found is None:
            others[reason] += 1
        else:
            counts[found[1].format(found[0][2])].append(int(found[0][1].replace(",", "")))
    said = {f"{words} ({_range(there)})": len(there) for words, there in counts.items()}
    return sorted([*said.items(), *others.items()], key=lambda one: -one[1])


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
