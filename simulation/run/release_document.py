"""What the signatures of a release are of: one text, in which each line has the digest of one thing.

    typefleet release 1
    role privacy-officer
    key 64 hexadecimal digits              SHA-256 of the signer's public keys, see `typefleet.signing`
    algorithms ed25519 ml-dsa-65
    signed 2026-11-30T13:05:00Z            by the signer's clock
    weights ...                            of the numbers, as the ledger and the statement have it
    statement ...                          of privacy.json, as the head of the ledger has it
    page ...                               SHA-256 of privacy.md, the page that people read
    ledger-lines 101
    ledger-head ...                        the hash of the last line, and with the chain of all
    config ...                             HMAC-SHA256 of config.toml, keyed with a salt
    audit ...                              HMAC-SHA256 of audit.json likewise, `none` where there was no audit, or
                                           `deleted` and the day on which a policy deleted it
    trail ...                              the hash of the last line of the audit trail then, or `none`
    file keyboard.tflite ...               SHA-256 of each file of model/, the manifest among them

Lines end with a line feed, the last one too; the bytes are ASCII. What is signed is the text as it stands in
`release_signatures.json`, so that nobody who verifies has to put it together.

The settings and the audit are private, and a plain digest would let whoever has it try seeds. So both are keyed with a
salt of 256 random bits, which stays with the run: in the folder of the model the salt is null, and the two lines say
nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from client_model.tflite.export_folder import FILES, MANIFEST, verify_folder
from simulation.audit_trail import FORM, TRAIL, head_of_trail
from simulation.run.ledger_head import head_of
from simulation.storage.deletion_log import deleted_on
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected
from typefleet.signing.algorithms import ED25519, ML_DSA_65
from typefleet.signing.key_files import ROLES, Role, Signer
from typefleet.untrusted.limits import RECORD_BYTES
from typefleet.untrusted.opening import read_bytes

FIRST_LINE = "typefleet release 1"
NOTHING = "none"
TRAIL_LINE = "trail"
SALT_BYTES = 32
_ABOUT = ("role", "key", "algorithms", "signed")
_LINE = re.compile(r"((?:file )?[A-Za-z0-9._-]+) ([ -~]+)")
_ALGORITHMS = {"ed25519": (ED25519,), "ed25519 ml-dsa-65": (ED25519, ML_DSA_65)}
_FILE = "file "
_AUDIT, _DELETED = "audit", "deleted "
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NAMED = {
    "weights": "weights",
    "statement": "privacy.json",
    "page": "privacy.md",
    "ledger-lines": "privacy_ledger.jsonl",
    "ledger-head": "privacy_ledger.jsonl",
    "config": "config.toml",
    _AUDIT: "audit.json",
    TRAIL_LINE: TRAIL,
}


@dataclass(frozen=True)
class SignedText:
    """What a text says.

    Attributes:
        role: that its signer claims.
        key: id of the signer's key.
        algorithms: by which it is signed.
        signed: when.
        things: digests by name, as `things_of` gives them.
    """

    role: Role
    key: str
    algorithms: tuple[str, ...]
    signed: str
    things: tuple[tuple[str, str], ...]


def things_of(root: Path, salt: bytes) -> dict[str, str]:
    """The digests of a finished run, as it is now.

    Args:
        root: of its folder, with files for phones in it.
        salt: of the private ones.

    Raises:
        ConfigError, LedgerError: something is missing, or is not what such a run has.
        VerificationError: a file of the model is not as it was exported.
    """
    head = head_of(root)
    page = read_bytes(root / "privacy.md", "the privacy statement of a run", ConfigError, RECORD_BYTES)
    model = root / "model"
    files = things_of_model(model) if (model / MANIFEST).exists() else {}
    if not any(name in files for name in (f"{_FILE}{one}" for one in FILES.values())):
        what = "exported files for phones, which the signatures are of"
        writes = f"{command('scripts/export_model.py', root)} writes them"
        raise ConfigError(f"{expected(model / MANIFEST, what, 'none')}; {writes}")
    return {
        "weights": str(head["weights_sha256"]),
        "statement": head["statement_sha256"],
        "page": hashlib.sha256(page).hexdigest(),
        "ledger-lines": str(head["lines"]),
        "ledger-head": head["last_hash"] or NOTHING,
        "config": _keyed(root / "config.toml", salt),
        _AUDIT: _audit(root, salt),
        TRAIL_LINE: head_of_trail(root) or NOTHING,
        **files,
    }


def _audit(root: Path, salt: bytes) -> str:
    path = root / "audit.json"
    if path.exists():
        return _keyed(path, salt)
    day = deleted_on(root, path.name)
    return f"{_DELETED}{day}" if day else NOTHING


def things_of_model(model: Path) -> dict[str, str]:
    """The digests of exported files alone, for who has nothing else of the run.

    Args:
        model: their folder.

    Raises:
        VerificationError: a file is not as the manifest says.
    """
    entries = verify_folder(model, None)
    manifest = read_bytes(model / MANIFEST, "a manifest of files", ConfigError, RECORD_BYTES)
    digests = {name: entry["sha256"] for name, entry in entries.items()}
    digests[MANIFEST] = hashlib.sha256(manifest).hexdigest()
    return {f"{_FILE}{name}": digests[name] for name in sorted(digests)}


def _keyed(path: Path, salt: bytes) -> str:
    content = read_bytes(path, "a file of a run", ConfigError, RECORD_BYTES)
    return hmac.new(salt, f"{path.name}\0".encode() + content, hashlib.sha256).hexdigest()


def text_of(signer: Signer, things: Mapping[str, str], now: datetime) -> str:
    """The text that somebody signs.

    Args:
        signer: whose key signs.
        things: from `things_of`.
        now: the time, in UTC.
    """
    about = {
        "role": signer.role,
        "key": signer.key.id,
        "algorithms": " ".join(signer.key.algorithms),
        "signed": f"{now:{_TIME}}",
    }
    return "".join(f"{line}\n" for line in (FIRST_LINE, *(f"{a} {b}" for a, b in {**about, **things}.items())))


def parsed(text: str, where: object) -> SignedText:
    """What a text says; it is one that `text_of` makes, to the last character.

    Raises:
        ConfigError: it is another one.
    """
    first, *lines = text.split("\n")[:-1] or [""]
    found = {one[1]: one[2] for line in lines if (one := _LINE.fullmatch(line)) is not None}
    about = [found.pop(name, "") for name in _ABOUT]
    role = next((one for one in ROLES if one == about[0]), None)
    again = "".join(f"{a} {b}\n" for a, b in (*zip(_ABOUT, about, strict=True), *found.items()))
    is_known = first == FIRST_LINE and role is not None and about[2] in _ALGORITHMS and _is_time(about[3])
    if role is None or not is_known or f"{FIRST_LINE}\n{again}" != text:
        raise ConfigError(expected(where, "the text of a signed release", "a damaged one, or one of another version"))
    return SignedText(role, about[1], _ALGORITHMS[about[2]], about[3], tuple(found.items()))


def _is_time(text: str) -> bool:
    try:
        datetime.strptime(text, _TIME)
    except ValueError:
        return False
    return True


def ends_of_trail(root: Path) -> frozenset[str]:
    """How the audit trail of a run ended after each of its lines, and before the first: it goes on once it is signed.

    Args:
        root: of the run's folder.

    Raises:
        ConfigError: the trail was changed.
    """
    return frozenset((NOTHING, *(line.hash for line in FORM.read(root).lines)))


def changed(signed: SignedText, things: Mapping[str, str], trail: Collection[str] = ()) -> list[str]:
    """Names of the things that are others than what was signed, for a reader, each once.

    Of an audit that a policy has deleted since nothing can be said.

    Args:
        signed: what a text says.
        things: as they are now, all of them or those of the model alone; the files are always held to what was signed.
        trail: how the audit trail has ended so far.
    """
    before = dict(signed.things)
    files = {name for name in before if name.startswith(_FILE)}
    names = [name for name in {**before, **things} if name in files or name in things]
    names = [name for name in names if before.get(name) != things.get(name)]
    names = [name for name in names if name != TRAIL_LINE or before.get(name) not in trail]
    names = [name for name in names if name != _AUDIT or not things[name].startswith(_DELETED)]
    return list(dict.fromkeys(_NAMED.get(name, f"model/{name.removeprefix(_FILE)}") for name in names))
