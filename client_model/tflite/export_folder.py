"""A folder of exported files that can be trusted: its manifest, its signature, and their verification.

`manifest.json` names every file of the folder with its size and SHA-256. `manifest.sig` holds an Ed25519
signature (RFC 8032) of the manifest's bytes, 64 bytes; `openssl pkeyutl -verify -rawin` accepts it as well. So a
signature covers every file, by way of its digest.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from typefleet.errors import InputError, expected, unreadable

FILES = {
    "int8": "keyboard.tflite",
    "float16": "keyboard_fp16.tflite",
    "float32": "keyboard_fp32.tflite",
    "training": "keyboard_train.tflite",
}
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


class VerificationError(InputError):
    """A folder is not what its manifest or its signature says, or a key cannot be used."""


def place_files(draft: Path, folder: Path, facts: Mapping[str, Mapping[str, Any]], known: Sequence[str] = ()) -> None:
    """Move files from a draft folder (on the same disk) into their folder, the manifest last.

    A former signature is removed first: it is of another manifest. Files that stay are in the new manifest if they
    are still what the former one says, and of the same weights; a file that somebody changed or added, or that an
    earlier export of other weights left, is not vouched for.

    Args:
        draft: holds the new files.
        folder: theirs.
        facts: what the manifest shall say of some of them; `weights_sha256` says of which weights they are.
        known: names of other files in the folder that the new ones were made from.
    """
    (folder / SIGNATURE).unlink(missing_ok=True)
    entries = {}
    weights = {None, *(fact.get("weights_sha256") for fact in facts.values())}
    for name, entry in _former_entries(folder / MANIFEST).items():
        unchanged = (folder / name).is_file() and _digest(folder / name) == entry.get("sha256")
        if unchanged and entry.get("weights_sha256") in weights:
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
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # none, or not ours: every entry is made anew
    return found if isinstance(found, dict) and all(isinstance(e, dict) for e in found.values()) else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 key from a PEM file without a password.

    Raises:
        VerificationError: it cannot be read, or is another kind of key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise VerificationError(unreadable(path, error, "a private key in PEM")) from error
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
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise VerificationError(unreadable(path, error, "a public key in PEM")) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError(expected(path, "a public key in PEM", "none")) from error
    if not isinstance(key, Ed25519PublicKey):
        raise VerificationError(expected(path, "an Ed25519 key", "another kind of key"))
    return key


def sign_folder(folder: Path, key: Ed25519PrivateKey) -> Path:
    """Sign the manifest of a folder; its path is that of manifest.sig."""
    draft = folder / f".{SIGNATURE}"
    draft.write_bytes(key.sign((folder / MANIFEST).read_bytes()))
    draft.replace(folder / SIGNATURE)
    return folder / SIGNATURE


def verify_folder(folder: Path, key: Ed25519PublicKey | None) -> dict[str, dict[str, Any]]:
    """Hold every file to the manifest, and the manifest to its signature if a key is given.

    Returns:
        The manifest's entries by name of the file.

    Raises:
        VerificationError: a file is missing, changed or not in the manifest; or the signature is missing or not of
            this key.
    """
    content, entries = _read_manifest(folder / MANIFEST)
    if key is not None:
        _verify_signature(folder / SIGNATURE, content, key)
    present = {p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")}
    for name in sorted(present - set(entries) - {MANIFEST, SIGNATURE}):
        raise VerificationError(f"{folder / name}: expected only files of the manifest, found one more")
    for name, entry in entries.items():
        path, size, digest = folder / name, entry["bytes"], entry["sha256"]
        if name not in present:
            raise VerificationError(f"{path}: expected a file of the manifest, found none")
        found = _digest(path)
        if found != digest:
            found_size = path.stat().st_size
            raise VerificationError(
                f"{path}: expected {size:,} bytes with sha256 {digest[:16]}..., "
                f"found {found_size:,} bytes with {found[:16]}..."
            )
    return entries


def _read_manifest(path: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """The bytes of a manifest, and its entries."""
    try:
        content = path.read_bytes()
        entries = json.loads(content)
    except OSError as error:
        raise VerificationError(unreadable(path, error, "a manifest of files")) from error
    except (ValueError, RecursionError) as error:
        raise VerificationError(expected(path, "a manifest of files", "no JSON")) from error
    if not isinstance(entries, dict):
        raise VerificationError(expected(path, "a manifest of files", "other JSON"))
    for entry in entries.values():
        if not isinstance(entry, dict) or type(entry.get("bytes")) is not int or type(entry.get("sha256")) is not str:
            raise VerificationError(expected(path, "a size and a digest of every file", "a file without"))
    return content, entries


def _verify_signature(path: Path, content: bytes, key: Ed25519PublicKey) -> None:
    try:
        key.verify(path.read_bytes(), content)
    except OSError as error:
        raise VerificationError(unreadable(path, error, "a signature")) from error
    except InvalidSignature as error:
        raise VerificationError(f"{path}: expected a signature of {MANIFEST} by this key, found another") from error
