"""A folder of exported files that can be trusted: its manifest, its signature, and their verification.

`manifest.json` names every file of the folder with its size and SHA-256. `manifest.sig` holds an Ed25519
signature (RFC 8032) of the manifest's bytes, 64 bytes; `openssl pkeyutl -verify -rawin` accepts it as well. So a
signature covers every file, by way of its digest.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from typefleet.errors import InputError, expected, unreadable
from typefleet.signing.algorithms import has_low_order
from typefleet.untrusted.limits import KEY_BYTES, MODEL_BYTES, RECORD_BYTES
from typefleet.untrusted.opening import read_bytes, require_file, size_of
from typefleet.untrusted.own_json import parse_json, require_object

FILES = {
    "int8": "keyboard.tflite",
    "float16": "keyboard_fp16.tflite",
    "float32": "keyboard_fp32.tflite",
    "training": "keyboard_train.tflite",
}
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
RELEASE_SIGNATURES = "release_signatures.json"
"""Of a run, by role; in the folder of the files as well once they are released. They are of manifest and files."""
_NOT_LISTED = (MANIFEST, SIGNATURE, RELEASE_SIGNATURES)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class VerificationError(InputError):
    """A folder is not what its manifest or its signature says, or a key cannot be used."""


def place_files(draft: Path, folder: Path, facts: Mapping[str, Mapping[str, Any]], known: Sequence[str] = ()) -> None:
    """Move files from a draft folder (on the same disk) into their folder, the manifest last.

    Former signatures are removed first: they are of another manifest. Files that stay are in the new manifest if they
    are still what the former one says, and of the same weights; a file that somebody changed or added, or that an
    earlier export of other weights left, is not vouched for.

    Args:
        draft: holds the new files.
        folder: theirs.
        facts: what the manifest shall say of some of them; `weights_sha256` says of which weights they are.
        known: names of other files in the folder that the new ones were made from.
    """
    for former in (SIGNATURE, RELEASE_SIGNATURES):
        (folder / former).unlink(missing_ok=True)
    entries = {}
    weights = {None, *(fact.get("weights_sha256") for fact in facts.values())}
    for name, entry in _former_entries(folder / MANIFEST).items():
        path = folder / name
        unchanged = path.is_file() and not path.is_symlink() and path.stat().st_size == entry["bytes"]
        unchanged = unchanged and _digest(path) == entry["sha256"]
        if unchanged and any(entry.get("weights_sha256") == one for one in weights):
            entries[name] = entry
    new = [file.name for file in draft.iterdir()]
    for name in new:
        (draft / name).replace(folder / name)
    for name in (*new, *known):
        path = folder / name
        entries[name] = {"bytes": path.stat().st_size, "sha256": _digest(path), **facts.get(name, {})}
    entries = dict(sorted(entries.items()))
    written = draft / MANIFEST
    written.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    written.replace(folder / MANIFEST)


def _former_entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return _read_manifest(path)[1]
    except VerificationError:
        return {}  # none, or not ours: every entry is made anew


def _digest(path: Path) -> str:
    """SHA-256 of a regular file that is no larger than a model is; one that grows meanwhile is read no further."""
    digest, what = hashlib.sha256(), "a file of the manifest"
    left = require_file(path, what, VerificationError)
    if left > MODEL_BYTES:
        raise VerificationError(expected(path, f"{what} of at most {size_of(MODEL_BYTES)}", f"{left:,} bytes"))
    try:
        with path.open("rb") as file:
            while left > 0 and (part := file.read(min(left, 1 << 20))):
                digest.update(part)
                left -= len(part)
    except OSError as error:
        raise VerificationError(unreadable(path, error, "a file of the manifest")) from error
    return digest.hexdigest()


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 key from a PEM file without a password.

    Raises:
        VerificationError: it cannot be read, or is another kind of key.
    """
    try:
        key = load_pem_private_key(read_bytes(path, "a private key in PEM", VerificationError, KEY_BYTES), None)
    except VerificationError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VerificationError(expected(path, "a private key in PEM", "none, or one with a password")) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise VerificationError(expected(path, "an Ed25519 key", "another kind of key"))
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """An Ed25519 public key from a PEM file.

    Raises:
        VerificationError: it cannot be read, or is another kind of key.
    """
    try:
        key = load_pem_public_key(read_bytes(path, "a public key in PEM", VerificationError, KEY_BYTES))
    except VerificationError:
        raise
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(expected(path, "a public key in PEM", "none")) from error
    if not isinstance(key, Ed25519PublicKey):
        raise VerificationError(expected(path, "an Ed25519 key", "another kind of key"))
    if has_low_order(key.public_bytes_raw()):
        raise VerificationError(
            expected(path, "an Ed25519 key", "a point of low order, whose signatures anybody makes")
        )
    return key


