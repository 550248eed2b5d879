"""The record of what each release cost, written before the release leaves the server.

A ledger is a file of JSON lines. The first line states the plan; every further line is one release:
who took part (salted 64-bit labels), the noise, and the privacy spent so far, computed from the
participations that really happened. Each line carries the hash of the line before it, so an edited
or missing line is found when the file is read again.

Order of events in a round: sum -> ledger line, fsynced -> noise and release. A crash after the line
and before the release therefore over-counts, never under-counts; the resumed run repeats the same
release (same sum, same noise), finds its line there already, and checks that it is equal.
"""

import base64
import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.plan import PrivacyPlan
from typefleet.errors import InputError

NEVER = -(2**31) // 2


class LedgerError(InputError):
    """A ledger that does not fit the run, or was changed."""


@dataclass(frozen=True)
class PrivacySpent:
    """What the participations so far cost; null without privacy."""

    releases: int
    max_participations: int
    min_separation_rounds: int | None  # null while no phone took part twice
    zcdp_rho: float | None
    epsilon: float | None  # by Renyi orders, an upper bound
    delta: float | None


class ParticipationLog:
    """Which phones took part when, and who may take part next.

    Attributes:
        counts: int32 [num_phones], participations.
        last: int32 [num_phones], release of the last one; NEVER if none.
        min_separation: smallest distance seen between two participations of one phone; 0 if none.
    """

    def __init__(self, num_phones: int) -> None:
        self.counts = np.zeros(num_phones, np.int32)
        self.last = np.full(num_phones, NEVER, np.int32)
        self.min_separation = 0

    def may_participate(self, release: int, min_separation_rounds: int, max_participations: int) -> NDArray[np.bool_]:
        """bool [num_phones]: phones that keep the plan if they take part in this release."""
        return (release - self.last >= min_separation_rounds) & (self.counts < max_participations)

    def separation_after(self, release: int, phones: NDArray[np.int64]) -> int:
        """`min_separation` if these phones were part of a release."""
        before = self.last[phones]
        gaps = release - before[before != NEVER]
        return min(int(gaps.min()), self.min_separation or int(gaps.min())) if len(gaps) else self.min_separation

    def record(self, release: int, phones: NDArray[np.int64]) -> None:
        """Count these phones as part of a release."""
        self.min_separation = self.separation_after(release, phones)
        self.counts[phones] += 1
        self.last[phones] = release


def privacy_spent(plan: PrivacyPlan, log: ParticipationLog, releases: int) -> PrivacySpent:
    """The claim for what happened: from the largest number of participations and the smallest separation."""
    return _spent(plan, releases, int(log.counts.max(initial=0)), log.min_separation)


def privacy_after(plan: PrivacyPlan, log: ParticipationLog, release: int, phones: NDArray[np.int64]) -> PrivacySpent:
    """The claim if these phones were part of the release; the log stays as it is."""
    most = max(int(log.counts.max(initial=0)), int(log.counts[phones].max(initial=-1)) + 1)
    return _spent(plan, release, most, log.separation_after(release, phones))


def _spent(plan: PrivacyPlan, releases: int, most: int, separation: int) -> PrivacySpent:
    rho = plan.rho_of(releases, separation or max(releases, 1), most)
    if rho is None or plan.delta is None:
        return PrivacySpent(releases, most, separation or None, None, None, None)
    return PrivacySpent(releases, most, separation or None, rho, epsilon_by_rdp(rho, plan.delta), plan.delta)


def encode_labels(labels: NDArray[np.uint64]) -> str:
    """Base64 of sorted little-endian 64-bit labels."""
    return base64.b64encode(np.sort(labels).astype("<u8").tobytes()).decode("ascii")


