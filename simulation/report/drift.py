"""Rounds whose statistics left their band, which the rounds before them give.

The band of a round is made of the last `WINDOW` values of the same statistic that were within theirs: its middle goes
on with their median slope (Theil-Sen: Sen, Journal of the American Statistical Association 63, 1968), its width is a
multiple of their median absolute deviation from that line. So neither a trend, such as a loss that falls, nor a single
odd round widens or moves it; after `LEAST` rounds out of it in a row they are its new level. The multiple is a
quantile of Student's t whose degrees of freedom are those that a median absolute deviation is worth, 0.37 of a standard
deviation's, times the error of the line where it goes on; it is taken so far out that of a hundred quiet runs one
raises an alarm, in whichever round and statistic. Quiet is: normal around a line that bends slowly. A change that comes
slowly moves the band with it and is not seen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keyboard_metrics import TOP1_RECALL

WINDOW, LEAST = 30, 12  # rounds that make a band: at most, at least
FALSE_ALARMS = 0.01  # of quiet runs, that raise any
_DEVIATION = 1.4826  # standard deviations of a normal in one median absolute deviation
_EFFICIENCY = 0.37  # of a median absolute deviation (Rousseeuw and Croux, JASA 88, 1993, section 1)
_LINE = 4.0 * 1.1  # variance of a least-squares line one step on, in variances over values, over Theil-Sen's efficiency
_RESOLUTION = 1e-3  # of a value: changes below it are none

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Statistic:
    """A number of each round that is watched."""

    name: str
    unit: str  # behind a value; "%" of a share
    value: Callable[[Line], float | None]
    trials: Callable[[Line], int | None] = lambda line: None  # of a share: among how many


@dataclass(frozen=True)
class Watched:
    """A statistic over the rounds, each value beside its band."""

    statistic: Statistic
    rounds: Sequence[int]  # of those that have the statistic
    values: NDArray[np.float64]  # [rounds]
    low: NDArray[np.float64]  # [rounds], NaN where there are too few rounds before
    high: NDArray[np.float64]

    @property
    def judged(self) -> int:
        """Rounds that have a band."""
        return int(np.isfinite(self.low).sum())

    @property
    def out(self) -> NDArray[np.bool_]:
        """bool [rounds]: which are out of their band."""
        return (self.values < self.low) | (self.values > self.high)


@dataclass(frozen=True)
class Alarm:
    """A round in which a statistic left its band."""

    round: int
    statistic: Statistic
    value: float
    low: float
    high: float


def _number(name: str) -> Callable[[Line], float | None]:
    return lambda line: None if line.get("abandoned") is not None else line.get(name)


def _update_norm(line: Line) -> float | None:
    told = line.get("aggregation")
    found: float | None = told.get("mean_update_norm") if isinstance(told, Mapping) else None
    return found


def _reports(line: Line) -> int | None:
    found: int | None = line.get("reports")
    return found


def _survivors(line: Line) -> float | None:
    return line["reported"] / line["invited"] if line.get("invited") else None


def _invited(line: Line) -> int | None:
    found: int | None = line.get("invited")
    return found


STATISTICS = (
    Statistic("loss", "nats per token", _number("loss")),
    Statistic("mean norm of updates", "", _update_norm),
    Statistic("clip norm", "", _number("clip_norm")),
    Statistic("clipped share", "%", _number("clipped_share"), _reports),
    Statistic("survivors of the invited", "%", _survivors, _invited),
    Statistic("recall, first suggestion", "%", lambda line: line.get(TOP1_RECALL.name)),
)


def watch(rounds: Sequence[Line]) -> list[Watched]:
    """Each statistic that changes at all, beside its band; those of too few rounds have none.

    Args:
        rounds: lines of rounds.jsonl.
    """
    series = []
    for statistic in STATISTICS:
        having = [line for line in rounds if statistic.value(line) is not None]
        values = np.array([statistic.value(line) for line in having], np.float64)
        trials = np.array([statistic.trials(line) or 0 for line in having], np.float64)
        if len(set(values.tolist())) > 1:  # a clip norm that is fixed has nothing to drift
            series.append((statistic, [int(line["round"]) for line in having], values, trials))
    tests = sum(max(len(values) - LEAST, 0) for _, _, values, _ in series)
    found = []
    for statistic, numbers, values, trials in series:
        low, high = bands(values, trials, FALSE_ALARMS / max(tests, 1))
        found.append(Watched(statistic, numbers, values, low, high))
    return found


def alarms(watched: Sequence[Watched]) -> list[Alarm]:
    """Every value that is out of its band, by rounds.

    Args:
        watched: what `watch` found.
    """
    found = [
        Alarm(one.rounds[i], one.statistic, float(one.values[i]), float(one.low[i]), float(one.high[i]))
        for one in watched
        for i in np.flatnonzero(one.out)
    ]
    return sorted(found, key=lambda alarm: alarm.round)


def bands(
    values: NDArray[np.float64], trials: NDArray[np.float64], alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(low, high) of each value's band, float64 [rounds]; NaN while fewer than `LEAST` values are before it.

    Args:
        values: float64 [rounds].
        trials: float64 [rounds], of a share: among how many it is one, whose chance the band allows for; else 0.
        alpha: chance that a quiet value is out of its band.
    """
    low, high = np.full((2, len(values)), np.nan)
    within: list[int] = []
    for i in range(len(values)):
        some = np.array(within[-WINDOW:], np.int64)
        if len(some) >= LEAST:
            middle, deviation = _line_on(some, values[some], i)
            deviation = max(deviation, _least_deviation(values[some], trials[i]))
            half = deviation * _multiple(len(some), alpha)
            low[i], high[i] = middle - half, middle + half
        if len(some) < LEAST or low[i] <= values[i] <= high[i]:
            within.append(i)
        elif i - within[-1] >= LEAST:  # so many in a row that they are the new level, which the band follows
            within = list(range(i + 1 - LEAST, i + 1))
    return low, high


