"""Each line of a run's ledger, held to the plan and to the participants in it and before it.

The cost in a line is the one at the time it was written: of the way that leads to it, and of all that was on record by
then and does not lead to it. So it is computed again for a ledger with releases that were made again as well.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger import ParticipationLog, PrivacySpent, privacy_spent
from server_strategy.privacy.ledger_lines import HIDDEN, follows_of, goes_back, is_release, participants_of
from server_strategy.privacy.ledger_paths import cost_beside, given_up, way_to
from server_strategy.privacy.participation_log import NOTHING_BESIDE, Beside
from simulation.studies.privacy_evidence import Evidence
from simulation.studies.privacy_findings import Findings
from typefleet.errors import ConfigError, InputError, expected


def check_lines(found: Evidence, findings: Findings) -> None:
    """Hold every line of the ledger to the plan and to the participants on the way to it."""
    way, name = _Way(found), found.ledger.name
    wrong: dict[str, str] = {}
    for number in range(1, len(found.entries)):
        entry, plan = found.entries[number], found.plan
        if entry.get("sum") == HIDDEN or goes_back(entry):  # it names nobody
            continue
        log, spent = way.go_to(number)
        if entry["epsilon_is_of"] != plan.epsilon_is_of:
            wrong[f"{name}:{number + 1}"] = "another deployment than its plan's"
        if entry["spent"] != {key: value for key, value in asdict(spent).items() if key in entry["spent"]}:
            wrong[f"{name}:{number + 1}"] = "another cost than its participants come to"
        if log.counts.max(initial=0) > plan.max_participations:
            wrong.setdefault(f"{name}: participations", "a phone more often than the plan admits")
        if 0 < log.min_separation < plan.min_separation_rounds:
            wrong.setdefault(f"{name}: separation", "a phone sooner again than the plan admits")
    for place, why in wrong.items():
        findings.wrong(place, why)
    if not wrong and len(found.entries) > 1:
        findings.recomputed(f"{name}:2-{len(found.entries)}", "chain, participants and cost of each line")
    if found.unbound:
        findings.not_checkable(name, f"not bound to weights: {found.unbound} lines bind no sum and no weights")


class _Way:
    """Who took part on the way to one line after another, and what it cost when that line was written."""

    def __init__(self, found: Evidence) -> None:
        self.found, self.at = found, 0
        self.labels = {
            number: participants_of(found.ledger, number, found.entries[number])
            for number in range(1, len(found.entries))
            if "participants" in found.entries[number]
        }
        self.everyone = np.unique(np.concatenate([np.zeros(0, np.uint64), *self.labels.values()]))
        self.log = ParticipationLog(len(self.everyone))
        self.branched = False
        self.lines: Sequence[int] = []  # beside the way, with what they cost
        self.beside: Beside = NOTHING_BESIDE

    def go_to(self, number: int) -> tuple[ParticipationLog, PrivacySpent]:
        """(who took part on the way to a line, its cost with all that was on record before it)."""
        entry = self.found.entries[number]
        follows = follows_of(entry, number)
        if follows != self.at:
            self.branched, self.log = True, ParticipationLog(len(self.everyone))
            for line in way_to(self.found.entries, follows):
                self.log.record(self.found.entries[line]["release"], self.phones(line))
        if follows != self.at or is_release(self.found.entries[follows]):  # else counted by the line of the sum
            self.log.record(entry["release"], self.phones(number))
        self.at = number
        try:
            return self.log, privacy_spent(self.found.plan, self.log, entry["release"], self._beside(number))
        except InputError:
            raise
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:  # of the mechanism
            where = f"{self.found.ledger}:1"
            raise ConfigError(expected(where, "a plan whose cost can be computed", "another")) from error

    def phones(self, line: int) -> NDArray[np.int64]:
        """Those of a line, by their place among all."""
        places: NDArray[np.int64] = np.searchsorted(self.everyone, self.labels[line])
        return places

    def _beside(self, number: int) -> Beside:
        if not self.branched:
            return NOTHING_BESIDE
        before: list[dict[str, Any]] = self.found.entries[: number + 1]
        lines = given_up(before, number, everything=True)
        if lines != self.lines:
            cost = cost_beside(self.found.plan, before, lines, self.phones, len(self.everyone))
            self.lines, self.beside = lines, cost
        return self.beside
