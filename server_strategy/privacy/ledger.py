"""The record of what each release cost, written before the release leaves the server.

A ledger is a file of JSON lines. The first line states the plan; every further line is one release:
who took part (salted 64-bit labels), the noise, and the privacy spent so far, computed from the
participations that really happened. Each line carries the hash of the line before it, so an edited
or missing line is found when the file is read again.

Order of events in a round: sum -> ledger line, fsynced -> noise and release. A crash after the line
and before the release therefore over-counts, never under-counts; the resumed run repeats the same
release (same sum, same noise), finds its line there already, and checks that it is equal.

A last line without its newline was not yet on disk as a whole, so its release was not made. The run that goes on cuts
it off; whoever only reads leaves the file as it is.
"""

import json
import math
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import LedgerError as LedgerError
from server_strategy.privacy.ledger_lines import PrivacySpent as PrivacySpent
from server_strategy.privacy.ledger_lines import chained, cut_off, participants_of, read_ledger
from server_strategy.privacy.ledger_lines import decode_labels as decode_labels
from server_strategy.privacy.ledger_lines import encode_labels as encode_labels
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.mechanisms.record import kind_of
from server_strategy.privacy.plan import PrivacyPlan
from typefleet.errors import ConfigError, InputError, UnknownKindError, expected, said_of
from typefleet.private_files import open_private

NEVER = -(2**31) // 2
_ROUNDING = 1e-9  # of a cost that is computed again for more releases
_RECOMPUTED = 1e-4  # what the rounding of optimised parameters does to the noise
_MECHANISM = re.compile(r"[a-z][a-z0-9_-]{0,63}")


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

    def equals(self, other: "ParticipationLog") -> bool:
        """Whether both say the same of every phone."""
        same = np.array_equal(self.counts, other.counts) and np.array_equal(self.last, other.last)
        return same and self.min_separation == other.min_separation

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
    private = rho is not None and plan.delta is not None
    return PrivacySpent(
        releases=releases,
        max_participations=most,
        min_separation_rounds=separation or None,
        zcdp_rho=rho if private else None,
        epsilon=plan.epsilon_of(rho) if rho is not None else None,
        delta=plan.delta if private else None,
    )


class PrivacyLedger:
    """An append-only, hash-chained list of releases, on disk or (without a path) in memory.

    Attributes:
        plan: the plan on record. A mechanism that is optimised again, on another machine or with another
            number of threads, may differ in its last digits; what counts is the one the run began with.
        path: of the file; None: in memory.
    """

    def __init__(self, plan: PrivacyPlan, path: Path | None = None) -> None:
        """Open a ledger, or start one.

        Raises:
            LedgerError: the file was edited, lacks a line, or belongs to another plan.
        """
        self.path = path
        self._entries: list[dict[str, Any]] = []
        self.plan = plan
        whole_bytes = None
        if path is not None and path.exists():
            self._entries, whole_bytes = read_ledger(path)
        if self._entries and not _same_plan(self._entries[0].get("plan"), plan):
            raise LedgerError(expected(f"{path}:1", "the plan of this run", "another one"))
        if path is not None and whole_bytes is not None:
            cut_off(path, whole_bytes)
        if not self._entries:
            self._append(chained({"release": 0, "plan": plan.to_json()}, ""))
            return
        self.plan = _plan_on_record(path, self._entries, plan.mechanism)

    @property
    def releases(self) -> int:
        """Releases on record."""
        return len(self._entries) - 1

    def participation(self, labels: NDArray[np.uint64], releases: int) -> ParticipationLog:
        """Who took part in the first releases, by what is on record.

        Args:
            labels: uint64 [num_phones], of each phone.
            releases: how many; they are on record.

        Raises:
            LedgerError: a line names a phone that has none of these labels.
        """
        order = np.argsort(labels, kind="stable")
        log = ParticipationLog(len(labels))
        for entry in self._entries[1 : releases + 1]:
            present = participants_of(self.path, entry)
            at = np.searchsorted(labels, present, sorter=order)
            phones = order[np.minimum(at, len(labels) - 1)]
            if not np.array_equal(labels[phones], present):
                where = f"{self.path}:{entry['release'] + 1}"
                raise LedgerError(expected(where, "phones of this run", "another"))
            log.record(entry["release"], phones)
        return log

    def record(self, server_round: int, participants: NDArray[np.uint64], spent: PrivacySpent) -> None:
        """Put a release on record, durably, before it is made.

        Raises:
            LedgerError: the release is already there with another content, one is missing, a phone is named twice,
                or less is said to be spent than was before.
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
                where, found = f"{self.path}:{spent.releases + 1}", "another one; epsilon would be understated"
                raise LedgerError(expected(where, "the release that this run repeats", found))
            return
        if spent.releases != self.releases + 1:
            raise LedgerError(expected(self.path, f"{spent.releases - 1} releases on record", self.releases))
        if len(np.unique(participants)) != len(participants):
            raise LedgerError(expected(self.path, "every phone at most once in a release", "one twice"))
        self._require_no_less(spent)
        self._append(chained(entry, self._entries[-1]["hash"]))

    def _require_no_less(self, spent: PrivacySpent) -> None:
        """What is spent stays spent, whatever a mechanism says of its cost."""
        before = self._entries[-1].get("spent", {}).get("zcdp_rho") or 0.0
        if spent.zcdp_rho is not None and spent.zcdp_rho < before * (1 - _ROUNDING):
            raise LedgerError(expected(self.path, f"rho >= {before:.6g}, as already spent", f"{spent.zcdp_rho:.6g}"))

    def _append(self, entry: dict[str, Any]) -> None:
        if self.path is not None:
            line = json.dumps(entry, sort_keys=True) + "\n"
            is_new = not self.path.exists()
            with open_private(self.path, "a") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        self._entries.append(entry)


def recompute(path: Path, releases: int, mechanism: Mechanism | None = None) -> dict[str, Any]:
    """The cost of the first `releases` releases, from the ledger's participants alone; nothing is written.

    Args:
        path: of the ledger.
        releases: to count.
        mechanism: that of the ledger, if it is one that nobody registered.

    Returns:
        The fields of PrivacySpent.

    Raises:
        LedgerError: the ledger is missing, edited or too short, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    if not entries or len(entries) - 1 < releases:
        raise LedgerError(expected(path, f"{releases} releases on record", max(len(entries) - 1, 0)))
    plan = _plan_on_record(path, entries, mechanism)
    labels = [participants_of(path, entry) for entry in entries[1 : releases + 1]]
    everyone = np.unique(np.concatenate(labels)) if labels else np.zeros(0, np.uint64)
    log = ParticipationLog(len(everyone))
    for release, present in enumerate(labels, start=1):
        log.record(release, np.searchsorted(everyone, present))
    try:
        return asdict(privacy_spent(plan, log, releases))
    except InputError:
        raise
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        MemoryError,
    ) as error:  # of the mechanism, which no type on record binds
        found = "parameters of another kind"
        raise LedgerError(expected(f"{path}:1", "a plan whose cost can be computed", found)) from error


