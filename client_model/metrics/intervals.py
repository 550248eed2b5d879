"""How far a figure can be trusted: intervals over seeds, and over the people held out.

A share of people: Wilson's.
Over seeds: Student's t for the mean of few runs, each with other people held out, other noise, other phones heard.
Over people: the percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), which
draws people and not words, since the words of one person depend on each other. The difference of two models is taken on
the same people, drawn together: most of what makes one sample of people easier than another is then gone. A metric of
somebody's own that raises on some draw is a ConfigError that names it; where it is no finite number, it has no value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.metric import Metric
from client_model.metrics.table import value_of
from typefleet.errors import ConfigError, expected

CONFIDENCE = 0.95
_RESAMPLES, _AT_ONCE = 2_000, 100  # of which so many are in memory
_TOO_LARGE = "values too large for one, as of models that have diverged"
_SAME = 1e-12  # of each other, and of 1: values that differ by less differ by rounding
_SEED, _PURPOSE = 0, "bootstrap over people"  # the same people are drawn whenever the same figure is asked for

PhoneColumns = Mapping[str, NDArray[Any]]
"""Counts by name, a row per phone: [phones] or [phones, n]."""
_Figure: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], float | None]  # of each model's sums over people


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie; bounds are None where one value, equal ones, or too large ones show no spread."""

    mean: float
    low: float | None
    high: float | None
    number: int  # of seeds or of people
    over: str  # "seeds" or "people"
    why: str = ""  # there are no bounds, where it is not for too few values

    @property
    def half_width(self) -> float | None:
        """Half of the distance between the bounds; of a t-interval, what stands behind its ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def leaves_out_zero(self) -> bool:
        """Whether a difference is one: with an interval, and not with 0 in it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def why_so_wide(seeds: int, confidence: float = CONFIDENCE) -> str | None:
    """That a t-interval is wide because of two seeds, as a note below a table; None of more or fewer.

    Args:
        seeds: that the interval is over.
        confidence: of it.
    """
    if seeds != 2:
        return None
    from scipy.special import stdtrit

    two, three = (float(stdtrit(n - 1, (1 + confidence) / 2)) for n in (2, 3))
    return f"that wide because of two seeds: {two:.1f} standard errors to each side, with three {three:.1f}"


