"""Rounds of a run whose statistics left their band, as a figure of its audit; see `simulation.report.drift`."""

from collections.abc import Mapping, Sequence
from typing import Any

from simulation.report.drift import FALSE_ALARMS, LEAST, Alarm, alarms, band_shown, judged, shown, watch
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import Attack, Subject

_SAID = 5  # alarms in words; all are details


def drift(subject: Subject) -> Sequence[Attack]:
    """How many statistics of rounds left their band; see the module.

    Args:
        subject: a finished run.

    Raises:
        InputError: its rounds cannot be read.
    """
    return [] if subject.run_dir is None else [alarms_of(RunDirectory(subject.run_dir).read_rounds())]


def alarms_of(rounds: Sequence[Mapping[str, Any]]) -> Attack:
    """The figure of some rounds.

    Args:
        rounds: lines of rounds.jsonl.
    """
    watched = watch(rounds)
    found, over = alarms(watched), ", ".join(judged(watched))
    said = "; ".join(_said(one) for one in found[:_SAID]) + (
        f"; and {len(found) - _SAID} more" if found[_SAID:] else ""
    )
    return Attack(
        name="drift: rounds out of their band",
        attacker="nobody, or whoever's phones push the rounds elsewhere",
        sees="statistics of each round, which the server has",
        assumes=f"quiet runs are normal around a slowly bending line: {100 * FALSE_ALARMS:g} % of them raise any",
        quantity="alarms, over all rounds and statistics",
        value=float(len(found)) if over else None,
        bound_is="none: an alarm asks for a look, and breaks no claim",
        why=f"watched: {over} rounds{f'; {said}' if said else ''}"
        if over
        else f"no statistic was told of more than {LEAST} rounds",
        details={"alarms": [_as_json(one) for one in found]},
    )


def _said(one: Alarm) -> str:
    return f"round {one.round:,}: {one.statistic.name} {shown(one.statistic, one.value)}, its band {band_shown(one)}"


def _as_json(one: Alarm) -> dict[str, Any]:
    return {"round": one.round, "statistic": one.statistic.name, "value": one.value, "low": one.low, "high": one.high}
