"""The signatures of a release: their file, and whether they hold.

`release_signatures.json` lies in the run's folder and, once a release is exported, in that of the model: each signature
with the text that it is of (see `release_document`), at most one for each role.

A signature holds where its text says the role that it is asked for, its key is trusted for this role and for no other,
each algorithm that the key is for says so, and the text has the digests of what is there now.
"""

import base64
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulation.files import read_json_object, write_text_atomically
from simulation.run.release_document import SALT_BYTES, SignedText, changed, parsed
from typefleet.errors import ConfigError, expected
from typefleet.signing.algorithms import ED25519, INSTALL, ML_DSA_65, SignatureError, require_size, verify
from typefleet.signing.key_files import Role, Signer
from typefleet.untrusted.limits import KEY_BYTES

_WHAT = "the signatures of a release"
_LAYOUT = 1
_NAMES = {"text", ED25519, ML_DSA_65}


@dataclass(frozen=True)
class Signed:
    """One signature, or two by one holder.

    Attributes:
        text: that is signed.
        says: what it says.
        signatures: by algorithm.
    """

    text: str
    says: SignedText
    signatures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Signatures:
    """All of a file.

    Attributes:
        salt: of the digests of private files; None where the file was passed on.
        each: at most one for each role.
    """

    salt: bytes | None = field(repr=False)
    each: tuple[Signed, ...] = ()

    def by(self, role: Role) -> Signed | None:
        """The signature of a role."""
        return next((one for one in self.each if one.says.role == role), None)