def over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of one value per seed, with the t-interval of n - 1 degrees of freedom; without one if all are equal.

    Seeds that agree do so by chance, or since the value is a count of few: an interval of no width would be certainty.

    Args:
        values: one per seed; at least one.
        confidence: of the interval.

    Raises:
        ConfigError: there is no value.
    """
    if not values:
        raise ConfigError(expected("values", "at least one seed's", "none"))
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Interval(mean, None, None, 1, "seeds")
    if _are_the_same(values):
        return Interval(mean, None, None, n, "seeds", why=f"{n} seeds gave the same value, which tells no spread")
    from scipy.special import stdtrit  # the quantile of Student's t

    with np.errstate(over="ignore"):  # of values such as the perplexity of a model that has diverged
        half = float(stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / sqrt(n))
    if not np.isfinite(half):
        return Interval(mean, None, None, n, "seeds", why=_TOO_LARGE)
    return Interval(mean, mean - half, mean + half, n, "seeds")


def _are_the_same(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _SAME * max(1.0, *map(abs, values))


def shown_half(text: str) -> str:
    """Half an interval as it stands behind a ±; one that its digits cannot show is below the last of them: `< 0.01`.

    Args:
        text: the half width in so many digits.
    """
    return text if text.strip("0.") else f"< {text[:-1]}1"


def value_and_half(found: Interval, metric: Metric) -> str:
    """A value as people read it, with half of its interval where it has one: `20.25 ± 0.31 %`.

    Args:
        found: in the unit of the metric's values.
        metric: which it is of.
    """
    text, half = metric.text(found.mean), found.half_width
    if half is None:
        return text
    unit = " %" if text.endswith(" %") else ""
    return f"{text.removesuffix(unit)} ± {shown_half(metric.bare(half))}{unit}"


def difference_between_seeds(
    values: Sequence[float], reference: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """The mean of `values` minus that of `reference`, which have no seed in common, by Welch's t-interval.

    The two need not vary alike; the degrees of freedom are Satterthwaite's (Welch, Biometrika 34, 1947, pages 28-35).

    Args:
        values, reference: one per seed.
        confidence: of the interval.

    Returns:
        None where one of them has fewer than two values, which say nothing of its spread.
    """
    if min(len(values), len(reference)) < 2:
        return None
    number, mean = len(values) + len(reference), float(np.mean(values)) - float(np.mean(reference))
    with np.errstate(over="ignore"):
        own, other = (float(np.var(some, ddof=1)) / len(some) for some in (values, reference))
    if not np.isfinite(own + other):
        return Interval(mean, None, None, number, "seeds", why=_TOO_LARGE)
    if _are_the_same(values) and _are_the_same(reference):
        return Interval(mean, None, None, number, "seeds", why="on each side all seeds gave the same value")
    from scipy.special import stdtrit

    freedom = (own + other) ** 2 / (own**2 / (len(values) - 1) + other**2 / (len(reference) - 1))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * sqrt(own + other)
    return Interval(mean, mean - half, mean + half, number, "seeds")


def over_people(metric: Metric, counts: PhoneColumns, confidence: float = CONFIDENCE) -> Interval | None:
    """A metric of all held-out people, with its bootstrap interval over them.

    Args:
        metric: whose value is a number.
        counts: of each phone.
        confidence: of the interval.

    Returns:
        None where the metric has no value or its counts were not made.
    """
    return _of_metric(metric, (counts,), lambda value: value, confidence)


def difference_over_people(
    metric: Metric, counts: PhoneColumns, reference: PhoneColumns, confidence: float = CONFIDENCE
) -> Interval | None:
    """`counts` minus `reference`, paired by phone: both are measured on the same people, drawn together.

    Args:
        metric: whose value is a number.
        counts, reference: of the same phones in the same order.
        confidence: of the interval.

    Returns:
        None where the metric has no value or its counts were not made.

    Raises:
        ConfigError: they are not of equally many phones.
    """
    _require_same_people((counts, reference))
    return _of_metric(metric, (counts, reference), lambda value, other: value - other, confidence)


def ratio_over_people(
    metric: Metric, counts: PhoneColumns, reference: PhoneColumns, confidence: float = CONFIDENCE
) -> Interval | None:
    """`counts` over `reference`, paired by phone as a difference is; arguments and errors as there.

    Returns:
        None where the metric has no value, its counts were not made, or that of the reference is 0.
    """
    _require_same_people((counts, reference))
    return _of_metric(metric, (counts, reference), lambda value, other: value / other if other else None, confidence)


def share_over_people(some: NDArray[Any], of: NDArray[Any], confidence: float = CONFIDENCE) -> Interval | None:
    """The sum of one count over the sum of another, with its bootstrap interval; of ones, the mean of a value a person.

    Args:
        some, of: [people].
        confidence: of the interval.

    Returns:
        None where there is nothing to count.

    Raises:
        ConfigError: they are not of equally many people.
    """
    counts: PhoneColumns = {"some": some, "of": of}
    _require_same_people((counts,))

    def share(sums: Sequence[Mapping[str, Any]]) -> float | None:
        return float(sums[0]["some"] / sums[0]["of"]) if sums[0]["of"] else None

    return _bootstrap(share, (counts,), confidence)


def share_of_number(some: int, of: int, confidence: float = CONFIDENCE) -> Interval | None:
    """A share of so many people, each of whom is one of `some` or not, with its interval by Wilson.

    (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), which has some width at 0 and 1 as well
    (Wilson, Journal of the American Statistical Association 22, 1927, pages 209-212).

    Args:
        some: of them, from 0 to `of`.
        of: people.
        confidence: of the interval.

    Returns:
        None of nobody.

    Example:
        >>> found = share_of_number(0, 10)
        >>> found.mean, found.low, round(found.high, 3)
        (0.0, 0.0, 0.278)
    """
    if not of:
        return None
    from scipy.special import ndtri

    z2, share = float(ndtri((1 + confidence) / 2)) ** 2, some / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = sqrt(z2 * (share * (1 - share) / of + z2 / (4 * of**2))) / (1 + z2 / of)
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0), of, "people")


def _require_same_people(models: Sequence[PhoneColumns]) -> None:
    if len({len(column) for columns in models for column in columns.values()}) > 1:
        raise ConfigError(expected("the counts", "those of the same phones", "those of others"))


def _of_metric(
    metric: Metric, models: Sequence[PhoneColumns], combine: Callable[..., float | None], confidence: float
) -> Interval | None:
    """Of what is made of the models' values of a metric."""
    if metric.unit == "rows" or not all(metric.counts.keys() <= model.keys() for model in models):
        return None

    def figure(sums: Sequence[Mapping[str, Any]]) -> float | None:
        values = [value_of(metric, one) for one in sums]
        found = None if any(value is None for value in values) else combine(*values)
        return None if found is None else float(found)

    return _bootstrap(figure, [{name: model[name] for name in metric.counts} for model in models], confidence)


def _bootstrap(figure: _Figure, models: Sequence[PhoneColumns], confidence: float) -> Interval | None:
    """Of a figure of the models' sums over people, the same people being drawn for all of them."""
    people = len(next(iter(models[0].values())))
    value = figure([{name: column.sum(0) for name, column in columns.items()} for columns in models])
    if value is None:
        return None
    if people < 2:
        return Interval(value, None, None, people, "people")
    drawn = [one for one in _resampled(figure, models, people) if one is not None]
    if not drawn:
        return Interval(value, None, None, people, "people")
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Interval(value, low, high, people, "people")


def _resampled(figure: _Figure, models: Sequence[PhoneColumns], people: int) -> Iterator[float | None]:
    """The figure on one draw of the people after another."""
    rng, each = generator(_SEED, _PURPOSE), np.full(people, 1 / people)
    for _ in range(_RESAMPLES // _AT_ONCE):
        draws = rng.multinomial(people, each, _AT_ONCE)  # int64 [draws, people]: how often each is drawn
        sums = [{name: draws @ column for name, column in columns.items()} for columns in models]  # [draws] or [., n]
        for i in range(_AT_ONCE):
            yield figure([{name: column[i] for name, column in one.items()} for one in sums])
