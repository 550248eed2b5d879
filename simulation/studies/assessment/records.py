"""What a run has on record of what was done with it: who signed, what was forgotten, which commands were given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_model.tflite.export_folder import RELEASE_SIGNATURES, VerificationError
from server_strategy.privacy.ledger_lines import is_release, read_ledger
from simulation.audit_trail import TRAIL
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import Forgotten, is_told, read_requests
from simulation.run.ledger_head import HEAD
from simulation.run.release_document import ends_of_trail, things_of
from simulation.run.release_signatures import Wanted, read_signatures, require_signatures
from simulation.studies.trail_check import check_trail, head_in_statement
from typefleet.errors import ConfigError, InputError
from typefleet.signing.key_files import ROLES, read_trusted

SIGNERS = ("trainer", "privacy-officer")
"""Roles that have to sign before a release is one that those who answer for it have seen."""


@dataclass(frozen=True)
class Signing:
    """Signatures of a release.

    Attributes:
        signed: roles that signed.
        held: of them, those whose signature was verified, and is of what is here.
        why: what keeps it from being signed by all and verified, in words; None: nothing does.
        holders: of those that hold, the name of who signed, and the role.
    """

    signed: tuple[str, ...]
    held: tuple[str, ...]
    why: str | None
    holders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forgetting:
    """Phones that a run was told to forget.

    Attributes:
        times: how often it was told.
        phones: named by all lines together.
        pending: why it is not known to have been done; None: it was.
    """

    times: int
    phones: int
    pending: str | None


@dataclass(frozen=True)
class Trail:
    """The record of commands.

    Attributes:
        commands: that were given, as far as each line follows the one before it.
        without_end: of them, those that were killed or are at work.
        notes: that ask for a look, by scripts/check_trail.py.
        wrong: what was done to the record, the first of it in words; None: each line follows the one before it.
    """

    commands: int
    without_end: int
    notes: int
    wrong: str | None = None


@dataclass(frozen=True)
class Released:
    """All that a ledger has on record, of whichever life of the run.

    Attributes:
        releases: that were made.
        updates: of phones in them.
    """

    releases: int
    updates: int


def read_released(root: Path) -> Released | None:
    """What was ever released; None: there is no ledger.

    Raises:
        LedgerError: it was changed.
    """
    path = RunDirectory(root).ledger
    if not path.exists():
        return None
    of_releases = [entry for entry in read_ledger(path)[0][1:] if is_release(entry)]
    return Released(len(of_releases), sum(entry["reports"] for entry in of_releases))


def read_signing(root: Path, keys: Path | None) -> Signing | None:
    """Who signed, and whether it holds.

    Args:
        root: of the run's folder.
        keys: TOML file with the public keys that are trusted; None: nothing is verified.

    Raises:
        InputError: a file is damaged, or the keys cannot be used.
    """
    trusted = None if keys is None else read_trusted(keys)
    path = root / RELEASE_SIGNATURES
    if not path.exists():
        return None
    found = read_signatures(path)
    signed = tuple(role for role in ROLES if found.by(role) is not None)
    if trusted is None:
        return Signing(
            signed, (), _lacking(signed) or "the signatures were not verified: no keys were handed in (--keys)"
        )
    if found.salt is None:
        return Signing(signed, (), "the signatures are those of a release that was passed on")
    held: list[str] = []
    holders: list[str] = []
    try:
        things, trail = things_of(root, found.salt), ends_of_trail(root)
        for role in (one for one in ROLES if one in signed):
            (verified,) = require_signatures(path, Wanted((role,), trusted), things, trail)
            held.append(role)
            holders.append(f"{verified.signer.holder} as {role}")
    except (InputError, VerificationError) as error:
        return Signing(signed, tuple(held), _within(root, str(error)), tuple(holders))
    return Signing(signed, tuple(held), _lacking(signed), tuple(holders))


def _lacking(signed: tuple[str, ...]) -> str | None:
    missing = [role for role in SIGNERS if role not in signed]
    return f"no signature by {' and '.join(missing)}" if missing else None


def read_forgetting(root: Path, statement: Mapping[str, Any] | None) -> Forgetting | None:
    """What a run was told to forget, and whether it has.

    Args:
        root: of the run's folder.
        statement: content of privacy.json, which agrees with the ledger; None: there is none.

    Raises:
        ConfigError: the record was changed.
    """
    requests = read_requests(root)
    if not requests:
        return None
    life, pending = Forgotten(requests=requests).life, None
    if life and not is_told(statement, life):
        pending = "the run was told to forget phones, and its statement does not say that it has"
    return Forgetting(len(requests), sum(len(one.phones) for one in requests), pending)


def read_trail(root: Path) -> Trail | None:
    """The commands on record, and whether the record is as commands wrote it; None: there is none, and never was.

    Args:
        root: of the run's folder.

    Raises:
        ConfigError: the head of the ledger, which has the hash of a line, cannot be read.
    """
    if not (root / TRAIL).exists():
        gone = f"it is not there, and {HEAD} has the hash of a line of it"
        return None if head_in_statement(root) is None else Trail(0, 0, 0, gone)
    try:
        found = check_trail(root)
    except ConfigError as error:  # nothing of it can be read
        return Trail(0, 0, 0, _within(root, str(error)))
    wrong = _within(root, found.wrongs[0]) if found.wrongs else None
    return Trail(len(found.steps), sum(one.end is None for one in found.steps), len(found.notes), wrong)


def _within(root: Path, said: str) -> str:
    return said.removeprefix(f"{root}/")