def releases_on_record(path: Path) -> tuple[int, str]:
    """How many releases a ledger has, and whose epsilon its plan's is.

    Raises:
        LedgerError: it is missing, edited or without a plan, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    if not entries:
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "none"))
    return len(entries) - 1, _plan_on_record(path, entries, None).epsilon_is_of


def charged_more(path: Path) -> str | None:
    """Why more is charged than the plan's noise multiplier says; None where that is right.

    Raises:
        LedgerError: it is missing, edited or without a plan, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    if not entries:
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "none"))
    return _plan_on_record(path, entries, None).charged_more


def half_written_line(path: Path) -> int | None:
    """The number of a last line that a crash left without its end, which is counted by nobody; None if all are whole.

    Raises:
        LedgerError: the lines before it were edited, or one is missing.
    """
    entries, whole_bytes = read_ledger(path)
    return None if whole_bytes is None else len(entries) + 1


def _plan_on_record(path: Path | None, entries: list[dict[str, Any]], at_hand: Mechanism | None) -> PrivacyPlan:
    """The plan in the first line.

    Raises:
        LedgerError: it is none, or its mechanism is neither registered nor at hand; no cost is guessed.
    """
    plan = entries[0]["plan"]
    name = plan.get("mechanism")
    if isinstance(name, str) and not _MECHANISM.fullmatch(name):  # which the error would repeat
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "a mechanism without a proper name"))
    try:
        return PrivacyPlan.from_json(plan, at_hand)
    except UnknownKindError as error:
        raise LedgerError(f"{path}:1: {error}; without its code the cost is not known") from error
    except ConfigError as error:
        raise LedgerError(said_of(f"{path}:1", error)) from error


def _same_plan(on_record: Any, plan: PrivacyPlan) -> bool:
    """Equal but for parameters that an optimiser found, and for what their rounding does to the noise."""
    planned = plan.to_json()
    on_record = PrivacyPlan.with_defaults(on_record) if isinstance(on_record, dict) else {}
    if on_record.keys() != planned.keys():
        return False
    kind = None if plan.mechanism is None else kind_of(plan.mechanism)
    then, now = on_record["parameters"] or {}, planned["parameters"] or {}
    return (
        isinstance(then, dict)
        and then.keys() == now.keys()
        and all(
            _close(then[name], now[name], math.inf if kind is not None and name in kind.optimised else 0.0)
            for name in now
        )
        and all(_close(on_record[name], planned[name], _RECOMPUTED) for name in planned if name != "parameters")
    )


def _close(a: Any, b: Any, within: float) -> bool:
    """Equal, but for numbers with a fraction, which may differ by this share of themselves (inf: at will)."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[name], b[name], within) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y, within) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return within == math.inf or math.isclose(a, b, rel_tol=within)
    return bool(a == b)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
