"""What became of a run's sums where the server learns sums over phones alone: for summary.json and the report.

From the lines of rounds.jsonl, so that a run that was killed and goes on counts each round once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from server_strategy.aggregation.sizes import step_bytes
from simulation.config import RunConfig
from simulation.world.aggregation_settings import terms_of_rounds
from typefleet.errors import ConfigError

NOT_SHOWN = {
    "phone_up_bytes, phone_down_bytes": "medians over rounds, of a phone that takes every step and whose neighbours "
    "all stay: bytes follow from the sizes of the messages, and no phone's own are counted",
    "loss, tokens and norm of a phone": "nowhere: they travel inside the masked vector, so that nobody is told",
}
"""What the summary does not show of single phones, and why."""


def sums_summary(
    config: RunConfig, rounds: Sequence[Mapping[str, Any]], num_weights: int, noised: int | None = None
) -> dict[str, Any] | None:
    """Protocol, rounds by their end, phones that were made up for, bytes; None where the server is told of each phone.

    Args:
        config: of the run.
        rounds: lines of rounds.jsonl.
        num_weights: of the model.
        noised: numbers of an update, as it is rotated, whose phone adds the noise; None: the server does.
    """
    if not config.aggregation.is_summed:
        return None
    buckets = [line["aggregation"]["buckets"] for line in rounds if "buckets" in (line.get("aggregation") or {})]
    failed = Counter(cause for line in rounds if (cause := _cause(line)) is not None)
    summed = [line["aggregation"] for line in rounds if line.get("aggregation") and _cause(line) is None]
    sizes = list(_bytes(config, summed, num_weights, noised))
    return {
        "protocol": config.aggregation.protocol,
        "rounds_with_a_sum": len(summed),
        "rounds_failed": dict(failed.most_common()),
        "phones_in_sums": sum(one["took"]["mask"] - _left_out(one) for one in summed),
        "phones_recovered": sum(one["took"]["share"] - one["took"]["mask"] for one in summed),
        "messages_refused": sum(line["aggregation"]["refused"] for line in rounds if line.get("aggregation")),
        **_of_buckets(buckets if config.aggregation.sums_buckets else None),
        "phone_up_bytes": round(median(up for up, _ in sizes)) if sizes else None,
        "phone_down_bytes": round(median(down for _, down in sizes)) if sizes else None,
        "not_shown": NOT_SHOWN if sizes else {**NOT_SHOWN, "phone_up_bytes, phone_down_bytes": "no round had a sum"},
    }


def _left_out(one: Mapping[str, Any]) -> int:
    """Vectors that came and are in no sum that was learnt."""
    found: int = one.get("buckets", {}).get("vectors_left_out", 0)
    return found


def _of_buckets(buckets: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """What became of the buckets of all rounds; nothing where there are none.

    Args:
        buckets: what each round says of its own; None: there are none by the settings.
    """
    if buckets is None:
        return {}
    out = Counter[str]()
    for one in buckets:
        out.update(one["left_out"])
    told = {
        "formed": sum(one["formed"] for one in buckets),
        "in_the_rule": sum(one["in_rule"] for one in buckets),
        "screened_out": sum(one["screened_out"] for one in buckets),
        "left_out": dict(out.most_common()),
        "fewest_phones": min((one["fewest_phones"] for one in buckets), default=None),
    }
    return {"buckets": told}


def _cause(line: Mapping[str, Any]) -> str | None:
    """Why a round that took the steps has no sum; of a round that fails in the simulated world, its funnel says it."""
    told: Mapping[str, Any] = line.get("aggregation") or {}
    cause: str | None = told.get("failed") or line.get("aggregation_failed")
    return cause


def _bytes(
    config: RunConfig, summed: Sequence[Mapping[str, Any]], num_weights: int, noised: int | None
) -> Iterator[tuple[int, int]]:
    """(up, down) of a phone in each round."""
    terms = terms_of_rounds(config.aggregation, config.cohort, num_weights, noised=noised)
    for one in summed:
        took = one["took"]
        invited, advertised = took["invited"], took["advertise"]
        if "buckets" in one:  # of the smallest, if all of its phones send keys
            invited = advertised = one["buckets"]["fewest_phones"]
        try:
            size = replace(terms, phones=invited).graph_size(advertised)
        except ConfigError:  # a line of other settings than these
            continue
        every = step_bytes(terms, size).values()
        yield sum(int(step.up) for step in every), sum(int(step.down) for step in every)
