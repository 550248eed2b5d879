"""What opting out does: who agrees and who leaves, by groups of phones, and what recall each of them gets.

Phones that train cannot tell what the model is worth to those who left. Of the people held out some agree to training
and some do not, like those who train, and none of them trains: among those who agree to being measured, the recall of
those who left stands beside that of those who stayed. Where all who left are measured no more, it is not known, and
that is said.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.intervals import over_people
from client_model.metrics.table import MetricTable
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.clock import DAY_S
from simulation.world.consent.config import PURPOSES, TELEMETRY, TRAIN
from simulation.world.consent.times import HOLDS, NEVER_GIVEN, STATES, WITHDRAWN, Consents
from simulation.world.fleet import Fleet
from simulation.world.participation import Grouping

GROUPING = "consent to train"


def by_consent(fleet: Fleet, now_s: float) -> list[Grouping]:
    """The phones by what has become of the consent to train; none where everybody agrees to all."""
    if fleet.consents is None:
        return []
    return [Grouping(GROUPING, STATES, fleet.consents.times[TRAIN].state(np.arange(fleet.num_phones), now_s))]


def consent_record(
    fleet: Fleet,
    now_s: float,
    held_out: NDArray[np.int64],
    groupings: Sequence[Grouping],
    *,
    evaluation: PhoneCounts | None,
    metrics: MetricTable,
) -> dict[str, Any] | None:
    """Who agrees to what, who leaves, and what recall they get; None where everybody agrees to all.

    Args:
        fleet: the phones.
        now_s: the simulated clock.
        held_out: int64 [people held out].
        groupings: how to divide the phones that may train.
        evaluation: what was counted on people held out at the last measurement.
        metrics: to measure by.
    """
    if fleet.consents is None:
        return None
    training = np.flatnonzero(fleet.may_train)
    return {
        "origin": fleet.consents.origin,
        "simulated_days": now_s / DAY_S,
        "purposes": [
            _of_purpose(fleet.consents, purpose, training if purpose in (TRAIN, TELEMETRY) else held_out, now_s)
            for purpose in PURPOSES
        ],
        "by_group": who_leaves(fleet.consents, training, groupings, now_s),
        "recall": _recalls(fleet.consents, held_out, now_s, evaluation, metrics),
    }


def consent_summary(fleet: Fleet, now_s: float, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Shares of the phones that may train whose owners agree, and updates that withdrawals took out of sums.

    Args:
        fleet: the phones.
        now_s: the simulated clock.
        rounds: lines of rounds.jsonl.

    Returns:
        None where everybody agrees to all.
    """
    if fleet.consents is None:
        return None
    training = np.flatnonzero(fleet.may_train)
    at_start, now = (float(fleet.consents.holds(TRAIN, training, moment_s).mean()) for moment_s in (0.0, now_s))
    withdrawn = sum(line.get("withdrawn", 0) + line.get("left_withdrawn", 0) for line in rounds)
    return {"train_share_at_start": at_start, "train_share": now, "updates_withdrawn": withdrawn}


def _of_purpose(consents: Consents, purpose: str, phones: NDArray[np.int64], now_s: float) -> dict[str, Any]:
    """Numbers of phones by what has become of one consent."""
    count = np.bincount(consents.times[purpose].state(phones, now_s), minlength=len(STATES))
    return {
        "purpose": purpose,
        "phones": len(phones),
        "given_at_start": int(consents.holds(purpose, phones, 0.0).sum()),
        "given": int(count[HOLDS]),
        "withdrawn": int(count[WITHDRAWN]),
        "never_given": int(count[NEVER_GIVEN]),
    }


def who_leaves(
    consents: Consents, phones: NDArray[np.int64], groupings: Sequence[Grouping], now_s: float
) -> list[dict[str, Any]]:
    """Numbers of phones by consent to train, a row for each member of each grouping.

    Args:
        consents: of the fleet.
        phones: ids of the phones that are counted.
        groupings: how to divide them.
        now_s: the simulated clock.
    """
    state, rows = consents.times[TRAIN].state(phones, now_s), []
    for grouping in groupings:
        size = len(grouping.members)
        given, withdrawn, never = (
            np.bincount(grouping.member[phones[state == one]], minlength=size) for one in range(len(STATES))
        )
        for i, name in enumerate(grouping.members):
            row = {"grouping": grouping.name, "group": name, "phones": int(given[i] + withdrawn[i] + never[i])}
            rows.append({**row, "given": int(given[i]), "withdrawn": int(withdrawn[i]), "never_given": int(never[i])})
    return rows


def _recalls(
    consents: Consents,
    held_out: NDArray[np.int64],
    now_s: float,
    evaluation: PhoneCounts | None,
    metrics: MetricTable,
) -> list[dict[str, Any]]:
    """The compared metrics of the people held out, by their consent to train, with 95 % intervals over people."""
    everybody, rows = consents.times[TRAIN].state(held_out, now_s), []
    measured = None if evaluation is None else consents.times[TRAIN].state(evaluation.phones, now_s)
    for number, name in enumerate(STATES):
        there = int((everybody == number).sum())
        own = None if evaluation is None or measured is None else evaluation.of(measured == number)
        people = 0 if own is None else len(own.phones)
        row: dict[str, Any] = {"group": name, "held_out_phones": there, "measured": people}
        for metric in metrics.compared:
            found = over_people(metric, own.counts) if own is not None and people else None
            bounds = (None,) * 3 if found is None else (found.mean, found.low, found.high)
            row |= dict(zip((metric.name, f"{metric.name}_low", f"{metric.name}_high"), bounds, strict=True))
        if not people:
            row["why_no_value"] = "nobody is held out" if not there else "none of them agrees to being measured"
            if evaluation is None:
                row["why_no_value"] = "nobody was measured"
        rows.append(row)
    return rows
