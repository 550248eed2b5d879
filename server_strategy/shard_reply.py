"""What every answer of a host to a request to train says: its sum, who is in it and who is not, where its time went.

`protocol` and `protocol_of_sums` have the answers themselves, and describe them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.plain_arrays import plain_record
from server_strategy.record_reader import ProtocolError, RecordReader, as_list, found_record, record_of
from typefleet.errors import expected

_UPDATE_SUM, _METRICS, _FAILURES, _PROFILE = "update-sum", "metrics", "failures", "profile"
_PHONES, _REJECTED, _FAILED, _CAUSES = "phone-ids", "rejected-ids", "failed-ids", "causes"

Ids: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class HostProfile:
    """Where a host's time went with one message; seconds, of wall time unless it says otherwise."""

    decode_s: float
    read_s: float
    train_s: float
    clip_and_sum_s: float
    message_s: float  # all of it, what lies between the phases included
    cpu_s: float  # processor time
    peak_rss_bytes: int  # of the worker process, since it started
    worker: int  # which process that is

    def to_record(self) -> MetricRecord:
        """The profile as it stands in an answer; inverse of `from_content`."""
        return MetricRecord({_on_the_wire(name): value for name, value in asdict(self).items()})

    @staticmethod
    def from_content(content: RecordDict) -> "HostProfile | None":
        """The profile in an answer; None if there is none.

        Raises:
            ProtocolError: it is not of this form.
        """
        record = found_record(content, MetricRecord, _PROFILE)
        if record is None:
            return None
        found = RecordReader(f"record {_PROFILE} of a host's answer", record)
        seconds = {f.name: found.number(_on_the_wire(f.name)) for f in fields(HostProfile) if f.type is float}
        return HostProfile(
            **seconds,
            peak_rss_bytes=found.integer(_on_the_wire("peak_rss_bytes")),
            worker=found.integer(_on_the_wire("worker")),
        )


@dataclass(frozen=True, kw_only=True)
class ShardReply:
    """Who is in a host's share of a round, and who is not."""

    phones: Ids  # [reported], in the sum
    rejected: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failed: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failure_causes: tuple[str, ...] = ()  # one for each of `failed`
    profile: HostProfile | None = None

    def content_with(self, total: NDArray[np.int64], of_each: Mapping[str, list[Any]]) -> RecordDict:
        """The answer of a host, with its sum.

        Args:
            total: the sum.
            of_each: further lists, with an entry for each of `phones`.
        """
        metrics = {
            _PHONES: self.phones.tolist(),
            **of_each,
            _REJECTED: self.rejected.tolist(),
            _FAILED: self.failed.tolist(),
        }
        content = RecordDict({_UPDATE_SUM: plain_record({"0": total}), _METRICS: MetricRecord(metrics)})
        content[_FAILURES] = ConfigRecord({_CAUSES: list(self.failure_causes)})
        if self.profile is not None:
            content[_PROFILE] = self.profile.to_record()
        return content


@dataclass(frozen=True)
class ReadReply:
    """A host's answer to a request to train, as far as every kind of it goes.

    Attributes:
        metrics: with the lists that stand beside it.
        total: int64 [length].
        said: the values of a `ShardReply`, by name.
    """

    metrics: RecordReader
    total: NDArray[np.int64]
    said: Mapping[str, Any]


def read_reply(reply: Message, asked: Ids, length: int) -> ReadReply:
    """Read an answer.

    Args:
        reply: without an error.
        asked: ids of all phones that may be in it.
        length: of the sum.

    Raises:
        ProtocolError: it is not of this form, or names a phone that was not asked.
    """
    where = f"answer of node {reply.metadata.src_node_id} to train"
    metrics = RecordReader(where, record_of(reply.content, MetricRecord, _METRICS, where))
    phones = metrics.integers(_PHONES)
    total = _sum_of(reply.content, where, length)
    rejected, failed = metrics.integers(_REJECTED, missing=()), metrics.integers(_FAILED, missing=())
    said = {
        "phones": phones,
        "rejected": rejected,
        "failed": failed,
        "failure_causes": _causes_of(reply.content, where, len(failed)),
        "profile": HostProfile.from_content(reply.content),
    }
    require_asked(where, np.concatenate([phones, rejected, failed]), asked)
    return ReadReply(metrics, total, said)


def phones_named(reply: Message) -> Ids:
    """All phones that an answer names, before anything else of it is read: int64 [n].

    Args:
        reply: without an error.

    Raises:
        ProtocolError: it has no lists of phones.
    """
    where = f"answer of node {reply.metadata.src_node_id} to train"
    metrics = RecordReader(where, record_of(reply.content, MetricRecord, _METRICS, where))
    others = (metrics.integers(name, missing=()) for name in (_REJECTED, _FAILED))
    return np.concatenate([metrics.integers(_PHONES), *others])


def require_asked(where: str, found: Ids, asked: Ids) -> None:
    """Refuse phones that were not asked, or that are named more than once.

    Raises:
        ProtocolError: there is one.
    """
    unknown = found[~np.isin(found, asked)]
    if len(unknown):
        raise ProtocolError(expected(where, "only phones that were asked", f"phone {unknown[0]}"))
    named, times = np.unique(found, return_counts=True)
    if (times > 1).any():
        raise ProtocolError(expected(where, "each phone at most once", f"phone {named[times > 1][0]} again"))


def _on_the_wire(name: str) -> str:
    return name.replace("_", "-")


def _sum_of(content: RecordDict, where: str, length: int) -> NDArray[np.int64]:
    """The one array of an answer: int64 [length]."""
    arrays = record_of(content, ArrayRecord, _UPDATE_SUM, where).to_numpy_ndarrays()
    if len(arrays) != 1 or arrays[0].dtype != np.int64 or arrays[0].shape != (length,):
        found = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays) or "no array"
        raise ProtocolError(expected(where, f"{_UPDATE_SUM} to be one array int64 [{length}]", found))
    values: NDArray[np.int64] = arrays[0]
    return values


def _causes_of(content: RecordDict, where: str, failures: int) -> tuple[str, ...]:
    """Why each of the phones failed that an answer says did."""
    record = found_record(content, ConfigRecord, _FAILURES) or ConfigRecord()
    causes = as_list(record.get(_CAUSES, []))
    if len(causes) != failures or not all(isinstance(cause, str) for cause in causes):
        texts = f"{_CAUSES} to be {failures} texts, one for each of {_FAILED}"
        raise ProtocolError(expected(where, texts, f"{len(causes)} values"))
    return tuple(causes)
