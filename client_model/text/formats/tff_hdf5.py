"""Client data of TensorFlow Federated in HDF5: a group per client, as its StackOverflow data has them."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client_model.text.formats.base import (
    DataError,
    Message,
    message_of,
    require_beginning,
    unpacked_within_reason,
)
from client_model.text.formats.share_read import tell
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.arrow_columns import most_unpacked, unpacks_too_far
from typefleet.untrusted.limits import MIB
from typefleet.untrusted.survival import require_survival

_BEGINS = b"\x89HDF\r\n\x1a\n"
_GROUP, _DATASET = "examples", "tokens"
_WANTED = f"an HDF5 file with {_GROUP}/CLIENT/{_DATASET}"
_AT_A_TIME, _BYTES_AT_A_TIME = 10_000, 16 * MIB  # texts in memory
_LEAST_BYTES = 16  # of a text


class TffHdf5:
    """`examples/CLIENT/tokens`, a list of texts."""

    endings = (".h5", ".hdf5")

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Each text as a message, clients by name, or a DataError in place of each that is none.

        Raises:
            DataError: the file is no HDF5, is damaged, or has other groups.
        """
        require_beginning(path, _BEGINS, _WANTED)
        import h5py  # noqa: F401  # before the copy is made, which then has it

        require_survival(path, _WANTED, DataError, lambda: deque(_read(path), maxlen=0))
        yield from _read(path)


def _read(path: Path) -> Iterator[Message | DataError]:
    import h5py

    try:
        with h5py.File(path, "r") as content:
            group = _inside(content, _GROUP)
            if not isinstance(group, h5py.Group):
                raise DataError(expected(path, _WANTED, f"no group {_GROUP}"))
            done, clients = 0, max(len(group), 1)
            tell(lambda: done / clients)
            for done, client in enumerate(group, start=1):
                messages = _messages(client, group, path, f"{path}: client {done}")
                yield from unpacked_within_reason(messages, path)
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:  # as h5py calls damage
        raise DataError(expected(path, _WANTED, "a damaged one")) from error


def _inside(group: Any, name: str) -> Any:
    """What lies in the file itself under a name, or None: a link may lead to another file."""
    import h5py

    return group.get(name) if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _messages(client: str, group: Any, path: Path, where: str) -> Iterator[Message | DataError]:
    import h5py

    own = _inside(group, client)
    texts = _inside(own, _DATASET) if isinstance(own, h5py.Group) else None
    if not isinstance(texts, h5py.Dataset) or texts.ndim != 1 or texts.external or texts.is_virtual:
        yield DataError(expected(where, f"a list {_DATASET}", "none"))
        return
    if len(texts) * max(texts.dtype.itemsize, _LEAST_BYTES) > most_unpacked(path.stat().st_size):
        raise DataError(unpacks_too_far(path))  # rows can be declared that nobody wrote
    at_a_time = max(min(_AT_A_TIME, _BYTES_AT_A_TIME // max(texts.dtype.itemsize, 1)), 1)
    for begin in range(0, len(texts), at_a_time):
        for number, text in enumerate(texts[begin : begin + at_a_time].tolist(), start=begin + 1):
            yield _message(client, text, f"{where}, text {number}")


def _message(client: str, text: Any, where: str) -> Message | DataError:
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return DataError(expected(where, "UTF-8", "other bytes"))
    return message_of({"user_id": client, "text": text}, where)


KIND = Kind("tff-hdf5", "HDF5 of TensorFlow Federated's StackOverflow", make=lambda settings: TffHdf5())
