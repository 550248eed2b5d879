"""What the hosts' answers to one round of training add up to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from logging import WARNING, getLogger

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from server_strategy.protocol import TrainReply, require_asked

_LOG = getLogger("typefleet")


@dataclass(frozen=True, kw_only=True)
class RoundReplies:
    """Answers of all hosts, joined; nothing in it depends on how phones were sharded."""

    total: NDArray[np.int64]  # [num_weights], the exact sum of the clipped updates
    reported: NDArray[np.int64]  # phones in the sum, sorted; the next three are in this order
    norms: NDArray[np.float64]  # of the updates before clipping
    loss_sums: NDArray[np.float64]
    tokens: NDArray[np.int64]
    rejected: NDArray[np.int64]  # phones whose update was not finite, sorted
    failed: NDArray[np.int64]  # phones whose training raised, sorted
    failure_causes: tuple[str, ...]  # one for each of `failed`

    @property
    def participants(self) -> NDArray[np.int64]:
        """All phones that count as having taken part.

        A rejected or failed phone added nothing to the sum but is counted, on the conservative side.
        """
        return np.concatenate([self.reported, self.rejected, self.failed])


def join_replies(replies: Iterable[Message], reporters: NDArray[np.int64], num_weights: int) -> RoundReplies:
    """Add up the sums and join the lists; a host that failed is logged, and its phones are missing.

    Raises:
        ProtocolError: an answer is malformed, or a phone reported twice or was not asked.
    """
    total, none = np.zeros(num_weights, np.int64), np.zeros(0, np.int64)
    answers: list[TrainReply] = []
    for reply in replies:
        if reply.has_error():
            _LOG.log(WARNING, "a host failed, its phones count as lost: %s", reply.error.reason)
            continue
        answer = TrainReply.from_message(reply, reporters, num_weights)
        total += answer.update_sum
        answers.append(replace(answer, update_sum=none))  # as large as the model: not kept for each answer
    phones = np.concatenate([none, *(a.phones for a in answers)])
    rejected = np.concatenate([none, *(a.rejected for a in answers)])
    causes = {int(p): cause for a in answers for p, cause in zip(a.failed, a.failure_causes, strict=True)}
    failed = np.concatenate([none, *(a.failed for a in answers)])
    require_asked("answers to train", np.concatenate([phones, rejected, failed]), reporters)
    order, failed = np.argsort(phones), np.sort(failed)
    return RoundReplies(
        total=total,
        reported=phones[order],
        norms=np.concatenate([np.zeros(0), *(a.norms for a in answers)])[order],
        loss_sums=np.concatenate([np.zeros(0), *(a.loss_sums for a in answers)])[order],
        tokens=np.concatenate([none, *(a.tokens for a in answers)])[order],
        rejected=np.sort(rejected),
        failed=failed,
        failure_causes=tuple(causes[phone] for phone in failed.tolist()),
    )
