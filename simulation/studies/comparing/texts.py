"""A value and a difference, each with half its interval, as tables and figures show them."""

import math
from dataclasses import replace

from client_model.metrics.intervals import shown_half
from client_model.metrics.metric import Metric
from simulation.studies.comparing.metrics import Difference, Measured

_MOST_DIGITS = 6  # of a difference


def measured_text(one: Measured) -> str:
    """The value and half its interval: 20.25 ±0.31."""
    text, half = one.metric.bare(one.value), one.half_width
    if half is None or one.metric.has_diverged(one.value):
        return text
    metric = one.metric
    is_wide = half >= (0.1 if metric.unit == "percent" else 10)  # then a digit less says as much
    return f"{text} ±{shown_half(replace(metric, digits=max(0, metric.digits - is_wide)).bare(half))}"


def difference_text(one: Difference) -> str:
    """The difference and half its interval, where there is one to show."""
    if one.interval is None:
        return "no interval"
    if one.interval.half_width is None:
        is_told = one.interval.over == "seeds" and not one.metric.has_diverged(abs(one.interval.mean))
        return f"{_signed(one.interval.mean, one.metric)}\n(no interval)" if is_told else "no interval"
    if one.metric.has_diverged(max(abs(one.interval.mean), one.interval.half_width)):
        return "diverged"
    metric = fine_enough(one.metric, one.interval.half_width)
    if one.is_shown and metric.bare(abs(one.interval.mean)) == metric.bare(one.interval.half_width):
        metric = replace(metric, digits=metric.digits + 1)  # which of the two is larger is the point
    half = metric.bare(one.interval.half_width)
    if not one.is_shown:
        return f"{_signed(one.interval.mean, metric)} ±{half}\n(none shown)"
    return f"{_signed(one.interval.mean, metric)} ±{half}"


def _signed(mean: float, metric: Metric) -> str:
    return f"{'-' if mean < 0 else '+'}{metric.bare(abs(mean))}"


def fine_enough(metric: Metric, half_width: float) -> Metric:
    """The metric with as many digits as it takes to see half of an interval, at least its own.

    Args:
        metric: of the interval.
        half_width: of it, in the unit of the value.
    """
    shown = half_width * (100 if metric.unit == "percent" else 1)
    needed = 0 if shown == 0 else math.ceil(-math.log10(shown))
    return replace(metric, digits=max(metric.digits, min(needed, _MOST_DIGITS)))
