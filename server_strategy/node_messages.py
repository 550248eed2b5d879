"""What a strategy says to Flower's nodes: which there are, and whose message is whose."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from typefleet.errors import expected


def connected_nodes(grid: Grid) -> list[int]:
    """Ids of the nodes that are there, in order.

    Raises:
        RuntimeError: there is none.
    """
    nodes = sorted(grid.get_node_ids())
    if not nodes:
        raise RuntimeError(expected("grid", "a connected node", "none"))
    return nodes


def dealt_out(kind: str, contents: Sequence[RecordDict], nodes: Sequence[int], *, ttl_s: float) -> list[Message]:
    """One message for each content, dealt out to the nodes in turn.

    Args:
        kind: of the messages.
        contents: of each.
        nodes: one at least.
        ttl_s: life of a message, in seconds.
    """
    return [
        Message(content, dst_node_id=nodes[index % len(nodes)], message_type=kind, ttl=ttl_s)
        for index, content in enumerate(contents)
    ]


def with_one_left(replies: Iterable[Message], sent: int, then: Callable[[], None]) -> Iterator[Message]:
    """The replies as they come, each let go of before the next one is waited for.

    Args:
        replies: to messages.
        sent: how many messages.
        then: is done once when one reply is still to come, and processors begin to be idle; never if one was sent.
    """
    left = sent
    for reply in replies:  # `enumerate` would keep it
        left -= 1
        if left == 1:
            then()
        yield reply
        del reply


def num_weights_of(arrays: ArrayRecord) -> int:
    """How many numbers a record of arrays has."""
    return sum(int(np.prod(array.shape)) for array in arrays.values())
