"""What a metric is: a row of the one table that every report, plot and file of results is made from.

A metric never sees a model or a phone's text. On each phone it counts something over scored tokens; the counts are
added up over phones, anywhere; and what it says is a function of the sums alone. So a metric means the same on a host,
on the server, over a group of phones and over the messages that an exported file is checked on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.scored_tokens import ScoredTokens
from typefleet.errors import ConfigError, expected

Counts: TypeAlias = Mapping[str, NDArray[Any]]
"""Additive counts by name, int64 or float64: a number each, or equally many for everybody."""
Counter: TypeAlias = Callable[[ScoredTokens], Any]
"""Gives one count: an integer, a float or an array of them; of no tokens, zeros."""

_LONG = 1e9  # from here on without all digits
_DIVERGED = "diverged"


class Baseline(NamedTuple):
    """What something simpler reaches, to stand beside a metric."""

    key: str  # in summary.json
    name: str  # one word
    label: str  # for the model card


@dataclass(frozen=True, repr=False)
class Metric:
    """One way to say how good a keyboard is.

    Attributes:
        name: key in summary.json and in the lines of rounds.jsonl, such as `top1_recall`.
        label: for tables and cards, such as `recall, first suggestion`.
        counts: name of each count that the value needs -> what counts it. Names are in lower case with hyphens, as they
            travel from hosts to the server. Two metrics may share a count: the same name and the same function.
        value: of the summed counts; None where there is nothing to count.
        unit: `percent` of a share, a plain `number`, or `rows` of values that are no single number.
        digits: after the decimal point.
        short: for narrow columns; by default the label.
        note: follows the value where there is room.
        tag: of the TensorBoard scalar; by default held_out/NAME. Rows have none.
        show: makes a text of a value that is there; by default by unit and digits.
        compared: whether it stands beside other models' or groups' values: of exported files, groups of phones,
            mechanisms, personal models.
        baselines: to stand beside it.
        diverged_from: a value of this or more says that the model has diverged and no more, and is shown as that word.
        diverged_why: follows that word where there is room.

    Example:
        >>> tokens = Metric("tokens", "tokens", {"tokens": lambda scored: len(scored.targets)},
        ...                 lambda counts: int(counts["tokens"]), unit="number", digits=0)
        >>> tokens.text(1234), tokens.text(None)
        ('1,234', '-')
    """

    name: str
    label: str
    counts: Mapping[str, Counter]
    value: Callable[[Counts], Any]
    unit: Literal["percent", "number", "rows"] = "percent"
    digits: int = 2
    short: str = ""
    note: str = ""
    tag: str = ""
    show: Callable[[Any], str] | None = None
    compared: bool = True
    baselines: tuple[Baseline, ...] = ()
    diverged_from: float | None = None
    diverged_why: str = ""

    @property
    def scalar_tag(self) -> str | None:
        """Of the TensorBoard scalar; None if the value is no single number."""
        return None if self.unit == "rows" else self.tag or f"held_out/{self.name}"

    @property
    def heading(self) -> str:
        """Of a column of `bare` values."""
        return f"{self.short or self.label}{', %' if self.unit == 'percent' else ''}"

    def text(self, value: Any) -> str:
        """A value as people read it; a dash for one that does not exist."""
        if value is None:
            return "-"
        if self.show is not None:
            return self.show(value)
        return f"{self.bare(value)} %" if self.unit == "percent" else self.bare(value)

    def bare(self, value: Any) -> str:
        """A value without its unit, for a column that has it in its heading."""
        if value is None:
            return "-"
        if self.has_diverged(value):
            return _DIVERGED
        if self.unit == "percent":
            return f"{100 * value:.{self.digits}f}"
        return f"{value:,.{self.digits}f}" if abs(value) < _LONG else f"{value:.1e}"

    def has_diverged(self, value: Any) -> bool:
        """Whether a value says no more than that the model has diverged."""
        return self.diverged_from is not None and value is not None and bool(value >= self.diverged_from)

    def told(self, value: Any) -> str:
        """A value as people read it where there is room: with the note, or with why it has diverged."""
        if self.has_diverged(value):
            return f"{self.text(value)}: {self.diverged_why}"
        return self.text(value) if value is None or not self.note else f"{self.text(value)} {self.note}"

    def __repr__(self) -> str:
        """Without the functions, whose addresses differ from process to process."""
        return f"{type(self).__name__}({self.name!r}, counts={list(self.counts)})"


def share_of(counts: Counts, some: str, of: str) -> float | None:
    """One count over another; None where there is nothing to count."""
    return int(counts[some]) / int(counts[of]) if counts[of] else None


def as_counts(name: str, value: Any) -> NDArray[Any]:
    """What a counter gave, as int64 or float64, [] or [n].

    Raises:
        ConfigError: it gave something else.
    """
    array = np.asarray(value)
    if array.ndim > 1 or array.dtype.kind not in "biuf":
        found = f"{array.dtype} {list(array.shape)}"
        raise ConfigError(expected(f"count {name}", "a number or a list of numbers", found))
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