def decode_labels(text: str) -> NDArray[np.uint64]:
    """Inverse of `encode_labels`."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<u8")


class PrivacyLedger:
    """An append-only, hash-chained list of releases, on disk or (without a path) in memory.

    Attributes:
        plan: the plan on record. A mechanism that is optimised again, on another machine or with another
            number of threads, may differ in its last digits; what counts is the one the run began with.
    """

    def __init__(self, plan: PrivacyPlan, path: Path | None = None) -> None:
        """Open a ledger, or start one.

        Raises:
            LedgerError: the file was edited, lacks a line, or belongs to another plan.
        """
        self.path = path
        self._entries: list[dict] = []
        self.plan = plan
        if path is not None and path.exists():
            self._entries = _read(path)
        if not self._entries:
            self._append(_chained({"release": 0, "plan": asdict(plan)}, ""))
            return
        on_record = self._entries[0]["plan"]
        if not _same_plan(on_record, asdict(plan)):
            raise LedgerError(f"{path}:1: expected the plan of this run, found another one")
        self.plan = PrivacyPlan.from_json(on_record)

    @property
    def releases(self) -> int:
        """Releases on record."""
        return len(self._entries) - 1

    def record(self, server_round: int, participants: NDArray[np.uint64], spent: PrivacySpent) -> None:
        """Put a release on record, durably, before it is made.

        Raises:
            LedgerError: the release is already there with another content, or one is missing.
            OSError: the line could not be written; the release must not be made.
        """
        entry = {
            "release": spent.releases,
            "round": server_round,
            "reports": len(participants),
            "participants": encode_labels(participants),
            "spent": asdict(spent),
            "epsilon_is_of": self.plan.epsilon_is_of,
        }
        if spent.releases <= self.releases:
            there = {k: v for k, v in self._entries[spent.releases].items() if k not in ("previous", "hash")}
            if there != entry:
                raise LedgerError(
                    f"{self.path}:{spent.releases + 1}: expected the release that this run repeats, "
                    "found another one; epsilon would be understated"
                )
            return
        if spent.releases != self.releases + 1:
            raise LedgerError(f"{self.path}: expected {spent.releases - 1} releases on record, found {self.releases}")
        self._append(_chained(entry, self._entries[-1]["hash"]))

    def _append(self, entry: dict) -> None:
        if self.path is not None:
            line = json.dumps(entry, sort_keys=True) + "\n"
            is_new = not self.path.exists()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        self._entries.append(entry)


def recompute(path: Path, releases: int) -> dict:
    """The cost of the first `releases` releases, from the ledger's participants alone.

    Returns:
        The fields of PrivacySpent.

    Raises:
        LedgerError: the ledger is missing, edited or too short.
    """
    if not path.exists():
        raise LedgerError(f"{path}: expected a privacy ledger, found none")
    entries = _read(path)
    if not entries or len(entries) - 1 < releases:
        raise LedgerError(f"{path}: expected {releases} releases on record, found {max(len(entries) - 1, 0)}")
    plan = PrivacyPlan.from_json(entries[0]["plan"])
    labels = [decode_labels(entry["participants"]) for entry in entries[1 : releases + 1]]
    everyone = np.unique(np.concatenate(labels)) if labels else np.zeros(0, np.uint64)
    log = ParticipationLog(len(everyone))
    for release, present in enumerate(labels, start=1):
        log.record(release, np.searchsorted(everyone, present))
    return asdict(privacy_spent(plan, log, releases))


def _same_plan(a: Any, b: Any, within: float = 1e-4) -> bool:
    """Equal but for the mechanism's parameters, and up to what their rounding does to the noise."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(
            _same_plan(a[name], b[name], math.inf if name == "parameters" else within) for name in a
        )
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same_plan(x, y, within) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return within == math.inf or math.isclose(a, b, rel_tol=within)
    return a == b


def _chained(entry: dict, previous: str) -> dict:
    body = {**entry, "previous": previous}
    return {**body, "hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> list[dict]:
    """All lines, verified. A last line without its newline was never a release and is cut off."""
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    entries: list[dict] = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
            body = {k: v for k, v in entry.items() if k != "hash"}
            intact = entry == _chained({k: v for k, v in body.items() if k != "previous"}, body["previous"])
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise LedgerError(f"{path}:{number}: expected a ledger line, found {error}") from error
        previous = entries[-1]["hash"] if entries else ""
        if not intact or entry["previous"] != previous or entry["release"] != number - 1:
            raise LedgerError(f"{path}:{number}: expected an unbroken chain, found an edited or missing line")
        entries.append(entry)
    if len(whole) != len(raw):
        with path.open("r+b") as file:
            file.truncate(len(whole))
            os.fsync(file.fileno())
    return entries
