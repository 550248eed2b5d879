"""The phones of a message, as many at a time as the host trains: what each hands in, or why it does not."""

from collections.abc import Iterator

from client_model.learning.trainers import LocalResult, Received
from client_model.text.batches import PackedBatches
from server_strategy.protocol import TrainRequest
from simulation.engine.phone_host import PhoneHost
from simulation.engine.profile import HostClock
from typefleet.own_parts import kind_and_place


def trained_phones(
    host: PhoneHost, received: Received, request: TrainRequest, clock: HostClock
) -> Iterator[tuple[int, LocalResult | str]]:
    """Each phone of a message with its result, or the cause of its failure; in the order of the message.

    A failure of the machine is not one of the phone: it is passed on, and the engine repeats the
    whole message, so that it leaves no mark on the result.

    Args:
        host: trains them.
        received: the weights.
        request: the message.
        clock: of the host.
    """
    phones = request.phones.tolist()
    for first in range(0, len(phones), host.phones_at_a_time):
        some = phones[first : first + host.phones_at_a_time]
        read = [_read(host, phone, request) for phone in some]
        clock.lap("read")
        found = iter(_train(host, received, [batches for batches in read if not isinstance(batches, str)]))
        clock.lap("train")
        for phone, batches in zip(some, read, strict=True):
            yield phone, batches if isinstance(batches, str) else next(found)


def _read(host: PhoneHost, phone: int, request: TrainRequest) -> PackedBatches | str:
    try:
        return host.read(phone, request.server_round, request.opened_s)
    except Exception as error:  # noqa: BLE001  of a phone's own
        return _cause(error)


def _train(host: PhoneHost, received: Received, phones: list[PackedBatches]) -> list[LocalResult | str]:
    """The results of some phones. If it fails, each is trained by itself, since one alone may be to blame."""
    try:
        if len(phones) > 1:
            return [*host.train_together(received, phones)]
        return [host.train(received, batches) for batches in phones]
    except Exception as error:  # noqa: BLE001  of a phone's own
        cause = _cause(error)
    if len(phones) == 1:
        return [cause]
    return [found for batches in phones for found in _train(host, received, [batches])]


def _cause(error: Exception) -> str:
    """Of a phone's failure.

    Raises:
        The error itself, if it is the machine's.
    """
    out_of_memory = type(error).__name__ == "ResourceExhaustedError"  # TensorFlow's
    if out_of_memory or isinstance(error, MemoryError | OSError):
        raise error
    return kind_and_place(error)
