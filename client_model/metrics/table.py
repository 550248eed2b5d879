"""The table of metrics: what is counted on each phone, and what the sums say."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.door import ALWAYS_MEASURED, METRICS
from client_model.metrics.metric import Counter, Counts, Metric, as_counts
from client_model.metrics.scored_tokens import ScoredTokens
from typefleet.errors import ConfigError, expected

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
        """Every count over some tokens: int64 or float64, [] or [n]."""
        return {name: as_counts(name, counter(tokens)) for name, counter in self.counters.items()}

    def values(self, sums: Counts) -> dict[str, Any]:
        """Each metric by name; None where there is nothing to count, or where its counts were not made."""
        return {
            metric.name: _plain(metric.value(sums)) if metric.counts.keys() <= sums.keys() else None
            for metric in self.metrics
        }

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
    """Counts of several phones, one row each: [phones] or [phones, n]."""
    return {name: np.stack([one[name] for one in counts]) for name in counts[0]} if counts else {}


def _plain(value: Any) -> Any:
    """A number as Python has it, which JSON can write."""
    return value.item() if isinstance(value, np.generic) else value
