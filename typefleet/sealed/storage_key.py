"""The key that whoever runs Typefleet keeps, and where it is found; it is never written down, in no file, flag or log.

A *place* says where it is:

    PATH               a file of 64 hexadecimal digits that its owner alone can read
    env:NAME           the same digits in a variable of the environment
    passphrase:NAME    a passphrase in a variable of the environment
    passphrase:        a passphrase that is asked for on the terminal, once for each process

Of a passphrase the key is made by scrypt (RFC 7914) with N = 2^17, r = 8, p = 1: some 128 MiB and a third of a second
a guess (`python -m benchmarks.storage`); the salt is in the envelope, beside what it wraps.
"""

import getpass
import hashlib
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from typefleet.errors import ConfigError, expected
from typefleet.private_files import require_private
from typefleet.untrusted.limits import KEY_BYTES as MOST_BYTES
from typefleet.untrusted.opening import read_text

KEY_BYTES = 32
_DIGITS = re.compile(r"[0-9a-fA-F]{64}")
_ITSELF = re.compile(r"\s*(0[xX])?[0-9a-fA-F]{64}\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FEWEST_CHARACTERS = 12  # of a passphrase
_FLAG = "--storage.key"
_LEAST_LOG_N, _MOST_LOG_N = 14, 20
_PERSON = b"storage key"


@dataclass(frozen=True)
class Scrypt:
    """How a key was made of a passphrase.

    Attributes:
        salt: of 16 bytes, in hexadecimal digits.
        log_n: N is 2 to this power.
        r, p: further parameters of scrypt.
    """

    salt: str
    log_n: int = 17
    r: int = 8
    p: int = 1

    @staticmethod
    def from_json(found: object, where: object) -> "Scrypt":
        """As an envelope has it.

        Raises:
            ConfigError: it is something else, or would take more memory or less time than any that is written here.
        """
        match found:
            case {"salt": str(salt), "log_n": int(log_n), "r": 8, "p": 1, **more} if (
                not more and re.fullmatch("[0-9a-f]{32}", salt) and _LEAST_LOG_N <= log_n <= _MOST_LOG_N
            ):
                return Scrypt(salt, log_n)
        raise ConfigError(expected(where, "parameters of scrypt", "others"))


@dataclass(frozen=True)
class StorageKey:
    """A key that wraps data keys.

    Attributes:
        key: 32 bytes.
        scrypt: how it was made, if of a passphrase.
    """

    key: bytes = field(repr=False)
    scrypt: Scrypt | None = None

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell one key from another, and nothing else of it."""
        return hashlib.blake2b(self.key, digest_size=8, person=_PERSON).hexdigest()


def check_place(place: str, flag: str = _FLAG) -> None:
    """Refuse what names no place of a key; the key itself, written in its place, is not repeated.

    Raises:
        ConfigError: it is none.
    """
    what = "the path of a key file, env:NAME, passphrase:NAME or passphrase:"
    if _ITSELF.fullmatch(place):
        raise ConfigError(expected(flag, what, "the key itself, which anybody can read in a list of processes"))
    kind, colon, name = place.partition(":")
    if colon and kind in ("env", "passphrase") and not (_NAME.fullmatch(name) or (kind == "passphrase" and not name)):
        raise ConfigError(expected(flag, what, f"{kind}: without the name of a variable"))
    if not place:
        raise ConfigError(expected(flag, what, "nothing"))


def has_passphrase(place: str) -> bool:
    """Whether a place has a passphrase and no key."""
    return place.startswith("passphrase:")


def absolute(place: str) -> str:
    """A place as it is found from any folder."""
    return place if place.startswith("env:") or has_passphrase(place) else str(Path(place).absolute())


def storage_key(place: str, scrypt: Scrypt | None = None, flag: str = _FLAG) -> StorageKey:
    """The key at a place.

    Args:
        place: see the module.
        scrypt: how it was made, where it is that of an envelope; a new salt otherwise.
        flag: that named the place, for the message.

    Raises:
        ConfigError: there is none, one that others can read, or none of the kind that is asked for.
    """
    check_place(place, flag)
    if has_passphrase(place):
        return key_of_passphrase(_passphrase(place, flag), scrypt or _own_scrypt())
    if scrypt is not None:
        raise ConfigError(expected(flag, "passphrase:NAME or passphrase:, since the key is made of one", "another"))
    text = os.environ.get(place[4:]) if place.startswith("env:") else _of_file(Path(place), flag)
    if text is None:  # what stands for the name may be the key itself, and is not repeated
        raise ConfigError(expected(f"{flag}: env:NAME", "the name of a variable that is set", "another"))
    if not _DIGITS.fullmatch(text.strip()):
        raise ConfigError(expected(f"{flag}: {place}", "64 hexadecimal digits", "something else"))
    return StorageKey(bytes.fromhex(text.strip()))


def require_key(place: str) -> None:
    """Refuse a place without a key that can be used, before any work is done for it.

    Args:
        place: see the module; no key is made of a passphrase yet.

    Raises:
        ConfigError: as of `storage_key`.
    """
    check_place(place)
    if has_passphrase(place):
        _passphrase(place, _FLAG)
    else:
        storage_key(place)


def _of_file(path: Path, flag: str) -> str:
    where = f"{flag}: {path}"
    text = read_text(path, f"{where}: a file with the key", ConfigError, MOST_BYTES) if path.exists() else None
    if text is None:
        raise ConfigError(expected(where, "a file of 64 hexadecimal digits", "none"))
    require_private(path, where)
    return text


def _passphrase(place: str, flag: str) -> str:
    name = place.partition(":")[2]
    found = os.environ.get(name) if name else _asked(flag)
    if found is None:  # what stands for the name may be the passphrase itself, and is not repeated
        raise ConfigError(expected(f"{flag}: passphrase:NAME", "the name of a variable that is set", "another"))
    if len(found) < _FEWEST_CHARACTERS:
        what = f"a passphrase of at least {_FEWEST_CHARACTERS} characters"
        raise ConfigError(expected(f"{flag}: {place}", what, "a shorter one"))
    return found


@lru_cache(maxsize=1)
def _asked(flag: str) -> str:
    """What somebody types, asked for once in a process."""
    if not sys.stdin.isatty():
        raise ConfigError(expected(f"{flag}: passphrase:", "a terminal to ask on", "none; use passphrase:NAME"))
    try:
        return getpass.getpass(f"passphrase ({flag}): ")
    except EOFError as error:  # Ctrl-D
        raise ConfigError(expected(f"{flag}: passphrase:", "a passphrase", "the end of what was typed")) from error


@lru_cache(maxsize=1)
def _own_scrypt() -> Scrypt:
    """One salt for all that a process makes anew, so that a passphrase is stretched once."""
    return Scrypt(secrets.token_hex(16))


@lru_cache(maxsize=8)
def key_of_passphrase(passphrase: str, scrypt: Scrypt) -> StorageKey:
    """The key that scrypt makes of a passphrase, once in a process.

    Args:
        passphrase: as it was typed.
        scrypt: its salt and cost.
    """
    n = 2**scrypt.log_n
    most: dict[str, Any] = {"n": n, "r": scrypt.r, "p": scrypt.p, "maxmem": 132 * n * scrypt.r}
    salt = bytes.fromhex(scrypt.salt)
    return StorageKey(hashlib.scrypt(passphrase.encode(), salt=salt, dklen=KEY_BYTES, **most), scrypt)
