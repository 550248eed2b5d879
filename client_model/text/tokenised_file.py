"""A population that is a file, tokenised once into the cache (`cache`), from where every worker maps it into memory.

Tokens are kept as ids into a *lexicon* of all distinct tokens, independent of any vocabulary. User ids are dropped
while the file is read: a phone is known by its row and by a digest of its user id.
"""

import hashlib
import json
import logging
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from client_model.config import DataConfig
from client_model.keyed_random import hash_uint64, purpose_key
from client_model.text.cache import (
    ABOUT,
    SEAL,
    Write,
    cache_root,
    expire,
    hold,
    is_whole,
    note_use,
    take_away,
    whose_else,
    write_entry,
)
from client_model.text.formats.base import DataError, MessageFormat
from client_model.text.formats.columns import USUAL
from client_model.text.personal.redaction import Redaction
from client_model.text.personal.scanner import redaction_identity
from client_model.text.sealed_arrays import SealedArray, write_sealed_array
from client_model.text.tokenising import Tokenised, tokenise
from typefleet.errors import expected, unreadable, unwritable
from typefleet.sealed.chunks import read_sealed, sealed_bytes
from typefleet.sealed.envelope import (
    ENVELOPE,
    OtherKeyError,
    data_key_of,
    is_encrypted,
    needed_by,
    new_envelope,
    require_data_key,
)
from typefleet.untrusted.limits import FILES
from typefleet.untrusted.opening import require_few, require_file

_LOG = logging.getLogger(__name__)
ENCRYPTED = "encrypted"  # in the name of a folder that is
_LEXICON = "lexicon.txt"
_CACHE_LAYOUT = 5  # raise when the tokeniser, the arrays or what is refused change, so that old caches are not used


