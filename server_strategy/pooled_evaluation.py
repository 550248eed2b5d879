"""Held-out phones: how they are dealt out to the hosts, and how their counts become one measurement.

The last bits of a matrix product may depend on its size. So the phones are scored in fixed units of a
few, which are the same for any number of nodes, and counts are added up in the order of the ids.
"""

from collections.abc import Iterable
from math import exp
from typing import Any

import numpy as np
from flwr.app import Message, MetricRecord
from numpy.typing import NDArray

from server_strategy.cohorts import balanced_shards

EVALUATION_UNIT = 8  # held-out phones that are scored together
_COUNTS = ("tokens", "loss-sum", "word-positions", "out-of-vocabulary", "top1-hits", "top3-hits")
_TYPING = ("characters", "keystrokes")
# Several numbers a phone, one for each group of places in a message; the groups are the client's.
_BY_POSITION = ("in-vocabulary-by-position", "top1-hits-by-position", "top3-hits-by-position")


def evaluation_shards(phones: NDArray[np.int64], num_nodes: int) -> list[dict[str, list[int]]]:
    """For each message its {phone-ids, unit-sizes}; a unit is never split."""
    phones = np.sort(phones)
    units = np.split(phones, np.arange(EVALUATION_UNIT, len(phones), EVALUATION_UNIT))
    sizes = np.array([len(unit) for unit in units], np.int64)
    return [
        {"phone-ids": np.concatenate([units[u] for u in shard]).tolist(), "unit-sizes": sizes[shard].tolist()}
        for shard in balanced_shards(np.arange(len(units)), sizes, num_nodes)
    ]


def counts_of_phones(replies: Iterable[Message]) -> dict[str, NDArray]:
    """The counts of each phone, joined over the replies and in the order of the ids.

    Returns:
        [phones] each, those by place [phones, places]; optional ones only if every reply has them.
    """
    records = [reply.content.metric_records["metrics"] for reply in replies]
    optional = [name for name in (*_TYPING, *_BY_POSITION) if all(name in record for record in records)]
    joined: dict[str, list] = {name: [] for name in ("phone-ids", *_COUNTS, *optional)}
    for record in records:
        for name, values in joined.items():
            values.extend(as_list(record[name]))
    phones = len(joined["phone-ids"])
    order = np.argsort(np.array(joined["phone-ids"], np.int64))
    return {
        name: np.array(values).reshape((phones, -1) if phones and name in _BY_POSITION else -1)[order]
        for name, values in joined.items()
    }


def pooled_metrics(counts: dict[str, NDArray]) -> MetricRecord | None:
    """The keyboard's metrics over all positions of all phones; None without any.

    A value without positions to count is left out. What is by place stays a list of counts.
    """
    if not len(counts["phone-ids"]):
        return None
    sums = {name: values.sum(0) for name, values in counts.items() if name != "phone-ids"}
    words = int(sums["word-positions"])
    in_vocabulary = words - int(sums["out-of-vocabulary"])
    metrics: dict[str, Any] = {
        "perplexity": exp(min(float(sums["loss-sum"]) / int(sums["tokens"]), 700.0)),
        "tokens": int(sums["tokens"]),
        "word-positions": words,
    }
    if words:
        metrics["oov-rate"] = int(sums["out-of-vocabulary"]) / words
    if in_vocabulary:
        metrics["top1-recall"] = int(sums["top1-hits"]) / in_vocabulary
        metrics["top3-recall"] = int(sums["top3-hits"]) / in_vocabulary
    if sums["tokens"]:
        metrics["impression-recall"] = int(sums["top3-hits"]) / int(sums["tokens"])
    if sums.get("characters"):
        metrics["keystroke-savings"] = 1 - int(sums["keystrokes"]) / int(sums["characters"])
    metrics |= {name: sums[name].tolist() for name in _BY_POSITION if name in sums}
    return MetricRecord(metrics)


def as_list(value: Any) -> list:
    """A metric as a list; Flower gives single numbers bare."""
    return list(value) if isinstance(value, list) else [value]
