"""Held-out phones: how they are dealt out to the hosts, and how their counts become one measurement.

The last bits of a matrix product may depend on its size. So the phones are scored in fixed units of a
few, which are the same for any number of nodes, and counts are added up in the order of the ids.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from logging import WARNING, getLogger
from typing import Any, TypeAlias

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.cohorts import balanced_shards
from server_strategy.protocol import Briefing, Counts, EvaluateReply, EvaluateRequest, Ids, require_asked
from server_strategy.record_reader import ProtocolError
from server_strategy.state import State, branch, leaf, leaves_of
from typefleet.errors import expected

_LOG = getLogger("typefleet")

Metrics: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, float]]

EVALUATION_UNIT = 8  # held-out phones that are scored together


def evaluation_shards(phones: Ids, num_nodes: int) -> list[tuple[Ids, Ids]]:
    """(phones, sizes of their units) for each message; a unit is never split."""
    phones = np.sort(phones)
    units = np.split(phones, np.arange(EVALUATION_UNIT, len(phones), EVALUATION_UNIT))
    sizes = np.array([len(unit) for unit in units], np.int64)
    return [
        (np.concatenate([units[u] for u in shard]), sizes[shard])
        for shard in balanced_shards(np.arange(len(units)), sizes, num_nodes)
    ]


@dataclass(frozen=True)
class PhoneCounts:
    """What was counted on each held-out phone."""

    phones: Ids  # sorted
    counts: Counts  # in the order of the phones

    def of(self, chosen: NDArray[np.bool_]) -> "PhoneCounts":
        """Some of the phones, by a mask [phones]."""
        return PhoneCounts(self.phones[chosen], {name: values[chosen] for name, values in self.counts.items()})

    def sums(self) -> dict[str, NDArray[Any]]:
        """Over all phones: a number for each count, or [n] for one of n numbers a phone."""
        return {name: values.sum(0) for name, values in self.counts.items()}


def counts_of_phones(replies: Iterable[Message], asked: Ids) -> PhoneCounts:
    """The counts of each phone, joined over the replies; of a count that not every reply has, nothing.

    Args:
        replies: without errors.
        asked: all held-out phones.

    Raises:
        ProtocolError: a reply is malformed, or a phone is in two of them or was not asked.
    """
    answers = [EvaluateReply.from_message(reply, asked) for reply in replies]
    phones = np.concatenate([np.zeros(0, np.int64), *(answer.phones for answer in answers)])
    require_asked("answers to evaluate", phones, asked)
    order = np.argsort(phones)
    first, *others = answers or [EvaluateReply(phones=phones, counts={})]
    names = [name for name in first.counts if all(name in other.counts for other in others)]
    return PhoneCounts(phones[order], {name: _joined(name, answers)[order] for name in names})


def _joined(name: str, answers: list[EvaluateReply]) -> NDArray[Any]:
    columns = [answer.counts[name] for answer in answers]
    if len({column.shape[1:] for column in columns}) > 1:
        numbers = " and ".join(sorted({str(column[0].size) for column in columns}))
        raise ProtocolError(expected("answers to evaluate", f"as many {name} of each phone in all of them", numbers))
    return np.concatenate(columns)


def pooled_record(evaluation: PhoneCounts, metrics: Metrics | None) -> MetricRecord | None:
    """The counts over all phones, and what they say; None without any phone.

    Args:
        evaluation: what was counted.
        metrics: makes further values of the counts, by name; none if None. What the counts mean is not this package's.
    """
    if not len(evaluation.phones):
        return None
    sums = evaluation.sums()
    values = {} if metrics is None else metrics(sums)
    return MetricRecord({**{name: value.tolist() for name, value in sums.items()}, **values})


class HeldOutEvaluation:
    """The held-out phones of a strategy: what they are asked, and what they answered last.

    Attributes:
        phones: int64 [held-out phones]; empty: nobody is asked.
        every: releases from one evaluation to the next.
        last: what was counted; None: nothing yet.
    """

    def __init__(self, phones: NDArray[np.int64] | None, every: int, metrics: Metrics | None) -> None:
        self.phones = np.zeros(0, np.int64) if phones is None else phones
        self.every, self._metrics = every, metrics
        self.last: PhoneCounts | None = None

    def contents(self, arrays: ArrayRecord, briefing: Briefing, num_nodes: int) -> list[RecordDict]:
        """What a message to each node asks of its share of the phones."""
        return [
            EvaluateRequest(arrays=arrays, phones=phones, unit_sizes=sizes, briefing=briefing).to_content()
            for phones, sizes in evaluation_shards(self.phones, num_nodes)
        ]

    def pooled(self, replies: Iterable[Message]) -> MetricRecord | None:
        """Add the phones' counts up; None if a host failed, or no phone answered."""
        replies = list(replies)
        for reply in replies:
            if reply.has_error():
                _LOG.log(WARNING, "a host failed to evaluate: %s", reply.error.reason)
                return None  # a value over some of the phones would not be comparable
        self.last = counts_of_phones(replies, self.phones)
        return pooled_record(self.last, self._metrics)

    def state(self) -> State:
        """What a checkpoint keeps of the last evaluation."""
        return {} if self.last is None else {"phones": self.last.phones, "counts": self.last.counts}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.last = PhoneCounts(leaf(state, "phones"), leaves_of(branch(state, "counts"))) if state else None