class TokenisedFile:
    """A population read from the cache folder of one file."""

    def __init__(self, folder: Path, num_phones: int | None = None, seed: int = 0, *, text_key: bytes = b"") -> None:
        """Open a file's entry in the cache.

        Args:
            folder: of it.
            num_phones: that are chosen from it; None: all.
            seed: of the choice.
            text_key: the entry's, if it is encrypted, for who was told; else it is asked of the storage key.

        Raises:
            ConfigError: the entry is encrypted, and its key is gone or another.
        """
        self._key = (text_key or require_data_key(folder)) if is_to_be_encrypted(folder) else None
        weakref.finalize(self, hold(folder).close)  # nobody removes the entry as long as there is this object
        self._folder = folder
        self._types, self._message_offsets = self._load("types"), self._load("message_offsets")
        self._first_message, self._digests = self._load("first_message"), self._load("digests")[:]
        self._times_s = self._load("times_s") if (folder / "times_s.npy").exists() else None
        self._lexicon: list[str] | None = None
        rows = np.arange(len(self._digests))
        if num_phones is not None and num_phones < len(rows):
            order = np.argsort(hash_uint64(purpose_key(seed, "fleet subset"), self._digests), kind="stable")
            rows = np.sort(order[:num_phones])
        self._rows = rows
        self.num_phones = len(rows)

    def _load(self, name: str) -> Any:
        """An array, or one that is decrypted where something is asked of it."""
        path = self._folder / f"{name}.npy"
        if self._key is not None:
            return SealedArray(path, self._key)
        # As a plain array: a memmap object costs microseconds at every slice.
        stored: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return stored.view(np.ndarray)

    @property
    def lexicon(self) -> list[str]:
        """All types of the file in the order of their ids; read when first asked for."""
        if self._lexicon is None:
            path, key = self._folder / _LEXICON, self._key
            content = path.read_bytes() if key is None else read_sealed(path, key, _LEXICON)
            self._lexicon = content.decode("utf-8").split("\n")
        return self._lexicon

    @property
    def unlisted_word_letters(self) -> int:
        """0: the lexicon has every word of the file."""
        return 0

    @property
    def skipped_lines(self) -> int:
        """Lines that were no messages when the file was tokenised."""
        return int(json.loads((self._folder / ABOUT).read_text())["skipped_lines"])

    @property
    def is_dated(self) -> bool:
        """Whether the file says when each message was written."""
        return self._times_s is not None

    def message_times_s(self, phone: int) -> NDArray[np.float64]:
        """float64 [messages], when each was written, in seconds since 1970; rising.

        Raises:
            DataError: the file does not say.
        """
        if self._times_s is None:
            raise DataError(expected("the file of messages", "times that are dates", "none"))
        first, last = self._message_range(phone)
        return np.asarray(self._times_s[first:last])

    def digests(self) -> NDArray[np.uint64]:
        """uint64 [num_phones], of the user ids."""
        return np.asarray(self._digests[self._rows])

    def _message_range(self, phone: int) -> tuple[int, int]:
        row = self._rows[phone]
        return int(self._first_message[row]), int(self._first_message[row + 1])

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        """int64 [messages], tokens of each, without reading any text."""
        first, last = self._message_range(phone)
        return np.diff(self._message_offsets[first : last + 1])

    def tokens_of_phones(self, phones: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [len(phones)], tokens on each of several phones, without reading any text."""
        rows = self._rows[phones]
        first_message = np.asarray(self._first_message[:])  # of every person of the file
        offsets = np.asarray(self._message_offsets[:])
        return np.asarray(offsets[first_message[rows + 1]] - offsets[first_message[rows]], np.int64)

    def types(
        self, phone: int, messages: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(type ids [tokens], offsets [messages + 1]) of all messages of a phone, or of those asked for."""
        first, last = self._message_range(phone)
        bounds = np.asarray(self._message_offsets[first : last + 1])
        if messages is None:
            return np.asarray(self._types[bounds[0] : bounds[-1]], np.int64), bounds - bounds[0]
        begins = bounds[messages]
        offsets = np.concatenate([[0], np.cumsum(bounds[messages + 1] - begins)]).astype(np.int64)
        place = np.repeat(begins - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
        return self._types[place].astype(np.int64), offsets

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """What `types` gives, for each of several phones."""
        return [self.types(int(phone)) for phone in phones]


def tokenised_folder(
    config: DataConfig,
    path: Path,
    message_format: MessageFormat,
    name: str | None,
    storage_key: str | None = None,
) -> Path:
    """The cache folder of a file, filled if it was not; named by what its content depends on.

    Args:
        config: what to do with bad lines, the columns, and where the folder is.
        path: the file, or a folder of files.
        message_format: reads it.
        name: of the format; without one the file is read anew every time, and the folder named by what was read.
        storage_key: place of the key that the folder is encrypted with; None: it is not.
    """
    layout = f"{_CACHE_LAYOUT}" if storage_key is None else f"{ENCRYPTED}-{_CACHE_LAYOUT}"
    root, redaction = cache_root(config.cache_dir), None
    if config.redact != "off":
        redaction = Redaction.of(config.redact, config.phone_regions)
    if name is None:
        tokenised = tokenise(path, message_format, config.on_bad_line, redaction)
        return _in_cache(root / f"{tokenised.digest()}-{layout}", path, lambda: tokenised, storage_key)
    try:
        digest = _digest(path)
    except OSError as error:
        raise DataError(unreadable(path, error, "a file of messages")) from error
    how = f"{name}{_columns_part(config)}{_redaction_part(config)}-{config.on_bad_line}"
    folder = root / f"{digest}-{how}-{layout}"
    return _in_cache(folder, path, lambda: tokenise(path, message_format, config.on_bad_line, redaction), storage_key)


def _in_cache(folder: Path, path: Path, make: Callable[[], Tokenised], storage_key: str | None) -> Path:
    """The folder, with what `make` gives in it: what is there already, if it is whole.

    Raises:
        DataError: it cannot be read or written, or others may write into the cache.
        ConfigError: it is to be encrypted, and the storage key is missing.
        OtherKeyError: it is encrypted with another storage key; what to do is said.
    """
    try:
        if (found := whose_else(folder.parent)) is not None:
            raise DataError(expected(f"--data.cache-dir: {folder.parent}", "a folder that is yours alone", found))
        erased = is_to_be_encrypted(folder) and not is_encrypted(folder)
        if folder.exists() and (erased or not is_whole(folder)):
            if not erased and (folder / SEAL).exists():  # else an earlier version wrote it
                _LOG.warning("%s: its tokenised copy in %s is damaged: it is made anew", path, folder)
            take_away(folder)
        if storage_key is not None:
            data_key_of(folder, storage_key)
            _warn_of_plain_copy(folder, path)
    except OtherKeyError as error:
        needed = needed_by(folder)
        whose = f"the key of fingerprint {'unknown' if needed is None else needed.fingerprint}"
        what = f"{whose}, by which this text is encrypted in the cache {folder.parent} already"
        found = "another one; with --data.cache-dir in another folder each key has its own copy"
        raise OtherKeyError(expected("--storage.key", what, found)) from error
    except OSError as error:
        raise DataError(f"{unwritable(folder, error)}; set --data.cache-dir") from error
    tokenised = None if folder.exists() else make()
    try:
        if tokenised is not None:
            _write(folder, tokenised, storage_key)
        note_use(folder)
        expire(folder.parent, folder)
    except OSError as error:
        raise DataError(f"{unwritable(folder.parent, error)}; set --data.cache-dir") from error
    return folder


def _warn_of_plain_copy(folder: Path, path: Path) -> None:
    plain = folder.with_name(name_unencrypted(folder))
    if plain.exists():
        _LOG.warning("%s: an earlier run left a tokenised copy in %s that is not encrypted", path, plain)


def _write(folder: Path, tokenised: Tokenised, storage_key: str | None) -> None:
    arrays, files = {f"{name}.npy": array for name, array in tokenised.arrays.items()}, dict[str, Write]()
    lexicon = "\n".join(tokenised.lexicon).encode()
    if storage_key is None:
        files |= {name: partial(_save, array) for name, array in arrays.items()}
        files[_LEXICON] = partial(_write_bytes, lexicon)
    else:
        envelope, key = new_envelope(storage_key)
        files[ENVELOPE] = partial(_write_bytes, envelope)
        files |= {name: partial(write_sealed_array, array, name, key) for name, array in arrays.items()}
        files[_LEXICON] = partial(_write_bytes, sealed_bytes(lexicon, key, _LEXICON))
    counted = ("skipped_lines", "masked_places", "dropped_messages")
    write_entry(folder, files, {name: getattr(tokenised, name) for name in counted})


def _save(array: NDArray[Any], file: IO[bytes]) -> None:
    np.save(file, array)


def _write_bytes(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


def is_to_be_encrypted(folder: Path) -> bool:
    """Whether a cache folder is one that is encrypted, by its name: its key may have been erased."""
    return folder.name.endswith(f"-{ENCRYPTED}-{_CACHE_LAYOUT}")


def name_unencrypted(folder: Path) -> str:
    """What a cache folder is called where it is not encrypted."""
    if not is_to_be_encrypted(folder):
        return folder.name
    return f"{folder.name.removesuffix(f'{ENCRYPTED}-{_CACHE_LAYOUT}')}{_CACHE_LAYOUT}"


def name_encrypted(folder: Path) -> str:
    """What a cache folder is called where it is encrypted."""
    if is_to_be_encrypted(folder) or not folder.name.endswith(f"-{_CACHE_LAYOUT}"):
        return folder.name
    return f"{folder.name.removesuffix(str(_CACHE_LAYOUT))}{ENCRYPTED}-{_CACHE_LAYOUT}"


def _digest(path: Path) -> str:
    """32 hexadecimal digits of a file's content, or of the names and the content of all files in a folder."""
    if not path.is_dir():
        require_file(path, "a file of messages", DataError)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    files = sorted(file for file in path.rglob("*") if not file.is_dir())
    require_few(path, files, FILES, DataError)
    named = [(str(file.relative_to(path)), _digest(file)) for file in files]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]


def _columns_part(config: DataConfig) -> str:
    """Nothing for the usual columns; others by a digest, since a column may have any name."""
    if config.columns == USUAL:
        return ""
    return "-" + hashlib.sha256(json.dumps(config.columns.names).encode()).hexdigest()[:8]


def _redaction_part(config: DataConfig) -> str:
    """Nothing without redaction: the text is then what it was before there was any."""
    return "" if config.redact == "off" else f"-{config.redact}-{redaction_identity(config.phone_regions)}"
