"""Signing a run, by role, once its privacy statement was checked and read; and releasing what was signed.

The statement is checked as `scripts/check_privacy.py` does, and its decisive lines are shown. Then somebody at the
terminal says that they sign it; without a terminal, the digest of the page that they read says that they did.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from client_model.tflite.export_folder import MANIFEST, RELEASE_SIGNATURES, VerificationError
from server_strategy.privacy.rounded_up import Bound
from simulation.files import read_json_object
from simulation.run.artefacts import is_to_pass_on
from simulation.run.forgotten import require_nothing_pending
from simulation.run.release_document import changed, ends_of_trail, parsed, text_of, things_of, things_of_model
from simulation.run.release_signatures import (
    Signatures,
    Verified,
    Wanted,
    new_signatures,
    read_signatures,
    require_signatures,
    with_signature,
    write_signatures,
)
from simulation.storage.deletion_log import deleted_on
from simulation.studies.audits.audit import read_audit, verdict, whose_claim
from simulation.studies.privacy_check import check_statement
from simulation.studies.privacy_heads import require_head
from simulation.tables import console_for, print_facts
from typefleet.errors import ConfigError, expected
from typefleet.sealed.chunks import is_sealed
from typefleet.sealed.envelope import ENVELOPE
from typefleet.signing.algorithms import ML_DSA_65, sign
from typefleet.signing.key_files import Role, Signer, SigningKey

_SEEN = "--statement-seen"
_PAGE = "privacy.md"
_OF_A_RUN = ("config.toml", "privacy_ledger.jsonl", "rounds.jsonl", "participation.json", "checkpoints")
"""What a run's folder has, any of it, and what is passed on of one has not."""


def sign_off(
    out: TextIO,
    root: Path,
    role: Role,
    key: SigningKey,
    *,
    seen: str | None = None,
    asks: Callable[[str], str] | None = None,
) -> Path:
    """Check a run, show what its statement comes to, and sign it if whoever is there says so.

    Args:
        out: takes what is shown.
        root: of the folder of a finished run with exported files; held by the caller.
        role: to sign for.
        key: of somebody with this role.
        seen: SHA-256 of the page that they have read, in the place of an answer.
        asks: shows a question and returns the answer; None: there is no terminal to ask on.

    Returns:
        The path of the signatures.

    Raises:
        ConfigError, LedgerError: something is missing or damaged, or nobody says that they sign.
        VerificationError: the statement does not agree, a file is not as it was exported, or one was changed meanwhile.
        SignatureError: the key is of another role.
    """
    if key.signer.role != role:
        raise ConfigError(expected("--role", f"{key.signer.role}, which the key is for", role))
    path = root / RELEASE_SIGNATURES
    before = read_signatures(path) if path.exists() else new_signatures()
    if before.salt is None:
        raise ConfigError(expected(path, "the run's own signatures", "those of a release that was passed on"))
    require_nothing_pending(root, "to sign")
    things = things_of(root, before.salt)  # first: what is read below is held to it once there is an answer
    _require_statement(root)
    show(out, root, key.signer, before)
    _require_consent(things["page"], role, seen, asks)
    text = text_of(key.signer, things, datetime.now(UTC))
    if others := changed(parsed(text, root), things_of(root, before.salt), ends_of_trail(root)):
        found = f"another {', '.join(others)}; nothing was signed"
        raise VerificationError(expected(root, "what was shown, still there after the answer", found))
    write_signatures(path, with_signature(before, text, sign(key.private, text.encode())))
    return path


def _require_statement(root: Path) -> None:
    found = StringIO()
    if not check_statement(root, StringIO(), found):
        why = found.getvalue().strip().splitlines()[-1]
        raise VerificationError(expected(root, "a privacy statement that holds for the weights", why))


def _require_consent(digest: str, role: Role, seen: str | None, asks: Callable[[str], str] | None) -> None:
    """Refuse to sign what nobody says that they have read.

    Raises:
        ConfigError: nobody does.
    """
    if seen is not None:
        if seen.lower() != digest:
            raise ConfigError(expected(_SEEN, f"the SHA-256 of {_PAGE} as it is now", "another text"))
        return
    if asks is None:
        what = f"{_SEEN} with the SHA-256 of the {_PAGE} that was read, since there is no terminal to ask on"
        raise ConfigError(expected("what is signed", what, "none"))
    if asks(f"Type {role} to sign this, or anything else to leave it: ").strip() != role:
        raise ConfigError(expected("the answer", role, "another; nothing was signed"))


def show(out: TextIO, root: Path, signer: Signer, before: Signatures) -> None:
    """Print the decisive lines of what is to be signed.

    Args:
        out: where to.
        root: of the run's folder.
        signer: who would sign.
        before: signatures that there are.
    """
    said = read_json_object(root / "privacy.json", "the privacy statement of a run", ("spent", "epsilon_is_of"))
    plain, sealed, passed_on = _sorted_files(root)
    by = " and ".join(signer.key.algorithms)
    rows = [
        ("to be signed", [f"{root} as {signer.role}, by {signer.holder}, with {by}"]),
        ("guarantee", [_of(said, "statement"), *filter(None, [_of(said, "not_guaranteed")])]),
        ("epsilon", _epsilon(said)),
        ("noise", [_noise(said)]),
        ("audit", _audit(root)),
        ("passed on, plain", [", ".join(passed_on)]),
        ("kept, plain", [", ".join(plain) or "nothing"]),
        ("kept, encrypted", [", ".join(sealed) or "nothing: the run has no storage key"]),
        ("signed so far", [_signed(before)]),
        ("read it first", [str(root / _PAGE)]),
    ]
    print_facts(console_for(out), rows)


