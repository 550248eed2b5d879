"""The table of metrics: what is counted on each phone, and what the sums say."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.door import ALWAYS_MEASURED, METRICS
from client_model.metrics.metric import Counter, Counts, Metric, as_counts
from client_model.metrics.scored_tokens import ScoredTokens
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling

_NAME, _COUNT_NAME = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class MetricTable:
    """Metrics in the order in which tables show them; the headline first."""

    metrics: tuple[Metric, ...]

    @cached_property
    def counters(self) -> dict[str, Counter]:
        """What counts each count that any of the metrics needs."""
        return {name: counter for metric in self.metrics for name, counter in metric.counts.items()}

    @property
    def compared(self) -> tuple[Metric, ...]:
        """Those that stand beside other models' or groups' values."""
        return tuple(metric for metric in self.metrics if metric.compared and metric.unit != "rows")

    def count(self, tokens: ScoredTokens) -> dict[str, NDArray[Any]]:
        """Every count over some tokens: int64 or float64, [] or [n].

        Raises:
            ConfigError: a counter raises, or gives something else; names the metric.
        """
        found: dict[str, NDArray[Any]] = {}
        for metric in self.metrics:
            for name, counter in metric.counts.items():
                if name not in found:
                    with calling(f"metric {metric.name}", f"the count {name}"):
                        found[name] = as_counts(f"{name} of metric {metric.name}", counter(tokens))
        return found

    def values(self, sums: Counts) -> dict[str, Any]:
        """Each metric by name; None where there is nothing to count, or where its counts were not made.

        Raises:
            ConfigError: a metric raises, or its value is none that can be written; names the metric.
        """
        return {
            metric.name: value_of(metric, sums) if metric.counts.keys() <= sums.keys() else None
            for metric in self.metrics
        }

    def values_or_why(self, sums: Counts) -> tuple[dict[str, Any], dict[str, str]]:
        """(values as `values` has them, why there is none of those that raise on these sums), by name.

        For parts of the people: a metric of somebody's own that fails on a few of them is no reason to end a run.

        Args:
            sums: over some phones.
        """
        values: dict[str, Any] = {}
        why: dict[str, str] = {}
        for metric in self.metrics:
            try:
                values |= MetricTable((metric,)).values(sums)
            except ConfigError as error:
                values[metric.name], why[metric.name] = None, str(error)
        return values, why

    def numbers(self, sums: Counts) -> dict[str, float]:
        """The metrics that have a value and whose value is a single number, by name."""
        values = self.values(sums)
        return {m.name: values[m.name] for m in self.metrics if m.unit != "rows" and values[m.name] is not None}

    def nothing(self) -> dict[str, None]:
        """What is known before anything was measured."""
        return dict.fromkeys(metric.name for metric in self.metrics)


def metric_table(names: Sequence[str] = (), handed_in: Sequence[Metric] = ()) -> MetricTable:
    """The table of the built-in metrics and further ones.

    Args:
        names: further metrics, by the names that they have behind the door.
        handed_in: further metrics.

    Raises:
        UnknownKindError: nothing has that name.
        ConfigError: a name that is measured already, two metrics of one name, or two counts of one name that are not
            counted by the same function.
    """
    for name in names:
        if name in ALWAYS_MEASURED or names.count(name) > 1:
            further = f"further metrics, each once, beside {', '.join(ALWAYS_MEASURED)}"
            raise ConfigError(expected("--evaluation.metrics", further, name))
    named = [METRICS.kind(name) for name in (*ALWAYS_MEASURED, *names)]
    metrics = (*(METRICS.made(kind, kind.settings()) for kind in named), *handed_in)
    owners: dict[str, Metric] = {}
    counters: dict[str, tuple[str, Counter]] = {}
    for metric in metrics:
        if not _NAME.fullmatch(metric.name) or metric.name in owners:
            free = "a name of its own in lower case, with underscores"
            raise ConfigError(expected(f"metric {metric.label!r}", free, repr(metric.name)))
        owners[metric.name] = metric
        for name, counter in metric.counts.items():
            owner, known = counters.setdefault(name, (metric.name, counter))
            if not _COUNT_NAME.fullmatch(name) or known is not counter:
                own = "counts with names of their own in lower case, with hyphens"
                raise ConfigError(expected(f"metric {metric.name}", own, f"{name!r}, as in {owner}"))
    return MetricTable(metrics)


def sum_counts(counts: Iterable[Counts]) -> dict[str, NDArray[Any]]:
    """Counts over several texts, which all have the same ones; added in their order."""
    first, *others = counts
    sums = dict(first)
    for one in others:
        sums = {name: np.asarray(value + one[name]) for name, value in sums.items()}
    return sums


def stacked(counts: Sequence[Counts]) -> dict[str, NDArray[Any]]:
    """Counts of several phones, one row each: [phones] or [phones, n].

    Raises:
        ConfigError: of a count there are more numbers of one phone than of another, which cannot be added up.
    """
    for name in counts[0] if counts else ():
        sizes = sorted({one[name].shape for one in counts})
        if len(sizes) > 1:
            found = " and ".join(str(np.prod(size, dtype=int)) for size in (sizes[0], sizes[-1]))
            raise ConfigError(expected(f"count {name}", "a number, or equally many for every phone", found))
    return {name: np.stack([one[name] for one in counts]) for name in counts[0]} if counts else {}


def value_of(metric: Metric, sums: Counts) -> Any:
    """The value of a metric as Python and JSON have it; one that is not finite does not exist, and is None.

    Args:
        metric: whose counts are among the sums.
        sums: over some phones.

    Raises:
        ConfigError: the metric raises, or its value is none that can be written; names the metric.
    """
    with calling(f"metric {metric.name}", "a value of its counts"):
        value = metric.value(sums)
    if metric.unit != "rows":
        number = _plain(metric, value)
        if isinstance(number, str | list | dict):
            raise ConfigError(expected(f"metric {metric.name}", "a number or None as its value", type(value).__name__))
        return number
    return _plain(metric, value)


def _plain(metric: Metric, value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(metric, one) for name, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(metric, one) for one in value]
    what = "numbers, texts, lists and dictionaries" if metric.unit == "rows" else "a number or None"
    raise ConfigError(expected(f"metric {metric.name}", f"{what} as its value", type(value).__name__))
