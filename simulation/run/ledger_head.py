"""The head of a run's ledger: what a signature is of, so that whoever has it can tell a rewritten chain.

A chain of hashes holds its lines together and no more: who rewrites all of them has a chain as well. So the head, the
number of lines and the hash of the last, is written down elsewhere when the run has ended: in `privacy_head.json`, in
the manifest of the exported files and, in brief, in the card inside them. With the digests of the statement, of the
settings and of the vocabulary in it, one signature covers all that the statement says; the page follows from it. The
manifest is passed on, and has no digest of the settings, by which a small seed can be found.

`privacy_head.sig` is an Ed25519 signature (RFC 8032) of the bytes of `privacy_head.json`, as `manifest.sig` is of
`manifest.json`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server_strategy.privacy.ledger_lines import read_ledger
from simulation.audit_trail import head_of_trail
from simulation.files import read_json_object, write_bytes_atomically, write_text_atomically
from typefleet.errors import ConfigError
from typefleet.untrusted.limits import MODEL_BYTES, RECORD_BYTES
from typefleet.untrusted.opening import read_bytes

HEAD, HEAD_SIGNATURE = "privacy_head.json", "privacy_head.sig"
IN_BRIEF = ("lines", "last_hash")
"""What a model card says of the head."""
SETTINGS_DIGEST, VOCABULARY_DIGEST = "config_sha256", "vocabulary_sha256"
WITH_EARLIER = "epsilon_with_earlier_runs"
"""Key of the head of a run that starts from another: its total with all of them, None where it has none."""
TRAIL_DIGEST = "audit_trail_hash"
"""Key, in privacy_head.json, of the hash of a line of the audit trail: what is before it cannot be cut off unseen."""


def head_of(root: Path) -> dict[str, Any]:
    """The head of the ledger in a run's folder, and what stands beside it.

    Args:
        root: of a run that has ended.

    Returns:
        lines, last_hash, weights_sha256, epsilon, epsilon_is_of; with a start from another run, WITH_EARLIER;
        statement_sha256, of privacy.json with its keys sorted and without spaces; config_sha256, of the bytes of
        config.toml; vocabulary_sha256, of those of model/vocab.txt, None without one.

    Raises:
        ConfigError, LedgerError: something is missing, or is not what such a run has.
    """
    entries, _ = read_ledger(root / "privacy_ledger.jsonl")
    said = read_json_object(root / "privacy.json", "the privacy statement of a run", ("spent", "epsilon_is_of"))
    spent = said["spent"] if isinstance(said["spent"], dict) else {}
    statement = json.dumps(said, sort_keys=True, separators=(",", ":"))
    settings = read_bytes(root / "config.toml", "the settings of a run", ConfigError, RECORD_BYTES)
    return {
        "lines": len(entries),
        "last_hash": entries[-1]["hash"] if entries else "",
        "weights_sha256": said.get("weights_sha256"),
        "epsilon": spent.get("epsilon"),
        "epsilon_is_of": said["epsilon_is_of"],
        **_with_earlier(said),
        "statement_sha256": hashlib.sha256(statement.encode()).hexdigest(),
        SETTINGS_DIGEST: hashlib.sha256(settings).hexdigest(),
        VOCABULARY_DIGEST: _vocabulary_sha256(root / "model" / "vocab.txt"),
    }


def _with_earlier(said: Mapping[str, Any]) -> dict[str, Any]:
    others = said.get("other_runs")
    total = others.get("with_earlier_runs") if isinstance(others, dict) else None
    return {WITH_EARLIER: total.get("epsilon")} if isinstance(total, dict) else {}


def _vocabulary_sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    return hashlib.sha256(read_bytes(path, "a vocabulary", ConfigError, MODEL_BYTES)).hexdigest()


def for_manifest(head: Mapping[str, Any]) -> dict[str, Any]:
    """The head as a manifest has it, which is passed on.

    The digest of the settings would let whoever has it try seeds, and the vocabulary has an entry of its own there.
    """
    return {name: value for name, value in head.items() if name not in (SETTINGS_DIGEST, VOCABULARY_DIGEST)}


def write_head(root: Path) -> None:
    """Write privacy_head.json of a run that has ended, with a line of its trail; a signature of another one goes."""
    (root / HEAD_SIGNATURE).unlink(missing_ok=True)
    trail = head_of_trail(root)
    head = {**head_of(root), **({TRAIL_DIGEST: trail} if trail else {})}
    write_text_atomically(root / HEAD, json.dumps(head, indent=2) + "\n")


def sign_head(root: Path, key: Ed25519PrivateKey) -> Path:
    """Write the head as it is now, and its signature.

    Returns:
        The path of the signature.

    Raises:
        ConfigError, LedgerError: the run has no head.
    """
    write_head(root)
    write_bytes_atomically(root / HEAD_SIGNATURE, key.sign((root / HEAD).read_bytes()))
    return root / HEAD_SIGNATURE