def _line_on(places: NDArray[np.int64], values: NDArray[np.float64], at: int) -> tuple[float, float]:
    """(where the values' line goes on, their deviation from it)."""
    first, second = np.triu_indices(len(places), 1)
    slope = np.median((values[second] - values[first]) / (places[second] - places[first]))
    middle = np.median(values - slope * places)
    rest = values - slope * places - middle
    return float(middle + slope * at), float(_DEVIATION * np.median(np.abs(rest)))


def _least_deviation(values: NDArray[np.float64], trials: float) -> float:
    """What is chance at the least: of a share, that of its trials; of others, what is no change."""
    middle = float(np.median(values))
    if not trials:
        return _RESOLUTION * abs(middle)
    share = (min(max(middle, 0.0), 1.0) * trials + 1) / (trials + 2)  # of none or all, neither is certain
    return sqrt(share * (1 - share) / trials)


def _multiple(number: int, alpha: float) -> float:
    from scipy.special import stdtrit  # the quantile of Student's t

    return float(stdtrit(_EFFICIENCY * (number - 2), 1 - alpha / 2)) * sqrt(1 + _LINE / number)


def shown(statistic: Statistic, value: float) -> str:
    """A value in its unit: `3.72 nats per token`, `31.2 %`.

    Args:
        statistic: that it is of.
        value: as the line of the round has it.
    """
    return f"{100 * value:.1f} %" if statistic.unit == "%" else f"{value:.4g} {statistic.unit}".rstrip()


def band_shown(alarm: Alarm) -> str:
    """The band that a value left, with its unit once: `3.49 to 4.38 nats per token`.

    Args:
        alarm: of the value.
    """
    low, high = (shown(alarm.statistic, end) for end in (alarm.low, alarm.high))
    unit = f" {alarm.statistic.unit}"
    return f"{low.removesuffix(unit) if low.endswith(unit) and high.endswith(unit) else low} to {high}"


def judged(watched: Sequence[Watched]) -> Iterator[str]:
    """`loss in 48 rounds`, for each statistic that had a band in any.

    Args:
        watched: what `watch` found.
    """
    yield from (f"{one.statistic.name} in {one.judged:,}" for one in watched if one.judged)
