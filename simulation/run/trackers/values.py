"""The numbers of a round and of a run, by the tags that every tracker groups them by.

In the order in which programs list them, which is the alphabet's:

held_out/   the metrics
privacy/    what has been spent
round/      who was asked, and when in the simulated world
speed/      how fast the simulation is
training/   loss, clipping, progress
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from client_model.metrics.table import MetricTable
from server_strategy.funnel import ALWAYS_TOLD
from simulation.config import RunConfig
from simulation.flags import result_settings
from simulation.run.records import RoundRecord, Summary
from simulation.run.rounds_table import dotted
from simulation.run.trackers.base import Value

_TRAINING = {
    "loss": "loss_nats_per_token",
    "clip_norm": "clip_norm",
    "clipped_share": "clipped_share",
    "tokens": "tokens",
    "completed": "completed_rounds",
}
_MOMENTS = {"opened_s", "closed_s"}  # a duration and a time of the simulated world say more


def round_values(line: Mapping[str, Any], metrics: MetricTable) -> dict[str, float]:
    """The numbers of a line of rounds.jsonl, by tag; those that do not exist are left out."""
    of_whom = "" if line["epsilon_is_of"] == "this run" else "_of_modelled_deployment"
    privacy = {f"privacy/{name}{of_whom}": line[name] for name in ("epsilon", "zcdp_rho")}
    training = {f"training/{tag}": line[name] for name, tag in _TRAINING.items()}
    speed = {"speed/tokens_per_second": line["tokens_per_second"], "speed/train_s": line["train_seconds"]}
    speed |= dotted(line.get("profile") or {}, "speed/profile.")
    return _numbers({**held_out_values(line, metrics), **privacy, **training, **_round(line, metrics), **speed})


def held_out_values(held_out: Mapping[str, Any], metrics: MetricTable) -> dict[str, float]:
    """The numbers of a measurement, by tag."""
    tagged = ((metric.scalar_tag, metric.name) for metric in metrics.metrics)
    return _numbers({tag: held_out.get(name) for tag, name in tagged if tag is not None})


def _round(line: Mapping[str, Any], metrics: MetricTable) -> dict[str, Any]:
    """The funnel, with what a round policy adds to it, and the round's place in the simulated world."""
    others = {f.name for f in fields(RoundRecord)} | {metric.name for metric in metrics.metrics} | _MOMENTS
    found = {f"round/{name}": value for name, value in line.items() if name not in others}
    found["round/reports"] = line["reports"]
    found["round/left_out_for_errors"] = len(line["rejected"]) + len(line["failed"]) + line.get("not_told", 0)
    if line.keys() >= ALWAYS_TOLD:
        found["round/open_s"] = line["closed_s"] - line["opened_s"]
        found["round/simulated_h"] = line["closed_s"] / 3600
    return found


def summary_values(summary: Summary) -> dict[str, Value]:
    """The numbers and texts of summary.json, by dotted name; rows of a metric and what does not exist are left out."""
    flat = dotted(summary.as_json())
    return {name: value for name, value in flat.items() if isinstance(value, bool | int | float | str)}


def setting_values(config: RunConfig) -> dict[str, Value]:
    """Every setting that may change a result and is set, by dotted name; several values as one text."""
    flat = {
        name: " ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in result_settings(config).items()
    }
    return {
        name: value if isinstance(value, bool | int | float) else str(value)
        for name, value in flat.items()
        if value is not None
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {
        tag: value
        for tag, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    }
