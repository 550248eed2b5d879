"""What a server and its hosts say to each other: the only place that knows the words of the wire.

A host trains and measures many phones. It gets one message for its share of them and answers with one. In Flower's
records:

    train:    in   arrays    the weights that the phones begin from
                   config    phone-ids      [phones]
                             server-round   in which these phones began; with a buffer an earlier one
                             clip-norm      L2 bound of an update
                             clip-scope     `update`, or `layer`: each of m layers to clip-norm / sqrt(m)
                             update-weight  in (0, 1], what a clipped update counts; below 1 if it is stale
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
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.record_reader import ProtocolError, RecordReader, as_list, record_of
from typefleet.errors import expected

_ARRAYS, _CONFIG, _METRICS, _UPDATE_SUM, _FAILURES, _PROFILE = (
    *("arrays", "config", "metrics", "update-sum", "failures", "profile"),
)
_PHONES, _ROUND, _CLIP_NORM, _CLIP_SCOPE, _WEIGHT = (
    *("phone-ids", "server-round", "clip-norm", "clip-scope", "update-weight"),
)
_NORM, _LOSS_SUM, _TOKENS, _REJECTED, _FAILED, _CAUSES = (
    *("update-norm", "loss-sum", "tokens", "rejected-ids", "failed-ids", "causes"),
)
_UNIT_SIZES, _TASK, _WANTS_PROFILE = "unit-sizes", "host-task", "profile"
_AGGREGATION, _EACH = "aggregation-protocol", "none"

Ids: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = Mapping[str, NDArray[Any]]  # [phones] or [phones, n] each, int64 or float64


@dataclass(frozen=True)
class Briefing:
    """What the caller of the strategy tells every host besides; the strategy passes it on unread.

    Attributes:
        task: what a simulated host needs to know of its run; empty for hosts of another app.
        profile: whether hosts answer with a `HostProfile`.
        own: keys of the caller's own app.
    """

    task: str = ""
    profile: bool = False
    own: Mapping[str, Any] = field(default_factory=dict)

    def to_config(self) -> ConfigRecord:
        """Inverse of `from_config`; says nothing of what is as by default."""
        config = ConfigRecord(dict(self.own))
        if self.task:
            config[_TASK] = self.task
        if self.profile:
            config[_WANTS_PROFILE] = True
        return config

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "Briefing":
        """Read a config record, such as the one that a strategy is given."""
        ours = (_PHONES, _ROUND, _CLIP_NORM, _CLIP_SCOPE, _WEIGHT, _UNIT_SIZES, _TASK, _WANTS_PROFILE, _AGGREGATION)
        own = {key: value for key, value in config.items() if key not in ours}
        return Briefing(str(config.get(_TASK, "")), bool(config.get(_WANTS_PROFILE, False)), own)


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
            briefing=Briefing.from_config(config.record),
        )


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

    @staticmethod
    def from_content(content: RecordDict) -> "HostProfile | None":
        """The profile in an answer; None if there is none.

        Raises:
            ProtocolError: it is not of this form.
        """
        if _PROFILE not in content.metric_records:
            return None
        found = RecordReader(f"record {_PROFILE} of a host's answer", content.metric_records[_PROFILE])
        seconds = {f.name: found.number(_on_the_wire(f.name)) for f in fields(HostProfile) if f.type is float}
        return HostProfile(
            **seconds,
            peak_rss_bytes=found.integer(_on_the_wire("peak_rss_bytes")),
            worker=found.integer(_on_the_wire("worker")),
        )


@dataclass(frozen=True, kw_only=True)
class TrainReply:
    """What a host's share of a round came to; see the module docstring."""

    update_sum: NDArray[np.int64]  # [num_weights]
    phones: Ids  # [reported]; the next three are in this order
    norms: NDArray[np.float64]
    loss_sums: NDArray[np.float64]
    tokens: NDArray[np.int64]
    rejected: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failed: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failure_causes: tuple[str, ...] = ()  # one for each of `failed`
    profile: HostProfile | None = None

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        metrics = {
            _PHONES: self.phones.tolist(),
            _NORM: self.norms.tolist(),
            _LOSS_SUM: self.loss_sums.tolist(),
            _TOKENS: self.tokens.tolist(),
            _REJECTED: self.rejected.tolist(),
            _FAILED: self.failed.tolist(),
        }
        content = RecordDict({_UPDATE_SUM: ArrayRecord([self.update_sum]), _METRICS: MetricRecord(metrics)})
        content[_FAILURES] = ConfigRecord({_CAUSES: list(self.failure_causes)})
        if self.profile is not None:
            content[_PROFILE] = MetricRecord({_on_the_wire(name): v for name, v in asdict(self.profile).items()})
        return content

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
        where = f"answer of node {reply.metadata.src_node_id} to train"
        metrics = RecordReader(where, record_of(reply.content.metric_records, _METRICS, where))
        phones = metrics.integers(_PHONES)
        failed = metrics.integers(_FAILED, missing=())
        found = TrainReply(
            update_sum=update_sum_of(reply.content, where, num_weights),
            phones=phones,
            norms=metrics.numbers(_NORM, len(phones)),
            loss_sums=metrics.numbers(_LOSS_SUM, len(phones)),
            tokens=metrics.integers(_TOKENS, len(phones)),
            rejected=metrics.integers(_REJECTED, missing=()),
            failed=failed,
            failure_causes=causes_of(reply.content, where, len(failed)),
            profile=HostProfile.from_content(reply.content),
        )
        require_asked(where, np.concatenate([found.phones, found.rejected, found.failed]), asked)
        return found


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
        metrics = RecordReader(where, record_of(reply.content.metric_records, _METRICS, where))
        phones = metrics.integers(_PHONES)
        require_asked(where, phones, asked)
        counts = {name: metrics.of_each(name, len(phones)) for name in metrics.record if name != _PHONES}
        return EvaluateReply(phones=phones, counts=counts)


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


def _opened(content: RecordDict) -> tuple[ArrayRecord, RecordReader]:
    """The weights and the config of a request."""
    where = "message to a host"
    arrays: ArrayRecord = record_of(content.array_records, _ARRAYS, where)
    return arrays, RecordReader(where, record_of(content.config_records, _CONFIG, where))


def update_sum_of(content: RecordDict, where: str, num_weights: int) -> NDArray[np.int64]:
    """The one array of an answer to train, int64 [num_weights].

    Raises:
        ProtocolError: there is another.
    """
    arrays = record_of(content.array_records, _UPDATE_SUM, where).to_numpy_ndarrays()
    if len(arrays) != 1 or arrays[0].dtype != np.int64 or arrays[0].shape != (num_weights,):
        found = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays) or "no array"
        raise ProtocolError(expected(where, f"{_UPDATE_SUM} to be one array int64 [{num_weights}]", found))
    values: NDArray[np.int64] = arrays[0]
    return values


def causes_of(content: RecordDict, where: str, failures: int) -> tuple[str, ...]:
    """Why each of the phones failed that an answer says did.

    Raises:
        ProtocolError: not as many causes as failures.
    """
    record = content.config_records.get(_FAILURES, ConfigRecord())
    causes = as_list(record.get(_CAUSES, []))
    if len(causes) != failures or not all(isinstance(cause, str) for cause in causes):
        texts = f"{_CAUSES} to be {failures} texts, one for each of {_FAILED}"
        raise ProtocolError(expected(where, texts, f"{len(causes)} values"))
    return tuple(causes)
