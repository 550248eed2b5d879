"""Signatures of a release, keys that are trusted, and private keys."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from client_model.tflite.export_folder import RELEASE_SIGNATURES
from simulation.run.release_document import text_of
from simulation.run.release_signatures import (
    Wanted,
    new_signatures,
    read_signatures,
    require_signatures,
    with_signature,
    write_signatures,
)
from tests.fuzz.cases import MARKER, Case, Parser
from tests.simulation.studies.signed_runs import signing_key
from typefleet.signing.algorithms import sign
from typefleet.signing.key_files import private_content, public_content, read_signing_key, read_trusted

THINGS = {"weights": "ab" * 32, "audit": "none", f"file {MARKER}.tflite": "cd" * 32}
TRUSTED, PRIVATE = "trusted.toml", "own.key"


@cache
def key() -> Any:
    return signing_key("trainer", MARKER)


def write(folder: Path) -> None:
    """Two signatures of a release, the keys that are trusted, and a private one."""
    found = new_signatures()
    for one in (key(), officer()):
        text = text_of(one.signer, THINGS, datetime(2026, 11, 30, tzinfo=UTC))
        found = with_signature(found, text, sign(one.private, text.encode()))
    write_signatures(folder / RELEASE_SIGNATURES, found)
    (folder / TRUSTED).write_bytes(public_content(key().signer) + public_content(officer().signer))
    (folder / PRIVATE).write_bytes(private_content(key()))
    (folder / PRIVATE).chmod(0o600)


@cache
def officer() -> Any:
    return signing_key("privacy-officer", "eve")


def verified(folder: Path) -> Any:
    read_signatures(folder / RELEASE_SIGNATURES)
    wanted = Wanted(("trainer", "privacy-officer"), (key().signer, officer().signer))
    return require_signatures(folder / RELEASE_SIGNATURES, wanted, THINGS)


SIGNATURES = Parser("release-signatures", write, RELEASE_SIGNATURES, verified)
TRUSTED_KEYS = Parser("trusted-keys", write, TRUSTED, lambda folder: read_trusted(folder / TRUSTED))
SIGNING_KEY = Parser("signing-key", write, PRIVATE, lambda folder: read_signing_key(folder / PRIVATE))
PARSERS = (SIGNATURES, TRUSTED_KEYS, SIGNING_KEY)


def signatures(name: str, change: Callable[[dict[str, Any]], object], refused: str = "") -> Case:
    def make(folder: Path) -> None:
        path = folder / RELEASE_SIGNATURES
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return Case(SIGNATURES, name, make, refused)


def trusted(name: str, content: str, refused: str = "") -> Case:
    return Case(TRUSTED_KEYS, name, lambda folder: (folder / TRUSTED).write_text(content), refused)


_KEY = base64.b64encode(b"\x02" * 32).decode()
CASES = (
    signatures("none", lambda c: c.update(signatures=[]), "a signature by trainer, found none"),
    signatures("no list", lambda c: c.update(signatures={}), "found a damaged file"),
    signatures("a list in it", lambda c: c.update(signatures=[[]]), "found another entry"),
    signatures("a text that is a number", lambda c: c["signatures"][0].update(text=1), "found another entry"),
    signatures("a long text", lambda c: c["signatures"][0].update(text="a 1\n" * 9_000)),
    signatures("a text with NUL", lambda c: c["signatures"][0].update(text=c["signatures"][0]["text"] + "\0 1\n")),
    signatures("another layout", lambda c: c.update(layout=True), "found a damaged file"),
    signatures("a salt that is a number", lambda c: c.update(salt=1), "in base64, found something else"),
    signatures("a short salt", lambda c: c.update(salt="AAAA"), "a salt of 32 bytes, found 3"),
    signatures("a key more", lambda c: c.update(more=1), "found a damaged file"),
    trusted("nothing", "", r"tables \[\[keys\]\] and nothing else"),
    trusted("a role of its own", f'[[keys]]\nrole = "{MARKER}"\nholder = "a"\ned25519 = "{_KEY}"\n', "a role, one of"),
    trusted(
        "an odd holder", f'[[keys]]\nrole = "auditor"\nholder = "\\u001b[1A"\ned25519 = "{_KEY}"\n', "a name of at"
    ),
    trusted("a long key", f'[[keys]]\nrole = "auditor"\nholder = "a"\ned25519 = "{_KEY * 3}"\n'),
)
