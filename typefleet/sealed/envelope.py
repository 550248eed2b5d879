"""The key of one run, or of one entry of the cache, wrapped by the storage key and kept in one small file beside it.

Who has the storage key opens the envelope and reads what is sealed there. Without the envelope nobody does, the owner
included: to erase it is to erase all that is sealed with its key, whatever copies of that there are (crypto-shredding).
Another storage key is a new wrapping of the same data key: nothing else is written again.
"""

import base64
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from typefleet.errors import ConfigError, expected, unwritable
from typefleet.sealed.chunks import opened_bytes, sealed_bytes
from typefleet.sealed.storage_key import Scrypt, StorageKey, absolute, storage_key
from typefleet.untrusted.limits import KEY_BYTES as MOST_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import parse_json, require_object

ENVELOPE = "storage_key.json"  # of the file
DATA_KEY_BYTES = 32
_LAYOUT = 1
_WHAT = "the wrapped key of what is encrypted here"
# Data keys by what their envelopes hold: a run goes on where its storage key is taken away meanwhile.
_OPENED: dict[bytes, bytes] = {}
_NAMES = {"layout", "place", "fingerprint", "scrypt", "wrapped"}


class ErasedError(ConfigError):
    """What is sealed cannot be read, since its key is gone."""


class OtherKeyError(ConfigError):
    """The storage key is not the one that an envelope was wrapped with."""


def new_envelope(place: str) -> tuple[bytes, bytes]:
    """(what is to be written as `ENVELOPE`, the new data key that it wraps).

    Args:
        place: of the storage key, see `storage_key`.

    Raises:
        ConfigError: there is no key.
    """
    data_key = secrets.token_bytes(DATA_KEY_BYTES)
    return _wrapped(data_key, storage_key(place), place), data_key


def is_encrypted(folder: Path) -> bool:
    """Whether a folder has an envelope."""
    return (folder / ENVELOPE).exists()


def data_key_of(folder: Path, place: str | None = None) -> bytes | None:
    """The data key of a folder; None: it has no envelope.

    Args:
        folder: of a run, or of an entry of the cache.
        place: of the storage key; None: where it was when the envelope was written.

    Raises:
        ConfigError: the envelope is damaged, or the storage key is missing or another.
    """
    path = folder / ENVELOPE
    if not path.exists():
        return None
    content = read_bytes(path, _WHAT, ConfigError, MOST_BYTES)
    if place is not None or content not in _OPENED:
        _OPENED[content] = _opened(content, path, place)
    return _OPENED[content]


def require_data_key(folder: Path) -> bytes:
    """The data key of a folder in which something is sealed.

    Raises:
        ConfigError: as of `data_key_of`.
        ErasedError: there is none: it was erased, and what is sealed with it for good.
    """
    found = data_key_of(folder)
    if found is None:
        gone = "none: what is encrypted here can be read by nobody, if its key was erased and not only moved"
        raise ErasedError(expected(folder / ENVELOPE, _WHAT, gone))
    return found


def wrapped_anew(folder: Path, new_place: str, old_place: str | None = None) -> tuple[bytes, str]:
    """The data key of a folder, wrapped by another storage key.

    Args:
        folder: of a run, or of an entry of the cache.
        new_place: of the storage key that wraps it from now on.
        old_place: of the one that did; None: where it was.

    Returns:
        (what is to be written in the place of the envelope, whole or not at all; the fingerprint of the new key).

    Raises:
        ConfigError: there is nothing to wrap, or a key is missing or another.
    """
    data_key = data_key_of(folder, old_place)
    if data_key is None:
        raise ConfigError(expected(folder / ENVELOPE, _WHAT, "none"))
    new = storage_key(new_place, flag="the new key")
    return _wrapped(data_key, new, new_place), new.fingerprint


def shred(folder: Path) -> bool:
    """Overwrite and delete the envelope of a folder: what is sealed with its key is gone with it.

    A file system that copies on write, a snapshot, a backup or a flash drive may keep the old blocks; whoever reads
    those needs the storage key as well.

    Returns:
        Whether there was one.

    Raises:
        ConfigError: it is there and cannot be erased.
    """
    path = folder / ENVELOPE
    try:
        for draft in folder.glob(f".{ENVELOPE}-*"):  # which a killed rotation left
            _erase(draft)
        return _erase(path)
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error


class Needed(NamedTuple):
    """Which storage key an envelope needs."""

    place: str  # where it was when the envelope was written
    fingerprint: str


def needed_by(folder: Path) -> Needed | None:
    """Which storage key the envelope of a folder needs; None: there is no envelope.

    Raises:
        ConfigError: it is damaged.
    """
    path = folder / ENVELOPE
    if not path.exists():
        return None
    about = _read(read_bytes(path, _WHAT, ConfigError, MOST_BYTES), path)
    return Needed(about["place"], about["fingerprint"])


def _erase(path: Path) -> bool:
    """Whether it was there; another process may erase it at the same time."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        os.write(handle, bytes(os.fstat(handle).st_size))
        os.fsync(handle)
    finally:
        os.close(handle)
    path.unlink(missing_ok=True)
    return True


def _wrapped(data_key: bytes, key: StorageKey, place: str) -> bytes:
    about = {
        "layout": _LAYOUT,
        "place": absolute(place),
        "fingerprint": key.fingerprint,
        "scrypt": None if key.scrypt is None else asdict(key.scrypt),
    }
    wrapped = sealed_bytes(data_key, key.key, _name(about))
    return (json.dumps({**about, "wrapped": base64.b64encode(wrapped).decode()}, indent=2) + "\n").encode()


def _name(about: dict[str, Any]) -> str:
    """What the wrapping is bound to."""
    return f"envelope {json.dumps({one: about[one] for one in ('layout', 'fingerprint', 'scrypt')}, sort_keys=True)}"


def _opened(content: bytes, path: Path, place: str | None) -> bytes:
    """What an envelope wraps."""
    about = _read(content, path)
    scrypt = None if about["scrypt"] is None else Scrypt.from_json(about["scrypt"], path)
    key = storage_key(place or about["place"], scrypt)
    if key.fingerprint != about["fingerprint"]:
        found = f"another one, of fingerprint {key.fingerprint}"
        raise OtherKeyError(expected(path, f"the storage key of fingerprint {about['fingerprint']}", found))
    try:
        wrapped = base64.b64decode(about["wrapped"], validate=True)
    except ValueError as error:
        raise ConfigError(expected(path, _WHAT, "a damaged one")) from error
    return opened_bytes(wrapped, key.key, _name(about), path)


def _read(content: bytes, path: object) -> dict[str, Any]:
    about = require_object(parse_json(content, path, _WHAT), path, _WHAT)
    texts = all(isinstance(about.get(name), str) for name in ("place", "fingerprint", "wrapped"))
    if about.keys() != _NAMES or about["layout"] != _LAYOUT or not texts:
        raise ConfigError(expected(path, _WHAT, "a damaged one, or one of another version"))
    return about
