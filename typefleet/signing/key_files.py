"""Files of keys that sign: private ones, which are their holder's alone, and public ones, by role.

`NAME.key` is JSON, of mode 0600: role, holder and keys in base64. With a passphrase all of it is sealed (AES-256-GCM,
with a key by scrypt, see `typefleet.sealed`). `NAME.pub` is TOML, one table of `[[keys]]`:

    [[keys]]
    role = "privacy-officer"
    holder = "eve"
    ed25519 = "..."         # 32 bytes in base64
    ml-dsa-65 = "..."       # 1,952 bytes in base64; without it the holder signs by Ed25519 alone

Several such files one after another are one as well: that is the file of keys that are trusted. Which role a key has is
said by whoever keeps that file, and by nobody else. Nobody has two roles in it, neither by key nor by name.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from typefleet.errors import ConfigError, expected
from typefleet.private_files import require_private
from typefleet.sealed.chunks import SealedError, opened_bytes, sealed_bytes
from typefleet.sealed.storage_key import Scrypt, has_passphrase, storage_key
from typefleet.signing.algorithms import ED25519, ML_DSA_65, PrivateKey, PublicKey, SignatureError, require_key
from typefleet.untrusted.limits import KEY_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.own_json import parse_json, require_object
from typefleet.untrusted.toml_tables import toml_of

Role: TypeAlias = Literal["trainer", "privacy-officer", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
PASSPHRASE = "--passphrase"
_PRIVATE, _TRUSTED, _SEALED = "a key that signs", "public keys by role", "signing key"
_HOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LAYOUT, _TABLE = 1, "keys"


@dataclass(frozen=True)
class Signer:
    """A public key, and who has the other half of it.

    Attributes:
        role: what the holder may sign for.
        holder: a name, or what stands for one.
        key: the public one.
    """

    role: Role
    holder: str
    key: PublicKey


@dataclass(frozen=True)
class SigningKey:
    """A private key and its holder."""

    signer: Signer
    private: PrivateKey


def require_holder(holder: str, where: object) -> None:
    """Refuse a name that cannot be one of a file or stand in a table.

    Raises:
        ConfigError: it is one.
    """
    if not _HOLDER.fullmatch(holder):
        raise ConfigError(expected(where, "a name of at most 64 letters, digits, -, _ and .", "another"))


def public_content(signer: Signer) -> bytes:
    """What `NAME.pub` has."""
    lines = [f"[[{_TABLE}]]", f'role = "{signer.role}"', f'holder = "{signer.holder}"']
    lines += [f'{name} = "{content}"' for name, content in _texts(signer.key).items() if content is not None]
    return ("\n".join(lines) + "\n\n").encode()


def private_content(key: SigningKey, passphrase: str | None = None) -> bytes:
    """What `NAME.key` has.

    Args:
        key: the private one.
        passphrase: place of one, `passphrase:NAME` of a variable or `passphrase:` to be asked; None: none is needed.

    Raises:
        ConfigError: there is no passphrase at this place, or one that is too short.
    """
    about = {"role": key.signer.role, "holder": key.signer.holder}
    plain = {"layout": _LAYOUT, **about, "public": _texts(key.signer.key), "private": _texts(key.private)}
    content = json.dumps(plain, indent=2) + "\n"
    if passphrase is None:
        return content.encode()
    _require_passphrase(passphrase)
    made = storage_key(passphrase, flag=PASSPHRASE)
    if made.scrypt is None:
        raise ConfigError(expected(PASSPHRASE, "a passphrase", "a key"))
    sealed = base64.b64encode(sealed_bytes(content.encode(), made.key, _SEALED)).decode()
    return (json.dumps({"layout": _LAYOUT, "scrypt": asdict(made.scrypt), "sealed": sealed}, indent=2) + "\n").encode()


def read_signing_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """A private key from its file.

    Args:
        path: of the file.
        passphrase: place of one; None: it is asked for, where the file needs one.

    Raises:
        ConfigError: others can read the file, it is none, or the passphrase is another.
        SignatureError: what is in it is no key.
    """
    content = read_bytes(path, _PRIVATE, ConfigError, KEY_BYTES)
    require_private(path, path)
    found = require_object(parse_json(content, path, _PRIVATE), path, _PRIVATE)
    if "sealed" in found:
        found = _unsealed(found, path, passphrase or "passphrase:")
    elif passphrase is not None:
        raise ConfigError(expected(PASSPHRASE, f"none, since {path.name} needs none", "one"))
    role, holder, public, private = (found.get(name) for name in ("role", "holder", "public", "private"))
    known = found.keys() == {"layout", "role", "holder", "public", "private"} and found["layout"] == _LAYOUT
    if not known or type(found["layout"]) is not int or not isinstance(public, dict) or not isinstance(private, dict):
        raise ConfigError(expected(path, _PRIVATE, "a damaged one, or one of another version"))
    signer = _signer({"role": role, "holder": holder, **public}, path)
    key = PrivateKey(signer.key, *_keys(private, path))
    require_key(key, path)
    return SigningKey(signer, key)


def read_trusted(path: Path) -> tuple[Signer, ...]:
    """The public keys that somebody trusts, each for a role.

    Raises:
        ConfigError: the file cannot be read, has another form, or gives one key or one holder two roles.
        SignatureError: what is in it is no key.
    """
    table = toml_of(read_bytes(path, _TRUSTED, ConfigError, KEY_BYTES), path, _TRUSTED, ConfigError)
    some = table.get(_TABLE)
    if table.keys() != {_TABLE} or not isinstance(some, list) or not all(isinstance(one, dict) for one in some):
        raise ConfigError(expected(path, f"tables [[{_TABLE}]] and nothing else", "another content"))
    signers = tuple(_signer(one, f"{path}: key {number}") for number, one in enumerate(some, start=1))
    _require_one_role_each(signers, path)
    return signers


def _require_one_role_each(signers: Sequence[Signer], path: Path) -> None:
    """Two roles in one hand are one role, whatever the file calls them.

    Raises:
        ConfigError: a key stands twice, or a holder has two roles.
    """
    for (first, one), (second, other) in combinations(enumerate(signers, start=1), 2):
        if one.key.shares(other.key):
            raise ConfigError(expected(path, "each key once", f"key {first} again as key {second}"))
        if one.role != other.role and one.holder.casefold() == other.holder.casefold():
            found = f"the holder of key {first}, {one.role}, as {other.role} in key {second}"
            raise ConfigError(expected(path, "one role for each holder", found))


def _unsealed(found: Mapping[str, Any], path: Path, passphrase: str) -> dict[str, Any]:
    """What a passphrase keeps."""
    _require_passphrase(passphrase)
    scrypt, sealed = Scrypt.from_json(found.get("scrypt"), path), _bytes(found.get("sealed"), path)
    try:
        content = opened_bytes(sealed, storage_key(passphrase, scrypt, PASSPHRASE).key, _SEALED, path)
    except SealedError as error:
        another = "another one, or a file that was changed"
        raise SignatureError(expected(path, "the passphrase that keeps it", another)) from error
    return require_object(parse_json(content, path, _PRIVATE), path, _PRIVATE)


def _require_passphrase(place: str) -> None:
    if not has_passphrase(place):
        raise ConfigError(expected(PASSPHRASE, "passphrase:NAME, or passphrase: to be asked", "another place"))


def _signer(found: Mapping[str, Any], where: object) -> Signer:
    role, holder = found.get("role"), found.get("holder")
    if role not in ROLES:
        raise ConfigError(expected(where, f"a role, one of {', '.join(ROLES)}", "another"))
    if not isinstance(holder, str):
        raise ConfigError(expected(where, "the name of a holder", "none"))
    require_holder(holder, where)
    key = PublicKey(*_keys({name: content for name, content in found.items() if name not in ("role", "holder")}, where))
    require_key(key, where)
    return Signer(role, holder, key)


def _texts(key: PublicKey | PrivateKey) -> dict[str, str | None]:
    """Keys in base64, by algorithm."""
    both = {ED25519: key.ed25519, ML_DSA_65: key.ml_dsa_65}
    return {name: None if one is None else base64.b64encode(one).decode() for name, one in both.items()}


def _keys(found: Mapping[str, Any], where: object) -> tuple[bytes, bytes | None]:
    """Inverse of `_texts`; a missing one is None."""
    if not found.keys() <= {ED25519, ML_DSA_65}:
        raise ConfigError(expected(where, f"keys by {ED25519} and {ML_DSA_65}", "another"))
    second = found.get(ML_DSA_65)
    return _bytes(found.get(ED25519), where), None if second is None else _bytes(second, where)


def _bytes(text: object, where: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "-", validate=True)
    except ValueError as error:
        raise SignatureError(expected(where, "a key in base64", "something else")) from error
