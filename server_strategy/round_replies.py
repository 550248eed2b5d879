"""What the hosts' answers to one round of training add up to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from logging import WARNING, getLogger

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregation.vector import UpdateTotals, read_sum
from server_strategy.privacy.distributed_noise.vectors_digest import added_digests
from server_strategy.protocol import TrainReply, require_asked
from server_strategy.protocol_of_sums import SummedReply

_LOG = getLogger("typefleet")


@dataclass(frozen=True, kw_only=True)
class RoundReplies:
    """Answers of all hosts, joined; nothing in it depends on how phones were sharded."""

    total: NDArray[np.int64]  # [num_weights], the exact sum of the clipped updates; [numbers] of noised vectors
    reported: NDArray[np.int64]  # phones in the sum, sorted; the next three are in this order
    norms: NDArray[np.float64]  # of the updates before clipping; the three are empty where only sums are told
    loss_sums: NDArray[np.float64]
    tokens: NDArray[np.int64]
    rejected: NDArray[np.int64]  # phones whose update was not finite, sorted
    failed: NDArray[np.int64]  # phones whose training raised, sorted
    failure_causes: tuple[str, ...]  # one for each of `failed`
    sums: UpdateTotals | None = None  # in the place of the three lists, where only sums are told
    noised: NDArray[np.float64] | None = None  # [num_weights], over the clip norm, where phones have added the noise
    wrapped: int | None = None  # coordinates of such a sum that are not read as what they are, if it is known
    vectors_digest: str | None = None  # of the vectors of such a sum, 64 hexadecimal digits
    left_out: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # whose bucket has no sum, sorted
    stayed_hidden: bool = False  # the sum was about to be learnt, and can be by nobody any more
    not_summed: str | None = None  # why `total` is no sum, where the protocol failed

    @property
    def participants(self) -> NDArray[np.int64]:
        """All phones that count as having taken part.

        A phone that was rejected, failed or left out added nothing to the sum but is counted, on the conservative side.
        """
        return np.concatenate([self.reported, self.rejected, self.failed, self.left_out])

    def too_few(self, least: float, *, asked: int) -> str | None:
        """Why there is no release of so few updates; None if they are enough.

        Args:
            least: updates.
            asked: phones whose reports the round was planned with.
        """
        if len(self.reported) >= least:
            return None
        causes = f"; phones failed with {self.failure_causes[0]}" if self.failure_causes else ""
        return f"{len(self.reported)} usable updates of {asked} reports{causes}"

    def totals(self, clip_norm: float) -> UpdateTotals:
        """What goes with the sum, over all of its phones.

        Args:
            clip_norm: of the round.
        """
        if self.sums is not None:
            return self.sums
        below = int((self.norms <= clip_norm).sum())
        return UpdateTotals(below, int(self.tokens.sum()), float(self.loss_sums.sum()), float(self.norms.sum()))


def join_replies(
    replies: Iterable[Message],
    reporters: NDArray[np.int64],
    num_weights: int,
    seen: Callable[[TrainReply], None] | None = None,
) -> RoundReplies:
    """Add up the sums and join the lists; a host that failed is logged, and its phones are missing.

    Args:
        replies: of the hosts.
        reporters: phones that were asked.
        num_weights: of the model.
        seen: is shown each answer with its sum, before that is added and let go of.

    Raises:
        ProtocolError: an answer is malformed, or a phone reported twice or was not asked.
    """
    total, none = np.zeros(num_weights, np.int64), np.zeros(0, np.int64)
    answers: list[TrainReply] = []
    for reply in without_failed_hosts(replies):
        answer = TrainReply.from_message(reply, reporters, num_weights)
        if seen is not None:
            seen(answer)
        total += answer.update_sum
        answers.append(replace(answer, update_sum=none))  # as large as the model: not kept for each answer
        del reply, answer
    joined = _joined(answers, total, reporters)
    order = np.argsort(np.concatenate([none, *(a.phones for a in answers)]))
    return replace(
        joined,
        norms=np.concatenate([np.zeros(0), *(a.norms for a in answers)])[order],
        loss_sums=np.concatenate([np.zeros(0), *(a.loss_sums for a in answers)])[order],
        tokens=np.concatenate([none, *(a.tokens for a in answers)])[order],
    )


def join_summed_replies(replies: Iterable[Message], reporters: NDArray[np.int64], length: int) -> RoundReplies:
    """Add up sums of phones' vectors modulo 2^64; `total` has the coordinates that go with an update at its end.

    Args:
        replies: of the hosts.
        reporters: phones that were asked.
        length: numbers of a vector.

    Raises:
        ProtocolError: an answer is malformed, or a phone reported twice or was not asked.
    """
    adding = SummedAnswers(reporters, length)
    for reply in without_failed_hosts(replies):
        adding.add(reply)
        del reply
    return adding.joined()


class SummedAnswers:
    """Adds sums of phones' vectors up as they come, and lets go of each.

    Args:
        reporters: phones that were asked.
        length: numbers of a vector.
    """

    def __init__(self, reporters: NDArray[np.int64], length: int) -> None:
        self._reporters, self._total = reporters, np.zeros(length, np.int64)
        self._answers: list[SummedReply] = []

    def add(self, reply: Message) -> None:
        """Add an answer without an error.

        Raises:
            ProtocolError: it is malformed, or has a phone that was not asked.
        """
        answer = SummedReply.from_message(reply, self._reporters, len(self._total))
        self._total += answer.total  # wraps around, as it should
        self._answers.append(replace(answer, total=np.zeros(0, np.int64)))

    def joined(self) -> RoundReplies:
        """All that came; `total` has the coordinates that go with an update at its end.

        Raises:
            ProtocolError: a phone reported twice.
        """
        digests = [answer.vectors_digest for answer in self._answers]
        added = added_digests(one or b"" for one in digests).hex() if None not in digests else None
        return replace(_joined(self._answers, self._total, self._reporters), vectors_digest=added)


def read_totals(
    masked: RoundReplies,
    total: NDArray[np.int64],
    num_weights: int,
    noised: NoisedVectors | None,
    *,
    server_round: int,
    is_whole: bool,
) -> RoundReplies:
    """The answers of `join_summed_replies`, read.

    Args:
        masked: the answers.
        total: int64 [length], their sum without masks.
        num_weights: of the model.
        noised: the form of the vectors, where phones add the noise.
        server_round: of the phones.
        is_whole: nothing was taken modulo less than 2^64.

    Raises:
        SumError: there is a mask in it still.
    """
    if noised is not None:
        found = noised.read(total, num_weights, server_round, reports=len(masked.reported), is_whole=is_whole)
        return replace(masked, total=found.residues, sums=found.sums, noised=found.update, wrapped=found.wrapped)
    update, sums = read_sum(total, num_weights, len(masked.reported))
    return replace(masked, total=update, sums=sums)


def without_failed_hosts(replies: Iterable[Message]) -> Iterable[Message]:
    """The answers that are none of a host that failed, which is logged; each is let go of before the next one comes."""
    for reply in replies:
        if reply.has_error():
            _LOG.log(WARNING, "a host failed, its phones count as lost: %s", reply.error.reason)
        else:
            yield reply
        del reply


def _joined(
    answers: Sequence[TrainReply] | Sequence[SummedReply], total: NDArray[np.int64], reporters: NDArray[np.int64]
) -> RoundReplies:
    """All that every kind of answer tells."""
    none = np.zeros(0, np.int64)
    phones = np.concatenate([none, *(a.phones for a in answers)])
    rejected = np.concatenate([none, *(a.rejected for a in answers)])
    causes = {int(p): cause for a in answers for p, cause in zip(a.failed, a.failure_causes, strict=True)}
    failed = np.concatenate([none, *(a.failed for a in answers)])
    require_asked("answers to train", np.concatenate([phones, rejected, failed]), reporters)
    failed = np.sort(failed)
    return RoundReplies(
        total=total,
        reported=np.sort(phones),
        norms=np.zeros(0),
        loss_sums=np.zeros(0),
        tokens=none,
        rejected=np.sort(rejected),
        failed=failed,
        failure_causes=tuple(causes[phone] for phone in failed.tolist()),
    )
