"""Weights go into Ray's shared memory once, and not once for each message that has them.

Ray copies what a call is given. All training messages of a round have the same weights, and so have those that score
them: for 64 workers and a model of 5.6 MB these were 360 MB a round, which the driver copied while they waited. So a
message is sent without its weights. They go with the function that gives a worker its ClientApp, which is put into
Ray's memory once for all messages with the same weights; Ray hands a worker what is meant by such a reference, to be
read where it lies, and brings it to another machine once.
"""

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import ray
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from server_strategy.plain_arrays import PlainArray

AppFn: TypeAlias = Callable[[], Any]  # gives what a message and its context are put to

_FROM_BYTES = 100_000  # what is smaller, Ray sends along with the call
_MOST_KEPT = 4  # states of the weights; stale phones begin from earlier ones


@dataclass(frozen=True)
class _AppWithWeights:
    """A ClientApp for messages without their weights.

    Attributes:
        app_fn: gives the app.
        weights: of the messages, each record by its name.
    """

    app_fn: AppFn
    weights: Mapping[str, ArrayRecord]

    def __call__(self) -> Callable[[Message, Context], Message]:
        """As Flower's worker asks for the app."""
        app: ClientApp = self.app_fn()

        def answered(message: Message, context: Context) -> Message:
            message.content.update(self.weights)
            return app(message=message, context=context)

        return answered


class SharedWeights:
    """Keeps what was put into Ray's memory of the last few states of the weights.

    Args:
        app_fn: gives the ClientApp that messages are for.
    """

    def __init__(self, app_fn: AppFn) -> None:
        self._app_fn = app_fn
        self._lock = threading.Lock()  # each is put once, however many messages are being sent
        self._put: dict[tuple[tuple[str, str, int], ...], tuple[Sequence[Array], Any]] = {}  # oldest first

    def apart(self, message: Message) -> tuple[Any, Message]:
        """A message as a worker is sent it.

        Args:
            message: which is left as it is.

        Returns:
            what gives the worker its app, or a reference to that; the message, without weights if they come with it.
        """
        # Flower's view of the arrays alone would be a cycle, which the garbage collector would have to find.
        large = {name: r for name, r in message.content.items() if isinstance(r, ArrayRecord) and _is_large(r)}
        if not large:
            return self._app_fn, message
        bare = copy.copy(message)
        bare.content = RecordDict({name: r for name, r in message.content.items() if name not in large})
        return self._reference(large), bare

    def _reference(self, weights: Mapping[str, ArrayRecord]) -> Any:
        """To the app with these records, which are the same ones if their arrays are the same objects."""
        arrays = [(name, key, array) for name, record in weights.items() for key, array in record.items()]
        which = tuple((name, key, id(array)) for name, key, array in arrays)
        with self._lock:
            _, reference = self._put.pop(which, (None, None))
            if reference is None:
                reference = ray.put(_AppWithWeights(self._app_fn, weights))
            self._put[which] = [array for *_, array in arrays], reference  # kept, so that no other gets their number
            while len(self._put) > _MOST_KEPT:
                del self._put[next(iter(self._put))]
        return reference


def _is_large(record: ArrayRecord) -> bool:
    """Of arrays that Ray can share and nobody changes, which Flower's own are not."""
    arrays = list(record.values())
    return all(isinstance(a, PlainArray) for a in arrays) and sum(a.numpy().nbytes for a in arrays) >= _FROM_BYTES