def _of(said: dict[str, Any], name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) else ""


def _epsilon(said: dict[str, Any]) -> list[str]:
    spent = said["spent"] if isinstance(said["spent"], dict) else {}
    epsilon, delta = spent.get("epsilon"), spent.get("delta")
    if not isinstance(epsilon, float) or not isinstance(delta, float):
        return [f"none: {said['epsilon_is_of']}"]
    others = _of(said, "statement_with_earlier_runs"), _of(said, "statement_with_account")
    return [f"{Bound(epsilon):.4g} at delta {Bound(delta):.2g}, of {said['epsilon_is_of']}", *filter(None, others)]


def _noise(said: dict[str, Any]) -> str:
    source = {
        "secret": "keyed by a secret of the run",
        "seeded": "repeatable: whoever finds the seed takes it away",
    }.get(_of(said, "noise_source"), "none, or of unknown origin")
    return f"{source}; {_of(said, 'noise_secret')}" if _of(said, "noise_secret") else source


def _audit(root: Path) -> list[str]:
    audit = read_audit(root)
    if audit is None:
        day = deleted_on(root, "audit.json")
        return [f"none any more: deleted by policy on {day}" if day else "none: nobody has attacked this model"]
    how = "quick attacks" if audit.quick else "attacks"
    rule = "held to a rule for releases" if audit.release is not None else "held to no rule for releases"
    return [f"{verdict(audit)[1]} ({how}, {rule})", *filter(None, [whose_claim(audit)])]


def _sorted_files(root: Path) -> tuple[list[str], list[str], list[str]]:
    """(what stays with the run and is plain, what stays and is encrypted, what is passed on), by path."""
    plain, sealed, passed_on = set[str](), set[str](), set[str]()
    for path in sorted(root.rglob("*")):
        place = PurePosixPath(path.relative_to(root).as_posix())
        if not path.is_file() or place.name.startswith("."):
            continue
        name = str(place) if len(place.parts) == 1 else f"{place.parts[0]}/"
        if is_to_pass_on(place):
            passed_on.add(name)
        else:
            (sealed if is_sealed(path) or name == ENVELOPE else plain).add(name)
    return sorted(plain), sorted(sealed), sorted(passed_on)


def _signed(before: Signatures) -> str:
    each = [f"{one.says.role} at {one.says.signed}" for one in before.each]
    return f"{', '.join(each)}; verify_model.py says whether it holds" if each else "nobody"


def terminal_to_ask_on() -> Callable[[str], str] | None:
    """Asks whoever sits at the terminal; None where nobody does."""
    return _asked if sys.stdin.isatty() and sys.stdout.isatty() else None


def _asked(question: str) -> str:
    try:
        return input(question)
    except EOFError:  # Ctrl-D: nobody answers
        print()
        return ""


def verify_release(root: Path, model: Path, wanted: Wanted) -> tuple[list[Verified], bool]:
    """Hold a release to its signatures.

    Args:
        root: of a run, of which everything is held to its own ones; or one that was passed on.
        model: folder of the exported files.
        wanted: who has to have signed.

    Returns:
        (What holds; whether the whole run was held to it, and not its files alone).

    Raises:
        ConfigError, LedgerError: something cannot be read.
        VerificationError, SignatureError: in one line what does not hold.
    """
    own = root / RELEASE_SIGNATURES
    is_run = any((root / name).exists() for name in _OF_A_RUN)
    if is_run and root == model:
        raise VerificationError(expected(root / MANIFEST, "none, since a run has its files in model/", "one"))
    if is_run and not own.exists():
        raise VerificationError(expected(own, "the run's own signatures, which everything in it is held to", "none"))
    if root == model or not own.exists():
        return require_signatures(model / RELEASE_SIGNATURES, wanted, things_of_model(model)), False
    salt = read_signatures(own).salt
    if salt is None:
        raise ConfigError(expected(own, "the run's own signatures, with the salt of its private files", "others"))
    found = require_signatures(own, wanted, things_of(root, salt), ends_of_trail(root))
    require_head(root)
    if (model / RELEASE_SIGNATURES).exists():
        require_signatures(model / RELEASE_SIGNATURES, wanted, things_of_model(model))
    return found, True


def release(root: Path, wanted: Wanted) -> list[Verified]:
    """Put the signatures of a run beside its exported files, if all that are wanted hold; nothing is made anew.

    Args:
        root: of the run's folder; held by the caller.
        wanted: who has to have signed.

    Raises:
        ConfigError, LedgerError: something cannot be read.
        VerificationError, SignatureError: in one line what does not hold; an earlier release is taken back.
    """
    own, model = root / RELEASE_SIGNATURES, root / "model"
    if not own.exists():
        raise VerificationError(expected(own, f"signatures by {' and '.join(wanted.roles)}", "none"))
    (model / RELEASE_SIGNATURES).unlink(missing_ok=True)  # of an earlier release: if anything fails there is none
    require_nothing_pending(root, "to release")
    found, _ = verify_release(root, model, wanted)
    signatures = read_signatures(own)
    kept = tuple(one for one in signatures.each if one.says.role in wanted.roles)
    write_signatures(model / RELEASE_SIGNATURES, Signatures(signatures.salt, kept), with_salt=False)
    return found


def told(found: list[Verified]) -> list[str]:
    """Who signed, in a line each.

    Args:
        found: what holds.
    """
    return [
        f"signed: {one.signer.role}, {one.signer.holder}, {one.signed}, by {' and '.join(one.algorithms)}"
        + (f"; {ML_DSA_65} not checked, since pqcrypto is not installed" if one.unchecked else "")
        + ("" if ML_DSA_65 in one.signer.key.algorithms else " alone")
        for one in found
    ]
