"""Memory of the server while it adds up a round: measured, with real answers of hosts, by what Python allocates.

An answer has a sum as large as the model, so that a server that kept the answers would grow with them. Each is added up
and let go; messages of Flower are in cycles, so that some twenty of them wait to be collected, however many phones
there are. What grows with the phones are the messages of secure aggregation, some kilobytes of each.
"""

import tracemalloc
from collections.abc import Iterator

import numpy as np
from flwr.app import Message, MessageType

from server_strategy.aggregation.measuring import MeasuredCosts
from server_strategy.aggregation.terms import Step
from server_strategy.protocol import TrainReply
from server_strategy.protocol_of_sums import SummedReply
from server_strategy.round_replies import join_replies, join_summed_replies
from typefleet.errors import expected

_MEGA = 1e6
_KEPT = (Step.ADVERTISE, Step.SHARE, Step.CONFIRM, Step.UNMASK)  # until the round is over


def summing_peak_mb(phones: int, length: int, *, told: bool) -> float:
    """The most that is allocated while the vectors of a round are added up, one answer of one phone after another.

    Args:
        phones: of the round; each is alone in a message, of which there are never more.
        length: numbers of a vector, of 64 bits on the server.
        told: the server is told of each phone, as without secure aggregation.
    """
    everybody = np.arange(phones)
    join = join_replies if told else join_summed_replies
    tracemalloc.start()
    try:
        came = join(_answers(phones, length, told), everybody, length)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if len(came.reported) != phones:
        raise RuntimeError(expected("a sum that is measured", f"{phones} phones in it", len(came.reported)))
    return peak / _MEGA


def _answers(phones: int, length: int, told: bool) -> Iterator[Message]:
    for phone in range(phones):
        own, vector = np.array([phone]), np.full(length, phone, np.int64)
        if told:
            one = np.ones(1)
            content = TrainReply(
                update_sum=vector, phones=own, norms=one, loss_sums=one, tokens=np.ones(1, np.int64)
            ).to_content()
        else:
            content = SummedReply(total=vector, phones=own).to_content()
        yield Message(content, dst_node_id=0, message_type=MessageType.TRAIN)


def kept_messages_mb(measured: MeasuredCosts, phones: int) -> float:
    """Keys, sealed shares, signatures and shares of all phones, which the server has until the round is over, in bytes.

    Args:
        measured: a phone of the round.
        phones: of the round.
    """
    return phones * sum(measured.phone.up_bytes.get(step, 0) for step in _KEPT) / _MEGA
