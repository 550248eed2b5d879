"""Who took part when, and what it costs by that alone.

Releases that a run made again after a resume, of other sums, are observations beside those that led to its model: see
`Beside`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan

NEVER = -(2**31) // 2
_MANY = 32  # one phone in so many: to look these up takes as long as to compare all
_LAST_DIGITS = 1e-9  # in which the costs of two schedules, computed, may be in another order than they are


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
        # All who took part after a release, and maybe others, if these are few; of which `last` that was found.
        self._later: NDArray[np.int64] | None = np.zeros(0, np.int64)
        self._after, self._found_in = NEVER, self.last

    def may_participate(
        self,
        release: int,
        min_separation_rounds: int,
        max_participations: int,
        beside: NDArray[np.int32] | None = None,
    ) -> NDArray[np.bool_]:
        """bool [num_phones]: phones that keep the plan if they take part in this release.

        Args:
            release: the next one.
            min_separation_rounds, max_participations: of the plan.
            beside: int32 [num_phones], participations in releases that were made again; None: none were.
        """
        counts = self.counts if beside is None else self.counts + beside
        may = self._rested(release - min_separation_rounds)
        if max_participations < np.iinfo(np.int32).max:  # more than that nobody can have
            may &= counts < max_participations
        return may

    def _rested(self, release: int) -> NDArray[np.bool_]:
        """bool [num_phones]: who took part in no release after this one.

        Releases move forward, and few phones took part lately, so that mostly these are looked at and not all.
        """
        if self._later is not None and self._found_in is self.last and self._after <= release:
            later = self._later[self.last[self._later] > release]
            rested = np.ones(len(self.last), bool)
            rested[later] = False
        else:
            rested = self.last <= release  # NEVER is further back than any separation
            later = np.flatnonzero(~rested)
        self._remember(later)
        self._after, self._found_in = release, self.last
        return rested

    def _remember(self, later: NDArray[np.int64]) -> None:
        self._later = later if len(later) <= len(self.last) // _MANY else None

    def separation_after(self, release: int, phones: NDArray[np.int64]) -> int:
        """`min_separation` if these phones were part of a release."""
        before = self.last[phones]
        gaps = release - before[before != NEVER]
        if not len(gaps):
            return self.min_separation
        smallest = int(gaps.min())
        return min(smallest, self.min_separation or smallest)

    def equals(self, other: "ParticipationLog") -> bool:
        """Whether both say the same of every phone."""
        same = np.array_equal(self.counts, other.counts) and np.array_equal(self.last, other.last)
        return same and self.min_separation == other.min_separation

    def copy(self) -> "ParticipationLog":
        """One that goes its own way."""
        twin = ParticipationLog(0)
        twin.counts, twin.last, twin.min_separation = self.counts.copy(), self.last.copy(), self.min_separation
        return twin

    def record(self, release: int, phones: NDArray[np.int64]) -> None:
        """Count these phones as part of a release."""
        self.min_separation = self.separation_after(release, phones)
        self.counts[phones] += 1
        self.last[phones] = release
        if self._later is not None:
            self._remember(np.concatenate([self._later, phones]))


@dataclass(frozen=True)
class Beside:
    """What was released beside the way to the model; see `ledger_paths`.

    Attributes:
        lines: how many releases, and sums that were learnt without one.
        counts: int32 [num_phones], participations in them; None: there are none.
        rho: zCDP of these ways where noise is shared; 0 where it is independent, and the counts say it.
        unreleased_sums: of the lines.
    """

    lines: int = 0
    counts: NDArray[np.int32] | None = None
    rho: float = 0.0
    unreleased_sums: int = 0


NOTHING_BESIDE = Beside()


def privacy_spent(
    plan: PrivacyPlan, log: ParticipationLog, releases: int, beside: Beside = NOTHING_BESIDE
) -> PrivacySpent:
    """The claim for what happened: from the largest number of participations and the smallest separation.

    Args:
        plan: on record.
        log: who took part in the releases that led to the model.
        releases: how many these are.
        beside: what was released beside them.
    """
    every = log.counts if beside.counts is None else log.counts + beside.counts
    return _spent(plan, log, releases, beside, int(every.max(initial=0)))


def most_rho(plan: PrivacyPlan, beside: Beside) -> float | None:
    """zCDP of a run that keeps its plan, at most, with what was learnt beside the way to its model.

    Args:
        plan: on record.
        beside: nobody takes part more often than the plan lets it, and as often as in here on top.
    """
    if plan.zcdp_rho is None or not beside.lines or beside.counts is None:
        return plan.zcdp_rho
    if plan.mechanism is None or not plan.mechanism.independent:
        return plan.zcdp_rho + beside.rho
    most = min(plan.max_participations, plan.rounds) + int(beside.counts.max(initial=0))
    return max(plan.rho_of(plan.rounds + beside.lines, 1, most) or 0.0, plan.zcdp_rho)


def privacy_after(
    plan: PrivacyPlan,
    log: ParticipationLog,
    release: int,
    phones: NDArray[np.int64],
    beside: Beside = NOTHING_BESIDE,
) -> PrivacySpent:
    """The claim if these phones were part of the release; the log stays as it is."""
    after = log.copy()
    after.record(release, phones)
    return privacy_spent(plan, after, release, beside)


def least_epsilon_after(
    plan: PrivacyPlan,
    log: ParticipationLog,
    release: int,
    phones: NDArray[np.int64],
    *,
    at_least: int,
    beside: Beside = NOTHING_BESIDE,
) -> float | None:
    """No more than `privacy_after` claims once so many of these phones or more, whichever, were part of the release.

    A cost does not fall as counts grow or gaps shrink. Of any so many phones, one has taken part at least as often as
    the one of this rank by count, and one has rested at most as long as the one of this rank by rest. These may be two
    phones of different sets, so that no set need cost as little.

    Args:
        plan: on record.
        log: who took part before; it stays as it is.
        release: the next one.
        phones: int64 [phones], each once, of which some may stay away.
        at_least: how many come, from 1 to all.
        beside: what was released beside the way to it.

    Returns:
        Epsilon, rounded down; None without privacy.
    """
    counts = log.counts
    if plan.mechanism is not None and plan.mechanism.independent and beside.counts is not None:
        counts = counts + beside.counts  # the largest sum is what costs, see `_spent`
    seldom = phones[np.argsort(counts[phones], kind="stable")[:at_least]]
    rested = phones[np.argsort(log.last[phones], kind="stable")[:at_least]]
    after = log.copy()
    after.record(release, seldom)
    after.min_separation = log.separation_after(release, rested)
    epsilon = privacy_spent(plan, after, release, beside).epsilon
    return None if epsilon is None else epsilon * (1 - _LAST_DIGITS)


def rho_of_way(plan: PrivacyPlan, log: ParticipationLog, releases: int) -> float | None:
    """zCDP of releases that follow each other, by who took part; None without privacy."""
    return plan.rho_of(releases, log.min_separation or max(releases, 1), int(log.counts.max(initial=0)))


def _spent(plan: PrivacyPlan, log: ParticipationLog, releases: int, beside: Beside, most: int) -> PrivacySpent:
    independent = plan.mechanism is not None and plan.mechanism.independent
    if independent and beside.lines:  # a line is a line, whichever release it is of, and however near to another
        rho = plan.rho_of(releases + beside.lines, 1, most)
    else:
        rho = rho_of_way(plan, log, releases)
        rho = None if rho is None else rho + beside.rho
    private = rho is not None and plan.delta is not None
    return PrivacySpent(
        releases=releases,
        max_participations=most,
        min_separation_rounds=log.min_separation or None,
        zcdp_rho=rho if private else None,
        epsilon=plan.epsilon_of(rho) if rho is not None else None,
        delta=plan.delta if private else None,
        repeated_releases=beside.lines - beside.unreleased_sums,
        unreleased_sums=beside.unreleased_sums,
    )
