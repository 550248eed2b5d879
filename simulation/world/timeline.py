"""Resolve a round in simulated time, before anything is trained.

1. Wait until goal x over_selection phones have checked in, or the selection times out. A phone checks in
   while it is eligible, unless it trains, or was told to come back later (pace steering), or has done
   its share for the day.
2. Invite that many of them, drawn by (seed, round).
3. Each invited phone downloads, trains and uploads at its own speed, or drops out (`attempts`).
4. The round closes by its policy:
   * synchronous: when the goal is reached, or at the deadline. Later updates of the round are unused, and
     those after the deadline late;
   * deadline: at the deadline; all that came in time count;
   * buffered: see `buffered_timeline`.
   With too few reports it is abandoned: it cost simulated time, changes nothing and spends no privacy.

So every round satisfies invited = reported + dropped + late + unused.

The server's dealings with phones follow Bonawitz et al., "Towards federated learning at scale",
arXiv:1902.01046, sections 2.2 (phases of a round) and 2.3 (pace steering).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key, uniform
from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.funnel import Funnel
from simulation.clock import DAY_S, HOUR_S, simulated_date
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, Attempts, play_out
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.sessions import CheckIns

POLL_S = 60.0  # how often the server looks for new check-ins

TrainingTokens = Callable[[NDArray[np.int64], int], NDArray[np.int64]]


class PhoneDiary:
    """When each phone may check in again.

    Attributes:
        free_from_s: float64 [phones]; before, it trains or was told to stay away.
        local_day: int32 [phones], the day of its last attempt where it is.
        attempts_today: int16 [phones], attempts on that day.
    """

    def __init__(self, num_phones: int) -> None:
        self.free_from_s = np.zeros(num_phones)
        self.local_day = np.full(num_phones, -1, np.int32)
        self.attempts_today = np.zeros(num_phones, np.int16)

    def attempts_begin(self, phone: NDArray[np.int64], now_s: float, utc_offset_h: NDArray[np.float64]) -> None:
        """Count these phones' attempts."""
        today = np.floor((now_s + utc_offset_h[phone] * HOUR_S) / DAY_S).astype(np.int32)
        new_day = self.local_day[phone] != today
        self.attempts_today[phone] = np.where(new_day, 0, self.attempts_today[phone]) + 1
        self.local_day[phone] = today

    def day_ends_s(self, phone: NDArray[np.int64], utc_offset_h: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [len(phone)]: the end of the day of each one's last attempt, in simulated time."""
        return (self.local_day[phone] + 1) * DAY_S - utc_offset_h[phone] * HOUR_S


class _Closing(NamedTuple):
    """How a round ended."""

    used: NDArray[np.int64]  # indices of the attempts whose updates are in the sum, by their time of arrival
    late: int
    unused: int
    closed_s: float


class FleetCohorts:
    """The simulated world as the server sees it; a `CohortSource`.

    Attributes:
        now_s: the simulated clock; it only moves forward.
        diary: when each phone may check in again.
        invitations: (moment, phones invited, sorted) of the last round.
    """

    def __init__(
        self,
        fleet: Fleet,
        cohort: CohortConfig,
        world: FleetConfig,
        seed: int,
        model_bytes: int,
        training_tokens: TrainingTokens,
    ) -> None:
        """Set up the world.

        Args:
            fleet: the phones.
            cohort, world: settings.
            seed: key of invitations and failures.
            model_bytes: size of the download and of the upload.
            training_tokens: (phones, round) -> tokens that each would train on, int64 [len(phones)].
        """
        self.fleet, self.cohort, self.world, self.seed = fleet, cohort, world, seed
        self._model_bytes, self._training_tokens = model_bytes, training_tokens
        self.now_s = 0.0
        self.diary = PhoneDiary(fleet.num_phones)
        self.invitations: list[tuple[float, NDArray[np.int64]]] = []

    @property
    def wanted(self) -> int:
        """Phones a round would invite."""
        return int(np.ceil(self.cohort.goal * self.cohort.over_selection))

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round and move the clock past it."""
        began_s, self.invitations = self.now_s, []
        checked_in = self.wait_for_check_ins(self.wanted, may_participate)
        opened_s = self.now_s
        attempts = self.invite(checked_in, self.wanted, server_round)
        closing = self._close(attempts, opened_s)
        self.now_s = closing.closed_s + self.cohort.pause_s
        reporters = attempts.pick(np.sort(closing.used))
        minimum = int(np.ceil(self.cohort.minimum_report_share * self.cohort.goal))
        reported = len(reporters.phone)
        funnel = Funnel(
            invited=len(attempts.phone),
            dropped_failure=attempts.count(FAILED),
            dropped_ineligible=attempts.count(INELIGIBLE),
            dropped_upload=attempts.count(UPLOAD_FAILED),
            late=closing.late,
            unused=closing.unused,
            reported=reported,
            closed_s=closing.closed_s,
            checked_in=len(checked_in.phone),
            selection_s=opened_s - began_s,
            opened_s=opened_s,
            simulated_date=simulated_date(self.world.start_date, closing.closed_s),
        )
        return RoundPlan(
            reporters=reporters.phone,
            tokens=reporters.tokens,
            abandoned=None if reported >= minimum else f"{reported} reports, minimum {minimum}",
            funnel=funnel,
        )

    def check_ins(self, may_participate: NDArray[np.bool_]) -> CheckIns:
        """The phones that are there now and that the participation rule admits."""
        phone, until_s = self.fleet.check_ins(self.now_s)
        there = np.flatnonzero(may_participate[phone])
        there = there[self.diary.free_from_s[phone[there]] <= self.now_s]
        return CheckIns(phone[there], until_s[there])

    def wait_for_check_ins(self, wanted: int, may_participate: NDArray[np.bool_]) -> CheckIns:
        """Move the clock until enough phones are there, or the selection times out."""
        give_up_s = self.now_s + self.cohort.selection_timeout_s
        while True:
            checked_in = self.check_ins(may_participate)
            if len(checked_in.phone) >= wanted or self.now_s >= give_up_s:
                return checked_in
            self.now_s = min(self.now_s + POLL_S, give_up_s)

    def invite(self, checked_in: CheckIns, wanted: int, server_round: int, draw: int = 0) -> Attempts:
        """Draw phones by (seed, round, draw), let them train, and tell all when to come back."""
        keys = hash_uint64(purpose_key(self.seed, "invitations", server_round, draw), checked_in.phone)
        first = np.argpartition(keys, wanted - 1)[:wanted] if len(keys) > wanted else np.arange(len(keys))
        first.sort()
        invited = CheckIns(checked_in.phone[first], checked_in.until_s[first])
        self.invitations.append((self.now_s, invited.phone))
        tokens = self._training_tokens(invited.phone, server_round)
        which = (server_round, draw)
        attempts = play_out(
            invited, self.now_s, tokens, self.fleet.devices, self.world, self._model_bytes, self.seed, which
        )
        self._turn_away(np.delete(checked_in.phone, first), which)
        self._send_home(attempts)
        return attempts

    def _turn_away(self, phone: NDArray[np.int64], which: tuple[int, int]) -> None:
        interval_s = self.cohort.check_in_interval_s
        if interval_s:
            spread = 0.5 + uniform(purpose_key(self.seed, "come back", *which), phone)
            self.diary.free_from_s[phone] = self.now_s + interval_s * spread

    def _send_home(self, attempts: Attempts) -> None:
        """Busy until the attempt is over, and away for as long as the rules ask."""
        phone, clock = attempts.phone, self.fleet.availability.utc_offset_h
        self.diary.attempts_begin(phone, self.now_s, clock)
        rest_s = np.where(
            attempts.outcome == DONE, self.cohort.min_separation_h * HOUR_S, self.cohort.check_in_interval_s
        )
        free_from_s = attempts.end_s + rest_s
        if self.cohort.max_attempts_per_day is not None:
            spent = self.diary.attempts_today[phone] >= self.cohort.max_attempts_per_day
            free_from_s = np.where(spent, np.maximum(free_from_s, self.diary.day_ends_s(phone, clock)), free_from_s)
        self.diary.free_from_s[phone] = free_from_s

    def _close(self, attempts: Attempts, opened_s: float) -> _Closing:
        goal, deadline_s = self.cohort.goal, opened_s + self.cohort.deadline_s
        done = np.flatnonzero(attempts.outcome == DONE)
        in_time = done[attempts.end_s[done] <= deadline_s]
        in_time = in_time[np.lexsort((attempts.phone[in_time], attempts.end_s[in_time]))]
        used = in_time if self.cohort.policy == "deadline" else in_time[:goal]
        full = self.cohort.policy == "synchronous" and len(used) == goal
        return _Closing(
            used=used,
            late=len(done) - len(in_time),
            unused=len(in_time) - len(used),
            closed_s=float(attempts.end_s[used[-1]]) if full else deadline_s,
        )

    def state(self) -> dict[str, NDArray]:
        """All that a checkpoint needs besides the settings."""
        return {
            "world_now_s": np.array(self.now_s),
            "world_free_from_s": self.diary.free_from_s,
            "world_local_day": self.diary.local_day,
            "world_attempts_today": self.diary.attempts_today,
        }

    def load_state(self, state: dict[str, NDArray]) -> None:
        """Inverse of `state`."""
        self.now_s = float(state["world_now_s"])
        self.diary.free_from_s = state["world_free_from_s"].copy()
        self.diary.local_day = state["world_local_day"].copy()
        self.diary.attempts_today = state["world_attempts_today"].copy()
