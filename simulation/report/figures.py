"""Which drawings the report has, and what each says to whoever does not see it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from client_model.metrics.keyboard_metrics import KEYSTROKE_SAVINGS, TOP1_RECALL
from client_model.metrics.metric import Metric
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_noise import repeatable_note
from simulation.report.charts import FIRST, FOURTH, SECOND, THIRD, Line, bar_chart, line_chart
from simulation.report.drawing import Drawing
from simulation.report.drift import Watched, shown
from simulation.report.facts import LeftOut, RunFacts
from simulation.report.funnel import funnel_rows, funnel_totals
from simulation.report.tables import time_unit

SHOWN_OVER_TIME = (TOP1_RECALL, KEYSTROKE_SAVINGS)
_COUNTING = {"bigram": (SECOND, "--"), "trigram": (THIRD, ":")}
_LEAST_POINTS = 2  # one alone makes no curve; its value is in a table
_VALUES_SAID = 6  # of a line, in its text alternative


def epsilon_over_rounds(facts: RunFacts) -> Drawing | LeftOut:
    """What has been spent after each round."""
    spent = [(line["completed"], line["epsilon"]) for line in facts.rounds if line["epsilon"] is not None]
    if not spent:
        return LeftOut("no round has spent any of a privacy budget")
    if len(spent) == 1:
        return LeftOut(f"a curve of epsilon, since one round was completed: it is {Bound(spent[0][1]):.2f} after it")
    rounds, epsilons = [number for number, _ in spent], [epsilon for _, epsilon in spent]
    lines = [Line(f"ε {Bound(epsilons[-1]):.2f}", rounds, epsilons, FIRST, steps=True)]
    budget = None if isinstance(facts.privacy, LeftOut) else facts.privacy.epsilon_budget
    if budget is not None:
        ends = [0, rounds[-1]]
        lines.append(Line(f"budget {budget:g}", ends, [budget] * 2, SECOND, "--"))
    whose = f"{facts.summary.epsilon_is_of}{repeatable_note(facts.summary.noise_source)}"
    limit = "" if budget is None else f" The budget is {budget:g}."
    said = _said([f"{Bound(epsilon):.2f} after round {number}" for number, epsilon in spent])
    return line_chart(
        "epsilon",
        lines,
        x="completed rounds",
        y="epsilon",
        alternative=f"Line chart of epsilon, of {whose}, over rounds: {said}.{limit}",
        caption=f"Epsilon spent, of {whose}.",
        y_from_0=True,
    )


def band_of(one: Watched) -> Drawing:
    """A statistic over rounds, with the band of each round that has one."""
    scale = 100.0 if one.statistic.unit == "%" else 1.0
    has_band = np.isfinite(one.low)
    numbers = np.asarray(one.rounds, np.float64)
    ends = [(name, (scale * line[has_band]).tolist()) for name, line in (("low", one.low), ("high", one.high))]
    name, judged = one.statistic.name, numbers[has_band].tolist()
    lines = [Line("this run", numbers.tolist(), (scale * one.values).tolist(), FIRST)]
    lines += [Line(f"band, {end}", judged, values, SECOND, "--") for end, values in ends]
    out = [f"{shown(one.statistic, float(one.values[i]))} in round {one.rounds[i]}" for i in np.flatnonzero(one.out)]
    return line_chart(
        f"band-{name.replace(' ', '-').replace(',', '')}",
        lines,
        x="round",
        y=f"{name}, {one.statistic.unit}".removesuffix(", "),
        alternative=f"Line chart of {name} over rounds, and the band of each; out of it: {_said(out)}.",
        caption=f"{name[:1].upper()}{name[1:]} of each round, and the band that the rounds before it give.",
    )


def metrics_over_time(facts: RunFacts) -> list[Drawing] | LeftOut:
    """Recall and keystrokes saved by rounds and by simulated days, with what counting reaches."""
    if not facts.measured:
        return LeftOut("the held-out people were not measured after any round")
    if len(facts.measured) == 1:
        after = f"once, after round {facts.measured[0]['completed']:,}"
        return LeftOut(f"curves over rounds, since the held-out people were measured {after}: the table above has it")
    drawings = []
    for metric in SHOWN_OVER_TIME:
        measured = [line for line in facts.measured if line.get(metric.name) is not None]
        if len(measured) < _LEAST_POINTS:
            continue
        by_round = [(float(line["completed"]), 100 * line[metric.name]) for line in measured]
        drawings.append(_metric_chart(facts, metric, "round", "completed rounds", by_round))
        dated = [line for line in measured if line.get("closed_s") is not None]
        if len(dated) >= _LEAST_POINTS:
            unit, unit_s = time_unit(dated[-1]["closed_s"])
            by_time = [(line["closed_s"] / unit_s, 100 * line[metric.name]) for line in dated]
            drawings.append(_metric_chart(facts, metric, unit, f"simulated {unit}s", by_time))
    return drawings or LeftOut("curves, since fewer than two of the rounds measured recall or keystrokes")


def _metric_chart(facts: RunFacts, metric: Metric, unit: str, x: str, points: Sequence[tuple[float, float]]) -> Drawing:
    ends = [0.0, points[-1][0]]
    interval = None if isinstance(facts.intervals, LeftOut) else facts.intervals.get(metric.name)
    bar = None
    if interval is not None and interval.low is not None and interval.high is not None:
        bar = (100 * interval.low, 100 * interval.high)
    name = f"this run {points[-1][1]:.1f} %"
    lines = [Line(name, [a for a, _ in points], [b for _, b in points], FIRST, points=True, bar=bar)]
    references = dict(_references(facts, metric))
    for reference, value in references.items():
        colour, dashes = _COUNTING.get(reference, (FOURTH, "-."))
        lines.append(Line(f"{reference} {value:.1f} %", ends, [value] * 2, colour, dashes))
    said = _said([f"{value:.1f} % {_at(unit, place)}" for place, value in points])
    beside = ", ".join(f"{reference} {value:.1f} %" for reference, value in references.items())
    spread = "" if bar is None else f" The 95 % interval of the last is {bar[0]:.1f} to {bar[1]:.1f} %."
    compared = f" To compare with: {beside}." if beside else ""
    return line_chart(
        f"{metric.name.replace('_', '-')}-by-{unit}",
        lines,
        x=x,
        y=f"{metric.label.split(',')[0]}, %",
        alternative=f"Line chart of {metric.label} over {x}: {said}.{spread}{compared}",
        caption=f"{metric.label[:1].upper()}{metric.label[1:]}, by {x}.",
    )


def _at(unit: str, place: float) -> str:
    return f"after round {place:.0f}" if unit == "round" else f"after {place:.1f} {unit}s"


def _references(facts: RunFacts, metric: Metric) -> Iterator[tuple[str, float]]:
    """What counting reaches, and central training where it was made, in percent."""
    for one in metric.baselines:
        reached = facts.summary.reached_by(one.key) if one.name in _COUNTING else None
        if reached is not None:
            yield one.name, 100 * reached
    reached = None if isinstance(facts.central, LeftOut) else facts.central.metrics.get(metric.name)
    if reached is not None:
        yield "central", 100 * reached


def _said(values: Sequence[str]) -> str:
    """Some of the values, the first and the last among them."""
    number = min(len(values), _VALUES_SAID)
    places = [i * (len(values) - 1) // (number - 1) for i in range(number)] if number > 1 else [0]
    return ", ".join(values[place] for place in places)


def funnel_of_rounds(rounds: Sequence[Mapping[str, Any]]) -> Drawing | LeftOut:
    """What became of everybody who was invited, over all rounds."""
    rows = funnel_rows(funnel_totals(rounds))
    if not rows:
        return LeftOut("nobody was invited")
    bars = [(row.short, float(row.phones), row.text) for row in rows]
    said = ", ".join(f"{row.short} {row.text}" for row in rows)
    return bar_chart(
        "funnel",
        bars,
        alternative=f"Bar chart of what became of the invited phones, over all rounds: {said}.",
        caption="Phones over all rounds, each as often as it was invited.",
    )
