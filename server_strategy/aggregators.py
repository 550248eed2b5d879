"""How the answers of a round's hosts become one sum, by the protocol of the settings.

An aggregator is told of a round when its plan is made, writes what the hosts are sent, and joins what they answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from server_strategy.protocol import TrainRequest
from server_strategy.round_replies import RoundReplies, join_replies, join_summed_replies, read_totals

Exchange: TypeAlias = Callable[[Grid, list[Message], float], Iterable[Message]]
"""(grid, messages, seconds) -> their answers."""


def send_and_receive(grid: Grid, messages: list[Message], timeout_s: float) -> Iterable[Message]:
    """As Flower does it: an answer to each message, or an error in its place, and none that is repeated."""
    return grid.send_and_receive(messages, timeout=timeout_s)


@dataclass(frozen=True)
class Line:
    """The way to the hosts, in one round."""

    grid: Grid
    nodes: Sequence[int]
    timeout_s: float
    num_weights: int  # of the model


class Aggregator(Protocol):
    """Makes one sum of what the hosts answer."""

    protocol: str

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Do what comes before the phones train; returns those that may."""

    def content(self, request: TrainRequest) -> RecordDict:
        """What a host is sent."""

    def join(self, replies: Iterable[Message], reporters: NDArray[np.int64], num_weights: int) -> RoundReplies:
        """Add up the answers of the round that began last.

        Raises:
            ProtocolError: an answer is malformed, or a phone reported twice or was not asked.
        """

    def facts(self) -> dict[str, Any] | None:
        """What the round's record says of the protocol; None if nothing."""


class EachPhoneTold:
    """The server gets each host's sum, and of each phone the norm, the loss and the tokens."""

    protocol = "none"

    def begin(self, server_round: int, plan: RoundPlan, line: Line) -> NDArray[np.int64]:
        """Nothing comes before training."""
        return plan.reporters

    def content(self, request: TrainRequest) -> RecordDict:
        """The request alone."""
        return request.to_content()

    def join(self, replies: Iterable[Message], reporters: NDArray[np.int64], num_weights: int) -> RoundReplies:
        """Add up the hosts' sums."""
        return join_replies(replies, reporters, num_weights)

    def facts(self) -> dict[str, Any] | None:
        """Nothing is said."""
        return None


class SumsAlone(EachPhoneTold):
    """The same sums as with masks, modulo 2^64, without any mask: where all masks cancel, the sum is the same.

    So it hides nothing: a host that has one phone alone answers with that phone's vector.
    """

    protocol = "arithmetic"

    def join(self, replies: Iterable[Message], reporters: NDArray[np.int64], num_weights: int) -> RoundReplies:
        """Add up the hosts' sums of vectors, and read the sum."""
        came = join_summed_replies(replies, reporters, num_weights)
        return read_totals(came, came.total, num_weights)

    def facts(self) -> dict[str, Any] | None:
        """That it was used."""
        return {"protocol": self.protocol}
