"""What a run keeps encrypted, if it has a storage key: its checkpoints and the secret of its noise.

A run's key lies in its folder, wrapped by the storage key (`typefleet.sealed.envelope`). A folder with an envelope is
of an encrypted run, and everything that is sealed in such a run must be: a plain file in the place of one is refused.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, cast

from simulation.files import Seal, write_bytes_atomically
from typefleet.errors import ConfigError, expected, unwritable
from typefleet.sealed.chunks import SealedFile, is_sealed, read_sealed, seal, sealed_bytes
from typefleet.sealed.envelope import (
    ENVELOPE,
    data_key_of,
    is_encrypted,
    needed_by,
    new_envelope,
    require_data_key,
    wrapped_anew,
)
from typefleet.sealed.storage_key import absolute
from typefleet.untrusted.toml_tables import read_toml


def begin_storage(root: Path, place: str | None) -> None:
    """Give a run that begins its key, before anything of it is written that is to be encrypted.

    Args:
        root: of the run's folder.
        place: of the storage key; None: nothing is encrypted.

    Raises:
        ConfigError: there is no key there, or the folder cannot be written.
    """
    if place is None or is_encrypted(root):  # which it is if it was stopped before its first checkpoint
        return
    content, _ = new_envelope(place)
    try:
        write_bytes_atomically(root / ENVELOPE, content, private=True)
    except OSError as error:
        raise ConfigError(unwritable(root / ENVELOPE, error)) from error


def require_storage(root: Path, place: str | None) -> str | None:
    """Hold a run that goes on to what it began with: with its storage key, or without one.

    The key may lie elsewhere than before, if it is the same; the envelope then says so. Its settings say where it was
    when the run began: where nobody says otherwise, the envelope knows better.

    Args:
        root: of the run's folder.
        place: of the storage key; None: nothing is encrypted.

    Returns:
        Where the key is.

    Raises:
        ConfigError: the run's key was erased, or the storage key is missing or another; or the run is not encrypted.
    """
    needed = needed_by(root)
    if needed is None:
        if place is not None and any((root / "checkpoints").glob("checkpoint-*")):
            gone = "none: it was erased, and the run with it, or the run began without a storage key"
            raise ConfigError(expected(root / ENVELOPE, "the wrapped key of the run", gone))
        return place
    if place is None or place == _recorded(root):
        place = needed.place
    data_key_of(root, place)
    if absolute(place) != needed.place:
        content, _ = wrapped_anew(root, place, place)
        write_bytes_atomically(root / ENVELOPE, content, private=True)
    return place


def _recorded(root: Path) -> str | None:
    """Where the storage key was when a run began."""
    storage = read_toml(root / "config.toml", "the settings of a run", ConfigError).get("storage")
    place = storage.get("key") if isinstance(storage, dict) else None
    return place if isinstance(place, str) else None


def place_for(root: Path | None, place: str | None) -> str | None:
    """Where the storage key is for who reads a run: where its envelope says, and else where its settings do.

    Raises:
        ConfigError: the envelope is damaged.
    """
    needed = None if root is None else needed_by(root)
    return place if needed is None else needed.place


def seal_of(root: Path, path: Path) -> Seal | None:
    """What encrypts a file of a run; None: it is written as it is.

    Args:
        root: of the run's folder.
        path: of the file, in it.

    Raises:
        ConfigError: the run is encrypted, and its storage key is missing or another.
    """
    key = data_key_of(root)
    if key is None:
        return None

    def write(file: IO[bytes], content: memoryview) -> None:
        seal(file, [content], key, _name(root, path))

    return write


def opening_of(root: Path, path: Path) -> Callable[[], IO[bytes]] | None:
    """What opens an encrypted file of a run as what it holds; None: it is what lies there.

    Args:
        root: of the run's folder.
        path: of the file, in it.

    Raises:
        ConfigError: the run is encrypted, and its key is gone, or its storage key missing or another.
    """
    if not is_encrypted(root) and not _is_sealed(path):
        return None
    key = require_data_key(root)
    return cast(Callable[[], IO[bytes]], partial(SealedFile, path, key, _name(root, path)))


def write_secret(root: Path, path: Path, content: bytes) -> None:
    """Write a small private file of a run, encrypted if the run is.

    Raises:
        ConfigError: the run is encrypted, and its storage key is missing or another.
        OSError: it cannot be written.
    """
    key = data_key_of(root)
    write_bytes_atomically(
        path, content if key is None else sealed_bytes(content, key, _name(root, path)), private=True
    )


def read_secret(root: Path, path: Path) -> bytes | None:
    """What `write_secret` wrote, if it is encrypted; None: it is what lies there.

    Raises:
        ConfigError: it cannot be read.
    """
    if not is_encrypted(root) and not _is_sealed(path):
        return None
    return read_sealed(path, require_data_key(root), _name(root, path))


def _is_sealed(path: Path) -> bool:
    try:
        return path.is_file() and is_sealed(path)
    except OSError:  # it is opened again to be read, and what is wrong is said then
        return False


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
