"""What of a message lies in Ray's shared memory: the weights that are sent, and the sums that are answered.

Ray ends a process at once, with exit code 1 and without a line, that puts something into this memory, takes something
out of it or gives something back after the raylet has died. So it is not touched more often than it must be, and each
time the raylet is looked at before. An array of an answer is given back when the last reference to it goes, wherever
that is: in Flower's state, in the sum of a round, or in a cycle that is collected at any time. So whom NumPy takes for
the owner of its memory decides then.

What remains are the moments in which Ray is at work on one of the three, of which the longest, some milliseconds, is
now once a round: weights are put there once, and not for each message that carries them.
"""

import copy
import threading
from typing import Any

import numpy as np
import ray
from flwr.app import Array, ArrayRecord, Message, RecordDict
from numpy.typing import NDArray

from server_strategy.plain_arrays import PlainArray
from simulation.engine.ray_start import own_that_died

_INLINE_BYTES = 100 * 1024  # of what Ray sends along with a call, and not through its memory
_NEVER_GIVEN_BACK: list[NDArray[Any]] = []  # megabytes of a process that is about to end


class _InRay(ArrayRecord):
    """A record on its way, in whose place a worker finds what was put into Ray's memory."""

    def __init__(self, put: "ray.ObjectRef[ArrayRecord]") -> None:
        super().__init__()
        self.__dict__["_put"] = put

    def __reduce__(self) -> tuple[Any, ...]:
        return ray.get, (self.__dict__["_put"],)


class Weights:
    """Those of the messages of a round, put into Ray's memory with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: list[Array] = []  # of the record that was put last; held, so that no other takes their place
        self._in_ray: _InRay | None = None

    def put_once(self, message: Message) -> Message:
        """The message as it is to be sent; it is left as it is.

        Only arrays that nobody changes can be told apart by what they are and not by their numbers.
        """
        if message.has_error():
            return message
        records = {name: self._of(one) for name, one in message.content.array_records.items() if _is_large(one)}
        if not records:
            return message
        sent = copy.copy(message)
        sent.content = RecordDict({**message.content, **records})
        return sent

    def _of(self, record: ArrayRecord) -> _InRay:
        with self._lock:
            arrays = list(record.values())
            known = len(arrays) == len(self._arrays) and all(map(_is, arrays, self._arrays))
            if self._in_ray is None or not known:
                self._in_ray, self._arrays = _InRay(ray.put(record)), arrays
            return self._in_ray


def _is(one: Array, other: Array) -> bool:
    return one is other


def _is_large(record: ArrayRecord) -> bool:
    """Whether it is of arrays that nobody changes, and too large to be sent along."""
    plain = [array.numpy().nbytes for array in record.values() if isinstance(array, PlainArray)]
    return len(plain) == len(record) and sum(plain) > _INLINE_BYTES


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
    for record in answer.content.array_records.values():
        for name, array in record.items():
            if isinstance(array, PlainArray):
                values = array.numpy()
                record[name] = PlainArray(np.asarray(_Owner(values)).view(values.dtype))
