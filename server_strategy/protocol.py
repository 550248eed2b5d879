"""What a server and its hosts say to each other: the only place that knows the words of the wire.

A host trains and measures many phones. It gets one message for its share of them and answers with one. In Flower's
records:

    train:    in   arrays    the weights that the phones begin from
                   config    phone-ids      [phones]
                             server-round   in which these phones began; with a buffer an earlier one
                             clip-norm      L2 bound of an update
                             clip-scope     `update`, or `layer`: each of m layers to clip-norm / sqrt(m)
                             longest-norm   before clipping, above which an update counts as zeros; may be missing
                             update-weight  in (0, 1], what a clipped update counts; below 1 if it is stale
                             opened-s       simulated time at which the phones began, where text slides with it; else
                                            missing
                             aggregation-protocol  `arithmetic` or `secagg`, if the answer is to be a
                                            `protocol_of_sums.SummedReply`
              out  update-sum  one int64 array [num_weights], see `update_sum.FixedPointSum.values`
                   metrics   phone-ids      [reported], phones in the sum; the next three are in this order
                             update-norm    of each update before it was clipped
                             loss-sum       in nats, over the phone's tokens, before each step
                             tokens         trained on
                             rejected-ids   phones whose update was not finite
                             failed-ids     phones whose training raised; may be missing
                   failures  causes         a text for each of failed-ids; may be missing with them
                   profile   where the host's time went, see `HostProfile`; only if asked for

    evaluate: in   arrays    the weights to measure
                   config    phone-ids      [phones]
                             unit-sizes     so many of the ids, in order, may be computed together; the units are the
                                            same for any number of hosts, so that the last bits are
              out  metrics   phone-ids      [phones]
                             any further    counts of each phone, to be added up over the phones: a list of integers
                                            or floats, one for each phone, or equally many for each, phone by phone

A config also has whatever the caller of the strategy's `configure_train` and `configure_evaluate` passed on:

                             host-task      what a simulated host needs to know of its run
                             profile        whether to answer with a profile

Lists of one number may come bare, since Flower's users write them so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.record_reader import ProtocolError, RecordReader, record_of
from server_strategy.shard_reply import HostProfile as HostProfile
from server_strategy.shard_reply import Ids as Ids
from server_strategy.shard_reply import ShardReply, read_reply
from server_strategy.shard_reply import require_asked as require_asked
from typefleet.errors import expected

_ARRAYS, _CONFIG, _METRICS = "arrays", "config", "metrics"
_PHONES, _ROUND, _CLIP_NORM, _CLIP_SCOPE, _WEIGHT = (
    *("phone-ids", "server-round", "clip-norm", "clip-scope", "update-weight"),
)
_LONGEST = "longest-norm"
_NORM, _LOSS_SUM, _TOKENS = "update-norm", "loss-sum", "tokens"
_UNIT_SIZES, _TASK, _WANTS_PROFILE = "unit-sizes", "host-task", "profile"
_AGGREGATION, _EACH, _OPENED = "aggregation-protocol", "none", "opened-s"
_TEXT_KEY = "text-key"

Counts: TypeAlias = Mapping[str, NDArray[Any]]  # [phones] or [phones, n] each, int64 or float64


@dataclass(frozen=True)
class Briefing:
    """What the caller of the strategy tells every host besides; the strategy passes it on unread.

    Attributes:
        task: what a simulated host needs to know of its run; empty for hosts of another app.
        profile: whether hosts answer with a `HostProfile`.
        text_key: of the tokenised text on disk, where it is encrypted; empty where it is not.
        own: keys of the caller's own app.
    """

    task: str = ""
    profile: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)
    text_key: bytes = field(default=b"", repr=False)

    def to_config(self) -> ConfigRecord:
        """Inverse of `from_config`; says nothing of what is as by default."""
        config = ConfigRecord(dict(self.own))
        if self.task:
            config[_TASK] = self.task
        if self.profile:
            config[_WANTS_PROFILE] = True
        if self.text_key:
            config[_TEXT_KEY] = self.text_key
        return config

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "Briefing":
        """Read a config record, such as the one that a strategy is given."""
        of_requests = (_PHONES, _ROUND, _CLIP_NORM, _CLIP_SCOPE, _WEIGHT, _UNIT_SIZES, _AGGREGATION, _LONGEST, _OPENED)
        ours = {*of_requests, _TASK, _WANTS_PROFILE, _TEXT_KEY}
        key = config.get(_TEXT_KEY, b"")
        text_key = key if isinstance(key, bytes) else b""
        own = {key: value for key, value in config.items() if key not in ours}
        return Briefing(str(config.get(_TASK, "")), bool(config.get(_WANTS_PROFILE, False)), own, text_key)


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """Train these phones; see the module docstring."""

    arrays: ArrayRecord
    phones: Ids
    server_round: int
    clip_norm: float
    clip_scope: str
    update_weight: float = 1.0
    aggregation: str = _EACH  # the answer tells of each phone; else only sums
    longest_norm: float | None = None  # before clipping; a longer update counts as zeros
    opened_s: float = 0.0  # simulated time, where it decides what a phone still keeps
    briefing: Briefing = field(default_factory=Briefing)

    def to_content(self) -> RecordDict:
        """Inverse of `from_content`."""
        said = {
            _PHONES: self.phones.tolist(),
            _ROUND: self.server_round,
            _CLIP_NORM: self.clip_norm,
            _CLIP_SCOPE: self.clip_scope,
            _WEIGHT: self.update_weight,
            **({} if self.aggregation == _EACH else {_AGGREGATION: self.aggregation}),
            **({} if self.longest_norm is None else {_LONGEST: self.longest_norm}),
            **({_OPENED: self.opened_s} if self.opened_s else {}),
        }
        return RecordDict({_ARRAYS: self.arrays, _CONFIG: ConfigRecord({**self.briefing.to_config(), **said})})

    @staticmethod
    def from_content(content: RecordDict) -> "TrainRequest":
        """Read what a host was sent.

        Raises:
            ProtocolError: it is not of this form.
        """
        arrays, config = _opened(content)
        return TrainRequest(
            arrays=arrays,
            phones=config.integers(_PHONES),
            server_round=config.integer(_ROUND),
            clip_norm=config.number(_CLIP_NORM),
            clip_scope=config.text(_CLIP_SCOPE, "update"),
            update_weight=config.number(_WEIGHT, 1.0),
            aggregation=config.text(_AGGREGATION, _EACH),
            longest_norm=config.number(_LONGEST) if _LONGEST in config.record else None,
            opened_s=config.number(_OPENED, 0.0),
            briefing=Briefing.from_config(config.record),
        )


@dataclass(frozen=True, kw_only=True)
class TrainReply(ShardReply):
    """What a host's share of a round came to; see the module docstring."""

    update_sum: NDArray[np.int64]  # [num_weights]
    norms: NDArray[np.float64]  # [reported], as the next two, in the order of `phones`
    loss_sums: NDArray[np.float64]
    tokens: NDArray[np.int64]

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        each = {_NORM: self.norms.tolist(), _LOSS_SUM: self.loss_sums.tolist(), _TOKENS: self.tokens.tolist()}
        return self.content_with(self.update_sum, each)

    @staticmethod
    def from_message(reply: Message, asked: Ids, num_weights: int) -> "TrainReply":
        """Read an answer.

        Args:
            reply: without an error.
            asked: ids of all phones that may be in it.
            num_weights: of the model.

        Raises:
            ProtocolError: it is not of this form, or names a phone that was not asked.
        """
        read = read_reply(reply, asked, num_weights)
        metrics, reported = read.metrics, len(read.said["phones"])
        return TrainReply(
            **read.said,
            update_sum=read.total,
            norms=metrics.numbers(_NORM, reported),
            loss_sums=metrics.numbers(_LOSS_SUM, reported),
            tokens=metrics.integers(_TOKENS, reported),
        )


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """Measure these phones; see the module docstring."""

    arrays: ArrayRecord
    phones: Ids
    unit_sizes: Ids
    briefing: Briefing = field(default_factory=Briefing)

    def to_content(self) -> RecordDict:
        """Inverse of `from_content`."""
        said = {_PHONES: self.phones.tolist(), _UNIT_SIZES: self.unit_sizes.tolist()}
        return RecordDict({_ARRAYS: self.arrays, _CONFIG: ConfigRecord({**self.briefing.to_config(), **said})})

    @staticmethod
    def from_content(content: RecordDict) -> "EvaluateRequest":
        """Read what a host was sent.

        Raises:
            ProtocolError: it is not of this form.
        """
        arrays, config = _opened(content)
        request = EvaluateRequest(
            arrays=arrays,
            phones=config.integers(_PHONES),
            unit_sizes=config.integers(_UNIT_SIZES),
            briefing=Briefing.from_config(config.record),
        )
        if request.unit_sizes.sum() != len(request.phones) or (request.unit_sizes < 1).any():
            units = f"{_UNIT_SIZES} that add up to the {len(request.phones)} phones"
            raise ProtocolError(expected(config.where, units, request.unit_sizes.tolist()))
        return request

    def units(self) -> list[Ids]:
        """The phones that may be computed together."""
        return np.split(self.phones, np.cumsum(self.unit_sizes)[:-1])


