"""The record of what each release cost, written before the release leaves the server.

A ledger is a file of JSON lines. The first line states the plan; every further line is one release:
who took part (salted 64-bit labels), the privacy spent so far, computed from the participations that
really happened, a keyed digest of the exact sum and the hash of the weights that result
(`ledger_lines`). Each line carries the hash of the line before it, so an edited or missing line is found
when the file is read again.

Order of events in a round: sum -> noise and weights, in memory -> ledger line, fsynced -> release. Nothing
leaves before its line is on disk. A crash after the line and before the release therefore over-counts, never
under-counts; the resumed run makes the same release (same sum, same noise), finds its line there already, and
it costs nothing. A release of another sum under a line on record has fresh noise and a line of its own, and
both are counted (`ledger_paths`).

Where phones add the noise, the server learns a noised sum before any of that. A line of the sum is written first, as if
it were released; the line of the release then follows it. Whatever comes between them, it is counted.

A last line without its newline was not yet on disk as a whole, so its release was not made. The run that goes on cuts
it off; whoever only reads leaves the file as it is.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import (
    ASKED,
    HIDDEN,
    cut_off,
    follows_of,
    is_release,
    last_release,
    life_begins,
    participants_of,
    read_ledger,
)
from server_strategy.privacy.ledger_lines import Binding as Binding
from server_strategy.privacy.ledger_lines import LedgerError as LedgerError
from server_strategy.privacy.ledger_lines import PrivacySpent as PrivacySpent
from server_strategy.privacy.ledger_lines import Record as Record
from server_strategy.privacy.ledger_lines import decode_labels as decode_labels
from server_strategy.privacy.ledger_lines import encode_labels as encode_labels
from server_strategy.privacy.ledger_paths import cost_beside, given_up, is_one_way, of_earlier_lives, way_to
from server_strategy.privacy.ledger_reading import charged_more as charged_more
from server_strategy.privacy.ledger_reading import half_written_line as half_written_line
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.privacy.ledger_reading import recompute as recompute
from server_strategy.privacy.ledger_reading import releases_on_record as releases_on_record
from server_strategy.privacy.ledger_reading import same_plan as same_plan
from server_strategy.privacy.ledger_search import has_round, is_hidden, line_with, lines_of_release
from server_strategy.privacy.participation_log import NOTHING_BESIDE
from server_strategy.privacy.participation_log import Beside as Beside
from server_strategy.privacy.participation_log import ParticipationLog as ParticipationLog
from server_strategy.privacy.participation_log import privacy_after as privacy_after
from server_strategy.privacy.participation_log import privacy_spent as privacy_spent
from server_strategy.privacy.plan import PrivacyPlan
from typefleet.chained_log import chained, sync_folder
from typefleet.errors import expected
from typefleet.private_files import open_private

_ROUNDING = 1e-9  # of a cost that is computed again for more releases


class PrivacyLedger:
    """An append-only, hash-chained list of releases, on disk or (without a path) in memory.

    Attributes:
        plan: the plan on record. A mechanism that is optimised again, on another machine or with another
            number of threads, may differ in its last digits; what counts is the one the run began with.
        path: of the file; None: in memory.
        head: the line, from 0, of the last release on the way to the model.
    """

    def __init__(self, plan: PrivacyPlan, path: Path | None = None) -> None:
        """Open a ledger, or start one; in either case before the first release.

        Raises:
            LedgerError: the file was edited, lacks a line, or belongs to another plan.
        """
        self.path = path
        self._entries: list[dict[str, Any]] = []
        self.plan, self.head, self._is_one_way = plan, 0, True
        self._asked: int | None = None  # the line of the sum that is being asked for
        self._beside: tuple[list[int], Beside] | None = None  # the last that was asked for
        whole_bytes = None
        if path is not None and path.exists():
            self._entries, whole_bytes = read_ledger(path)
        if self._entries and not same_plan(self._entries[0].get("plan"), plan):
            raise LedgerError(expected(f"{path}:1", "the plan of this run", "another one"))
        if path is not None and whole_bytes is not None:
            cut_off(path, whole_bytes)
        if not self._entries:
            self._append(chained({"release": 0, "plan": plan.to_json()}, ""))
            return
        self.plan = plan_on_record(path, self._entries, plan.mechanism)
        self._is_one_way = is_one_way(self._entries)

    @property
    def releases(self) -> int:
        """The last release on record."""
        return last_release(self._entries)

    def go_on_after(self, releases: int, head: int | None = None) -> None:
        """Take up the ledger where a checkpoint left it.

        Args:
            releases: made until then.
            head: line of the last of them; None: the first line on record of that release.

        Raises:
            LedgerError: there is no such line.
        """
        if head is None:
            head = next(
                (i for i, e in enumerate(self._entries) if is_release(e) and e["release"] == releases),
                len(self._entries),
            )
        there = self._entries[head] if 0 <= head < len(self._entries) else {"sum": HIDDEN}
        if not (is_release(there) and there["release"] == releases):
            raise LedgerError(expected(self.path, f"at least {releases} releases on record", self.releases))
        self.head, self._asked = head, None

    def participation(self, labels: NDArray[np.uint64]) -> ParticipationLog:
        """Who took part on the way to `head`, by what is on record.

        Args:
            labels: uint64 [num_phones], of each phone.

        Raises:
            LedgerError: a line names a phone that has none of these labels.
        """
        log, order = ParticipationLog(len(labels)), np.argsort(labels, kind="stable")
        for line in way_to(self._entries, self.head):
            log.record(self._entries[line]["release"], self._phones_of(line, labels, order))
        return log

    def _phones_of(self, line: int, labels: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int64]:
        present = participants_of(self.path, line, self._entries[line])
        at = np.searchsorted(labels, present, sorter=order)
        phones: NDArray[np.int64] = order[np.minimum(at, len(labels) - 1)]
        if not np.array_equal(labels[phones], present):
            raise LedgerError(expected(f"{self.path}:{line + 1}", "phones of this run", "another"))
        return phones

    def beside(
        self, labels: Callable[[], NDArray[np.uint64]], line: int | None, everything: bool = False, **also: Any
    ) -> Beside:
        """What was released beside the way to a line.

        Args:
            labels: gives those of each phone, uint64 [num_phones]; asked for if there is anything.
            line: on record; None: one that is to be written.
            everything: also what follows the line, and may still be made again.
            also: what else of that, as of `given_up`.

        Raises:
            LedgerError: a line names a phone that has none of these labels.
        """
        at = self._last if line is None else line
        if at == len(self._entries) - 1 and self._is_one_way:
            return NOTHING_BESIDE
        lines = given_up(self._entries, at, everything or line is None, **also)
        if not lines:
            return NOTHING_BESIDE
        if self._beside is None or self._beside[0] != lines:
            every = labels()
            order = np.argsort(every, kind="stable")
            cost = cost_beside(
                self.plan, self._entries, lines, lambda one: self._phones_of(one, every, order), len(every)
            )
            self._beside = (lines, cost)
        return self._beside[1]

    @property
    def _last(self) -> int:
        """What the next release follows: the line of its sum, or `head`."""
        return self.head if self._asked is None else self._asked

    def line_of(self, server_round: int, participants: NDArray[np.uint64], sum_digest: str) -> int | None:
        """The line that has this sum on record as the next release; None if none has."""
        there = {"round": server_round, "participants": encode_labels(participants), "sum_digest": sum_digest}
        return line_with(self._entries, self._last, there)

    @property
    def is_at_its_end(self) -> bool:
        """Whether nothing is on record after what the next release follows, so that it repeats none."""
        return self._last == len(self._entries) - 1

    def has_round(self, server_round: int, released: bool = False) -> bool:
        """Whether a release of a round is on record in this life of the run, or a sum that may have been learnt."""
        return has_round(self._entries, server_round, released)

    def ask(
        self, server_round: int, participants: NDArray[np.uint64], vectors_digest: str, spent: PrivacySpent
    ) -> bool:
        """Put on record, durably, that the server is about to learn a sum with the phones' noise.

        Args:
            server_round: in which the phones drew their noise.
            participants: labels of the phones.
            vectors_digest: of what they add up, which nobody can compute without their key.
            spent: with this sum.

        Returns:
            False, and nothing is written, if a sum of a round of this number is on record already and this is, or may
            be, another one: the phones' noise is the same, and must not protect two. The same sum again is free.

        Raises:
            LedgerError: less is said to be spent than was before.
            OSError: the line could not be written; the sum must not be learnt.
        """
        self.let_go()
        there = {"round": server_round, "participants": encode_labels(participants)}
        again = line_with(self._entries, self.head, {**there, "sum": ASKED, "vectors_digest": vectors_digest})
        if again is not None and not is_hidden(self._entries, again):
            self._asked = again
            return True
        if self.has_round(server_round):  # of earlier versions, which asked for no sum, there are releases alone
            line = line_with(self._entries, self.head, there)
            return line is not None and is_release(self._entries[line])
        self._require_no_less(spent)
        entry = self._line(server_round, participants, spent)
        self._write({**entry, "sum": ASKED, "vectors_digest": vectors_digest, "follows": self.head})
        self._asked = len(self._entries) - 1
        return True

    def let_go(self) -> None:
        """The sum that was asked for last, if it is known by now, comes to no release."""
        self._asked = None

    def was_hidden(self) -> None:
        """Put on record that the sum that was asked for last stays masked, and can be learnt by nobody.

        Raises:
            OSError: the line could not be written; the sum stays counted.
        """
        line, self._asked = self._asked, None
        if line is None or line_with(self._entries, line, {}) is not None:  # it is learnt already
            return
        asked = self._entries[line]
        self._write({"release": asked["release"], "round": asked["round"], "sum": HIDDEN, "follows": line})

    def attempt(self, line: int | None) -> int:
        """Which noise of this life a release has: that of its line, or, for the next, noise that none on record has."""
        release = self._entries[self.head]["release"] + 1 if line is None else self._entries[line]["release"]
        return self._attempt(line) - lines_of_release(self._entries[: life_begins(self._entries)], release)

    def _attempt(self, line: int | None) -> int:
        """How many lines of the same release are before a line; None: the one that is to be written."""
        if line is not None or (self.is_at_its_end and self._is_one_way):
            return 0 if line is None else int(self._entries[line]["attempt"])
        return lines_of_release(self._entries, self._entries[self.head]["release"] + 1)

    def go_back(self, phones: int, server_round: int, record: Record) -> None:
        """Put on record, durably, that the run goes on from `head`, after a round, without so many phones.

        Raises:
            OSError: the line could not be written; the run must not go on.
        """
        entry = {"forgotten": phones, "round": server_round, "follows": self.head, **record._asdict()}
        if {**self._entries[-1], **entry} != self._entries[-1]:  # else it was killed when it had just said so
            self._write({"release": self._entries[self.head]["release"], **entry})

    def of_earlier_lives(self) -> int:
        """How many releases on record are of a life before the run went back, and do not lead to `head`."""
        return of_earlier_lives(self._entries, self.head)

    def repeats(self, line: int, weights_sha256: str) -> bool:
        """Go on to a line on record if it led to these weights; the release is the same, and free."""
        if self._entries[line]["weights_sha256"] != weights_sha256:
            return False
        self.head, self._asked = line, None
        return True

    def record(
        self, server_round: int, participants: NDArray[np.uint64], spent: PrivacySpent, binding: Binding | None = None
    ) -> None:
        """Put a release on record, durably, before it is made.

        Args:
            server_round: in which it is made.
            participants: labels of the phones.
            spent: with this release.
            binding: what it is; None: the line binds nothing, and a release that is there already must be equal.

        Raises:
            LedgerError: the release is already there with another content, one is missing, a phone is named twice,
                or less is said to be spent than was before.
            OSError: the line could not be written; the release must not be made.
        """
        entry = self._line(server_round, participants, spent)
        if binding is None and self.head + 1 < len(self._entries):
            there = {k: v for k, v in self._entries[self.head + 1].items() if k not in ("previous", "hash")}
            if there != entry:
                where, found = f"{self.path}:{self.head + 2}", "another one; epsilon would be understated"
                raise LedgerError(expected(where, "the release that this run repeats", found))
            self.head += 1
            return
        if spent.releases != self._entries[self.head]["release"] + 1:
            raise LedgerError(expected(self.path, f"{spent.releases - 1} releases on record", self.releases))
        if len(np.unique(participants)) != len(participants):
            raise LedgerError(expected(self.path, "every phone at most once in a release", "one twice"))
        self._require_no_less(spent)
        if binding is not None:
            entry |= {**binding._asdict(), "follows": self._last, "attempt": self._attempt(None)}
        self._write(entry)
        self.head, self._asked = len(self._entries) - 1, None

    def _line(self, server_round: int, participants: NDArray[np.uint64], spent: PrivacySpent) -> dict[str, Any]:
        return {
            "release": spent.releases,
            "round": server_round,
            "reports": len(participants),
            "participants": encode_labels(participants),
            "spent": asdict(spent),
            "epsilon_is_of": self.plan.epsilon_is_of,
        }

    def _write(self, entry: dict[str, Any]) -> None:
        line = len(self._entries)
        self._is_one_way &= follows_of(entry, line) == line - 1
        self._append(chained(entry, self._entries[-1]["hash"]))

    def _require_no_less(self, spent: PrivacySpent) -> None:
        """What is spent stays spent, whatever a mechanism says of its cost."""
        releases = (entry for entry in reversed(self._entries) if is_release(entry))  # others may have been hidden
        before = next(releases).get("spent", {}).get("zcdp_rho") or 0.0
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
                sync_folder(self.path.parent)
        self._entries.append(entry)
