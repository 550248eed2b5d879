"""The sums that are answered, which lie in Ray's shared memory, and how they outlive its death.

Ray ends a process at once, with exit code 1 and without a line, that puts something into this memory, takes something
out of it or gives something back after the raylet has died. So it is not touched more often than it must be, and each
time the raylet is looked at before. An array of an answer is given back when the last reference to it goes, wherever
that is: in Flower's state, in the sum of a round, or in a cycle that is collected at any time. So whom NumPy takes for
the owner of its memory decides then.

What remains are the moments in which Ray is at work on one of the three, of which the longest, some milliseconds, is
once a round: weights are put there once, and not for each message that has them (`shared_weights`).
"""

from typing import Any

import numpy as np
from flwr.app import ArrayRecord, Message
from numpy.typing import NDArray

from server_strategy.plain_arrays import PlainArray
from simulation.engine.ray_start import own_that_died

_NEVER_GIVEN_BACK: list[NDArray[Any]] = []  # megabytes of a process that is about to end


class _Owner:
    """Whom NumPy takes for the owner of an array's memory, and lets go of with the last array in it."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self.__array_interface__ = values.__array_interface__

    def __del__(self) -> None:
        if own_that_died():
            _NEVER_GIVEN_BACK.append(self._values)


def give_back_while_it_lives(answer: Message) -> None:
    """Let the arrays of an answer outlive a Ray that dies, though somebody lets go of them.

    Args:
        answer: just taken out of Ray's memory, so that nobody else has its arrays; the numbers stay where they are.
    """
    if answer.has_error():
        return
    # Flower's view of the arrays alone would be a cycle, which would keep them until the collector comes.
    for record in answer.content.values():
        if not isinstance(record, ArrayRecord):
            continue
        for name, array in record.items():
            if isinstance(array, PlainArray):
                values = array.numpy()
                record[name] = PlainArray(np.asarray(_Owner(values)).view(values.dtype))
