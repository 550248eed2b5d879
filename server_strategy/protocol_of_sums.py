"""What hosts answer where the server is to learn sums alone; beside `protocol`, whose words these are.

    train:    out  update-sum  one int64 array [num_weights + 4], the sum of the phones' vectors modulo 2^64, see
                             `aggregation.vector`; under secagg each phone has masked its own before it was added
                   metrics   phone-ids      [reported], phones in the sum
                             rejected-ids   phones that left themselves out, since their update was not finite
                             failed-ids     phones whose training raised; may be missing
                   failures  causes         a text for each of failed-ids; may be missing with them
                   profile   where the host's time went; only if asked for

There is no number of a single phone in it.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from server_strategy.aggregation.vector import TAIL
from server_strategy.protocol import HostProfile, Ids, causes_of, require_asked, update_sum_of
from server_strategy.record_reader import RecordReader, record_of

_SUM, _METRICS, _FAILURES, _PROFILE = "update-sum", "metrics", "failures", "profile"
_PHONES, _REJECTED, _FAILED, _CAUSES = "phone-ids", "rejected-ids", "failed-ids", "causes"


@dataclass(frozen=True, kw_only=True)
class SummedReply:
    """What a host's share of a round came to, without a number of any phone; see the module docstring."""

    total: NDArray[np.int64]  # [num_weights + TAIL], modulo 2^64
    phones: Ids  # [reported]
    rejected: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failed: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    failure_causes: tuple[str, ...] = ()  # one for each of `failed`
    profile: HostProfile | None = None

    def to_content(self) -> RecordDict:
        """Inverse of `from_message`."""
        ids = {_PHONES: self.phones.tolist(), _REJECTED: self.rejected.tolist(), _FAILED: self.failed.tolist()}
        content = RecordDict({_SUM: ArrayRecord([self.total]), _METRICS: MetricRecord({**ids})})
        content[_FAILURES] = ConfigRecord({_CAUSES: list(self.failure_causes)})
        if self.profile is not None:
            times = {name.replace("_", "-"): value for name, value in asdict(self.profile).items()}
            content[_PROFILE] = MetricRecord(times)
        return content

    @staticmethod
    def from_message(reply: Message, asked: Ids, num_weights: int) -> "SummedReply":
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
        failed = metrics.integers(_FAILED, missing=())
        found = SummedReply(
            total=update_sum_of(reply.content, where, num_weights + TAIL),
            phones=metrics.integers(_PHONES),
            rejected=metrics.integers(_REJECTED, missing=()),
            failed=failed,
            failure_causes=causes_of(reply.content, where, len(failed)),
            profile=HostProfile.from_content(reply.content),
        )
        require_asked(where, np.concatenate([found.phones, found.rejected, found.failed]), asked)
        return found