def sign_folder(folder: Path, key: Ed25519PrivateKey) -> Path:
    """Sign the manifest of a folder; its path is that of manifest.sig."""
    draft = folder / f".{SIGNATURE}"
    draft.write_bytes(key.sign((folder / MANIFEST).read_bytes()))
    draft.replace(folder / SIGNATURE)
    return folder / SIGNATURE


def verify_folder(folder: Path, key: Ed25519PublicKey | None) -> dict[str, dict[str, Any]]:
    """Hold every file to the manifest, and the manifest to its signature if a key is given.

    Whatever lies in the folder is in the manifest: folders, links, pipes and hidden files have no place there, since
    the manifest says nothing of what is behind them.

    Returns:
        The manifest's entries by name of the file.

    Raises:
        VerificationError: a file is missing, changed, not in the manifest or no regular file; or the signature is
            missing or not of this key.
    """
    content, entries = _read_manifest(folder / MANIFEST)
    if key is not None:
        _verify_signature(folder / SIGNATURE, content, key)
    present = _regular_files(folder)
    for name in sorted(present - set(entries) - set(_NOT_LISTED)):
        raise VerificationError(f"{folder / name}: expected only files of the manifest, found one more")
    for name, entry in entries.items():
        path, size, digest = folder / name, entry["bytes"], entry["sha256"]
        if name not in present:
            raise VerificationError(f"{path}: expected a file of the manifest, found none")
        what = f"{size:,} bytes with sha256 {digest[:16]}..."
        found_size = path.stat().st_size
        if found_size != size:  # before anything is read: a file of holes may be of any size
            raise VerificationError(expected(path, what, f"{found_size:,} bytes"))
        if (found := _digest(path)) != digest:
            raise VerificationError(expected(path, what, f"{found_size:,} bytes with {found[:16]}..."))
    return entries


def _regular_files(folder: Path) -> set[str]:
    """Names of everything in the folder.

    Raises:
        VerificationError: something in it is no regular file.
    """
    try:
        present = list(os.scandir(folder))
    except OSError as error:
        raise VerificationError(unreadable(folder, error, "a folder of exported files")) from error
    for one in sorted(present, key=lambda one: one.name):
        if not one.is_file(follow_symlinks=False):
            found = "a link" if one.is_symlink() else "a folder" if one.is_dir() else "something else"
            raise VerificationError(expected(folder / one.name, "nothing but files", found))
    return {one.name for one in present}


def _read_manifest(path: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """The bytes of a manifest, and its entries."""
    what = "a manifest of files"
    content = read_bytes(path, what, VerificationError, RECORD_BYTES)
    entries = require_object(parse_json(content, path, what, VerificationError), path, what, kind=VerificationError)
    if not entries:
        raise VerificationError(expected(path, what, "none in it"))
    for name, entry in entries.items():
        if not _NAME.fullmatch(name) or name in _NOT_LISTED:
            raise VerificationError(expected(path, "names of files of an export", "another"))
        stated = isinstance(entry, dict) and type(entry.get("bytes")) is int and type(entry.get("sha256")) is str
        if not stated or entry["bytes"] < 0 or not _SHA256.fullmatch(entry["sha256"]):
            raise VerificationError(expected(path, "a size and a digest of every file", "a file without"))
    return content, entries


def _verify_signature(path: Path, content: bytes, key: Ed25519PublicKey) -> None:
    signature = read_bytes(path, "a signature", VerificationError, KEY_BYTES)
    try:
        key.verify(signature, content)
    except InvalidSignature as error:
        raise VerificationError(f"{path}: expected a signature of {MANIFEST} by this key, found another") from error