@dataclass(frozen=True, kw_only=True)
class EvaluateReply:
    """Counts of each phone; see the module docstring."""

    phones: Ids
    counts: Counts

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        lists = {name: np.asarray(values).ravel().tolist() for name, values in self.counts.items()}
        return RecordDict({_METRICS: MetricRecord({_PHONES: self.phones.tolist(), **lists})})

    @staticmethod
    def from_message(reply: Message, asked: Ids) -> "EvaluateReply":
        """Read an answer.

        Args:
            reply: without an error.
            asked: ids of all phones that may be in it.

        Raises:
            ProtocolError: it is not of this form, or names a phone that was not asked.
        """
        where = f"answer of node {reply.metadata.src_node_id} to evaluate"
        metrics = RecordReader(where, record_of(reply.content, MetricRecord, _METRICS, where))
        phones = metrics.integers(_PHONES)
        require_asked(where, phones, asked)
        counts = {name: metrics.of_each(name, len(phones)) for name in metrics.record if name != _PHONES}
        return EvaluateReply(phones=phones, counts=counts)


def _opened(content: RecordDict) -> tuple[ArrayRecord, RecordReader]:
    """The weights and the config of a request."""
    where = "message to a host"
    arrays: ArrayRecord = record_of(content, ArrayRecord, _ARRAYS, where)
    return arrays, RecordReader(where, record_of(content, ConfigRecord, _CONFIG, where))
