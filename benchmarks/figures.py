"""One figure of a benchmark: what each repetition gave, their median and range."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from typefleet.errors import expected

FORM = 2  # of the JSON file; 1 had no spread, no machine, and no number of its form
UNITS = {
    "share": "{:.1%}",
    "ratio": "{:.2f}",
    "tokens/s": "{:,.0f} tok/s",
    "rounds/s": "{:,.0f} rounds/s",
    "MFLOP": "{:.2f} MFLOP",
    "GFLOP/s": "{:.0f} GFLOP/s",
    "GB/s": "{:.1f} GB/s",
    "GB": "{:.3f} GB",
    "s": "{:.3g} s",
    "ms": "{:.3g} ms",
    "ns": "{:.3g} ns",
}


@dataclass(frozen=True)
class Figure:
    """Something measured, once or more in each repetition.

    Attributes:
        group: heading under which it stands.
        name: one of its own within the group.
        unit: one of the keys of `UNITS`.
        values: one a repetition, or one a round of it.
        target: what the median is to reach, if there is such a thing.
        less_is_better: so that the target is the most it may be.
        is_loaded: other work kept the machine busy, so it would do better by itself.
    """

    group: str
    name: str
    unit: str
    values: tuple[float, ...]
    target: float | None = None
    less_is_better: bool = False
    is_loaded: bool = False

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(expected(f"figure {self.name.strip()!r}", "one value at least", "none"))

    @property
    def median(self) -> float:
        """Of the repetitions."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        if self.target is None:
            return None
        return self.median <= self.target if self.less_is_better else self.median >= self.target

    @property
    def measured(self) -> str:
        """The median as it is written, with a star if other work was in the way."""
        return UNITS[self.unit].format(self.median) + ("*" if self.is_loaded else "")

    @property
    def spread(self) -> str:
        """The range of the repetitions; a word instead where there was one."""
        if len(self.values) == 1:
            return "once"
        low, high = (UNITS[self.unit].format(end) for end in (min(self.values), max(self.values)))
        return f"{low.partition(' ')[0]}..{high.partition(' ')[0]}"

    @property
    def wanted(self) -> str:
        """The target as it is written, with its unit."""
        if self.target is None:
            return ""
        return ("<=" if self.less_is_better else ">=") + UNITS[self.unit].format(self.target)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file, the median with it."""
        return {**asdict(self), "median": self.median}

    def beside(self, old: "Figure") -> str:
        """This one over an old one: the ratio of medians, and whether the ranges leave a doubt."""
        if not old.median:
            return ""
        ranges_meet = min(self.values) <= max(old.values) and min(old.values) <= max(self.values)
        return f"{self.median / old.median:.2f}" + ("~" if ranges_meet else "")