@dataclass(frozen=True)
class Verified:
    """A signature that holds.

    Attributes:
        signer: who made it.
        signed: when, by the signer's clock.
        algorithms: by which it was verified.
        unchecked: those by which it is signed and which nobody here can verify.
    """

    signer: Signer
    signed: str
    algorithms: tuple[str, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a release needs.

    Attributes:
        roles: whose signatures.
        trusted: by which keys.
        hybrid: whether each has to be by both algorithms, and verified by both.
    """

    roles: tuple[Role, ...]
    trusted: tuple[Signer, ...]
    hybrid: bool = False


def new_signatures() -> Signatures:
    """Those of a run that nobody has signed."""
    return Signatures(secrets.token_bytes(SALT_BYTES))


def read_signatures(path: Path) -> Signatures:
    """What a file has.

    Raises:
        ConfigError: it cannot be read, is damaged, or has a role twice.
        SignatureError: a signature is cut short.
    """
    found = read_json_object(path, _WHAT, ("layout", "salt", "signatures"), ConfigError, KEY_BYTES)
    salt, some = found["salt"], found["signatures"]
    is_known = found.keys() == {"layout", "salt", "signatures"} and found["layout"] == _LAYOUT
    if not is_known or type(found["layout"]) is not int or not isinstance(some, list):
        raise ConfigError(expected(path, _WHAT, "a damaged file, or one of another version"))
    each = tuple(_signed(one, f"{path}: signature {number}") for number, one in enumerate(some, start=1))
    if len({one.says.role for one in each}) < len(each):
        raise ConfigError(expected(path, "one signature for each role", "two for one"))
    own = None if salt is None else _bytes(salt, path)
    if own is not None and len(own) != SALT_BYTES:
        raise ConfigError(expected(path, f"a salt of {SALT_BYTES} bytes", f"{len(own)}"))
    return Signatures(own, each)


def write_signatures(path: Path, signatures: Signatures, *, with_salt: bool = True) -> None:
    """Replace the file, whole or not at all.

    Args:
        path: of it.
        signatures: all of them.
        with_salt: as it stays with the run, readable by its owner alone; without, as it is passed on.
    """
    salt = signatures.salt if with_salt else None
    content = {
        "layout": _LAYOUT,
        "salt": None if salt is None else base64.b64encode(salt).decode(),
        "signatures": [{"text": one.text, **_texts(one.signatures)} for one in signatures.each],
    }
    write_text_atomically(path, json.dumps(content, indent=2) + "\n", private=with_salt)


def with_signature(signatures: Signatures, text: str, made: Mapping[str, bytes]) -> Signatures:
    """Signatures and one more, in the place of an earlier one of the same role.

    Args:
        signatures: so far.
        text: that was signed.
        made: by algorithm.
    """
    own = Signed(text, parsed(text, _WHAT), tuple(made.items()))
    return Signatures(signatures.salt, (*(one for one in signatures.each if one.says.role != own.says.role), own))


def require_signatures(
    path: Path, wanted: Wanted, things: Mapping[str, str], trail: Collection[str] = ()
) -> list[Verified]:
    """Refuse a release that is not signed as it is.

    Args:
        path: of the signatures.
        wanted: who has to have signed.
        things: digests of what is there, of the whole run or of the model alone.
        trail: of a run, how its audit trail has ended so far.

    Returns:
        What holds, by role as they are wanted.

    Raises:
        ConfigError: the file cannot be read.
        SignatureError: a signature is missing or does not hold; in one line which, and what was changed since.
    """
    if not path.exists():
        raise SignatureError(expected(path, f"signatures by {' and '.join(wanted.roles)}", "none"))
    found = read_signatures(path)
    each = [(role, found.by(role)) for role in wanted.roles]
    verified = [_verified(path, signed, role, wanted) for role, signed in each]
    for role, signed in each:
        if signed is not None and (others := changed(signed.says, things, trail)):
            another = f"one of another {', '.join(others)}"
            raise SignatureError(expected(f"{path}: {role}", "a signature of what is here", another))
    return verified


def _verified(path: Path, signed: Signed | None, role: Role, wanted: Wanted) -> Verified:
    where = f"{path}: {role}"
    if signed is None:
        raise SignatureError(expected(path, f"a signature by {role}", "none"))
    signer = _signer(where, signed, role, wanted.trusted)
    key = signer.key
    if signed.says.algorithms != key.algorithms:
        by = " and ".join(key.algorithms)
        raise SignatureError(expected(where, f"a text that says it is signed by {by}", "another"))
    if wanted.hybrid and ML_DSA_65 not in key.algorithms:
        raise SignatureError(expected(where, f"a signature by {ED25519} and {ML_DSA_65}", f"one by {ED25519} alone"))
    checked = verify(key, signed.text.encode(), dict(signed.signatures), where)
    unchecked = tuple(one for one in key.algorithms if one not in checked)
    if wanted.hybrid and unchecked:
        raise SignatureError(expected(where, f"{INSTALL}, to verify {ML_DSA_65}", "none"))
    return Verified(signer, signed.says.signed, checked, unchecked)


def _signer(where: str, signed: Signed, role: Role, trusted: Sequence[Signer]) -> Signer:
    """Who made a signature, as far as its text says."""
    own = next((one for one in trusted if one.key.id == signed.says.key), None)
    if own is None:
        raise SignatureError(expected(where, f"a signature by a key that is trusted for {role}", "one by another key"))
    if own.role != role:
        raise SignatureError(expected(where, f"a signature by a key that is trusted for {role}", f"one of {own.role}"))
    return own


def _signed(found: Any, where: str) -> Signed:
    if not isinstance(found, dict) or found.keys() != _NAMES or not isinstance(found["text"], str):
        raise ConfigError(expected(where, f"a text with its signatures by {ED25519} and {ML_DSA_65}", "another entry"))
    says = parsed(found["text"], where)
    made = tuple((name, _bytes(found[name], where)) for name in (ED25519, ML_DSA_65) if found[name] is not None)
    for name, signature in made:
        require_size(name, signature, where)
    return Signed(found["text"], says, made)


def _texts(signatures: Sequence[tuple[str, bytes]]) -> dict[str, str | None]:
    made = {name: base64.b64encode(one).decode() for name, one in signatures}
    return {name: made.get(name) for name in (ED25519, ML_DSA_65)}


def _bytes(text: Any, where: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "-", validate=True)
    except ValueError as error:
        raise SignatureError(expected(where, "a signature in base64", "something else")) from error
