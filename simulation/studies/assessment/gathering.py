"""All that an assessment reads of a run: its plain files alone, so that it needs no key and works when it has expired.

What a file says is held to what its own reader holds it to; the privacy statement is checked against the ledger first,
and one that does not agree is refused. A file that is not there is None, and why it is not is known.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client_model.text.population import text_source
from simulation.config import RunConfig
from simulation.files import read_json_object
from simulation.flags import read_config
from simulation.storage.deletion_log import Deletion, read_log
from simulation.studies.assessment.parts import NOT_SET, Figure, Value
from simulation.studies.assessment.records import (
    Forgetting,
    Released,
    Signing,
    Trail,
    read_forgetting,
    read_released,
    read_signing,
    read_trail,
)
from simulation.studies.audits.attack import LARGEST
from simulation.studies.audits.audit import Audit, read_audit, settings_digest
from simulation.studies.privacy_check import checked
from simulation.studies.retention import is_finished, read_policy
from typefleet.errors import ConfigError, expected
from typefleet.sealed.envelope import Needed, needed_by
from typefleet.untrusted.own_json import json_kind

SUMMARY, STATEMENT, PARTICIPATION = "summary.json", "privacy.json", "participation.json"
AUDIT, FORGOTTEN, TRAIL = "audit.json", "forgotten.jsonl", "audit_trail.jsonl"
SIGNATURES, LEDGER = "release_signatures.json", "privacy_ledger.jsonl"
_RECORDS = {
    SUMMARY: "the outcome of a finished run",
    PARTICIPATION: "who took part in a run",
}
_TEXT_AUDIT = "data_audit.json"
_TEXT_KEYS = ("source", "messages", "phones", "tokens", "personal", "redactable")


@dataclass
class Gathered:
    """What a run's folder says.

    Attributes:
        folder: of the run.
        config: its settings.
        ended: whether it has.
        records: content of its JSON files, by name; those that are there.
        audit: what attacks on these weights came to; None: `why` says why there is nothing.
        text_audit: what an audit of the text found; None: none was handed in.
        forgotten, trail, signing: what was forgotten, which commands were given, who signed; None: no record.
        released: what the ledger has on record, with earlier lives of the run; None: there is no ledger.
        deletions: what the log says was deleted.
        policy: days by category; None: none was handed in.
        needed: the storage key that opens what is encrypted; None: there is no wrapped key here.
        settings_sha256: of the settings but for seeds and places of files.
        now_s: seconds since 1970.
        why: of what is not there, by name.
    """

    folder: Path
    config: RunConfig
    ended: bool
    now_s: float
    settings_sha256: str
    deletions: tuple[Deletion, ...]
    needed: Needed | None
    policy: Mapping[str, float] | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: Audit | None = None
    text_audit: dict[str, Any] | None = None
    forgotten: Forgetting | None = None
    trail: Trail | None = None
    signing: Signing | None = None
    released: Released | None = None
    why: dict[str, str] = field(default_factory=dict)

    @property
    def private(self) -> bool:
        """Whether a mechanism adds noise, by the settings."""
        return self.config.privacy.mechanism != "none"

    @property
    def shredded(self) -> bool:
        """Whether what was encrypted can be read by nobody any more."""
        return self.needed is None and any(one.key_erased for one in self.deletions)

    def why_not(self, name: str) -> str:
        """Why a file of the run is not there."""
        return self.why.get(name) or self._absent(name)

    def _absent(self, name: str) -> str:
        gone = next((one for one in reversed(self.deletions) if one.what == name), None)
        if gone is not None:
            return f"{name} was deleted on {gone.at[:10]}, as deletions.jsonl says"
        return f"{name} is not in the run's folder" + ("" if self.ended else ", and the run has not ended")

    def at(self, file: str, path: str) -> Any:
        """A value of a file, by its dotted key; None where the file or a key is not there."""
        found: Any = self.records.get(file)
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def number(self, file: str, path: str) -> int | float | None:
        """A number of a file.

        Raises:
            ConfigError: it is something else.
        """
        found: int | float | None = self.at(file, path)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < LARGEST:
            raise ConfigError(expected(f"{self.folder / file}: {path}", "a number", json_kind(found)))
        return found

    def rows(self, file: str, path: str) -> list[dict[str, Any]]:
        """The objects of a list in a file; none where it is not there.

        Raises:
            ConfigError: it is something else.
        """
        found = self.at(file, path)
        if not isinstance(found, list | None) or not all(isinstance(one, dict) for one in found or ()):
            raise ConfigError(expected(f"{self.folder / file}: {path}", "a list of objects", "another value"))
        return found or []

    def figure(self, name: str, unit: str, file: str, path: str) -> Figure:
        """A number of a file, with where it stands; or why there is none."""
        value = self.number(file, path)
        why = None
        if value is None:
            why = f"{file} does not say it" if file in self.records else self.why_not(file)
        return Figure(name, value, unit, f"{file}: {path}", why)

    def setting(self, name: str, value: Value, unit: str, flag: str) -> Figure:
        """A value of the settings."""
        why = None if value is not None else NOT_SET
        return Figure(name, value, unit, f"config.toml: {flag}", why)


def gather(
    folder: Path, text_audit: Path | None = None, policy: Path | None = None, keys: Path | None = None
) -> Gathered:
    """Read what there is of a run.

    Args:
        folder: of the run.
        text_audit: data_audit.json of scripts/audit_data.py, or its folder; None: there is none.
        policy: what is kept for how long; None: nobody said.
        keys: public keys that are trusted to sign a release; None: no signature is verified.

    Raises:
        ConfigError, LedgerError: it is no run; its privacy statement does not agree with its ledger; a file is damaged.
    """
    if not (folder / "config.toml").is_file():
        raise ConfigError(expected(folder, "the folder of a run", "one without config.toml"))
    config = read_config(folder / "config.toml", begun=True)
    found = Gathered(
        folder=folder,
        config=config,
        ended=is_finished(folder),
        now_s=time.time(),
        settings_sha256=settings_digest(config),
        deletions=tuple(line for line, _ in read_log(folder)),
        needed=needed_by(folder),
        policy=None if policy is None else read_policy(policy),
    )
    if (folder / STATEMENT).exists():
        found.records[STATEMENT] = _statement(folder)
    for name, what in _RECORDS.items():
        if (folder / name).exists():
            found.records[name] = read_json_object(folder / name, what)
    found.forgotten = read_forgetting(folder, found.records.get(STATEMENT))
    found.trail, found.signing = read_trail(folder), read_signing(folder, keys)
    found.released = read_released(folder)
    _take_audit(found)
    if text_audit is not None:
        path = text_audit / _TEXT_AUDIT if text_audit.is_dir() else text_audit
        found.text_audit = _text_audit(path, text_source(config.data))
    return found


def _statement(folder: Path) -> dict[str, Any]:
    evidence, findings = checked(folder)
    # What was done to the record of commands says nothing against the statement, and is told for itself.
    wrongs = [one for one in findings.wrongs if one.place.partition(":")[0] != TRAIL]
    if wrongs:
        first, number = wrongs[0], len(wrongs)
        more = f", and {number - 1} more" if number > 1 else ""
        what = "a privacy statement that agrees with the ledger (scripts/check_privacy.py says all that does not)"
        raise ConfigError(expected(folder / first.place.partition(":")[0], what, f"{first.place}: {first.why}{more}"))
    return evidence.statement


def _take_audit(found: Gathered) -> None:
    """Attacks on other weights, or on other settings, say nothing of this run."""
    audit, weights = read_audit(found.folder), found.at(SUMMARY, "weights_sha256")
    if audit is None:
        return
    if audit.weights_sha256 is None or audit.weights_sha256 != weights:
        found.why[AUDIT] = "audit.json is of other weights than this run's, and counts for nothing here"
    elif audit.settings_sha256 not in (None, found.settings_sha256):
        found.why[AUDIT] = "audit.json is of other settings than this run's, and counts for nothing here"
    else:
        found.audit = audit


def _text_audit(path: Path, source: str) -> dict[str, Any]:
    found = read_json_object(path, "what an audit of a text found", _TEXT_KEYS)
    if found["source"] != source:
        raise ConfigError(expected(path, "an audit of the text that the run trained on", "one of another text"))
    rows = found["personal"]
    counts = [found[name] for name in ("messages", "phones", "tokens")]
    are_rows = isinstance(rows, list) and all(_is_kind(one) for one in rows)
    some = found["redactable"]
    if not are_rows or not all(type(one) is int for one in counts) or not isinstance(some, dict):
        raise ConfigError(expected(path, "what an audit of a text found", "another file"))
    if type(some.get("messages")) is not int:
        raise ConfigError(expected(path, "what an audit of a text found", "another file"))
    return found


def _is_kind(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        return False
    return all(type(row.get(name)) in (int, type(None)) for name in ("places", "messages", "phones"))
