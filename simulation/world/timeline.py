"""The server's dealings with the phones in simulated time: the pieces that every round policy is made of.

* A phone can be invited while it is eligible and its owner agrees to training, unless it trains, or was told to come
  back later (pace steering), or has done its share for the day.
* Of those that are there, phones are drawn by (seed, round).
* Each invited phone downloads, trains and uploads at its own speed, or drops out (`attempts`).

They follow Bonawitz et al., "Towards federated learning at scale", arXiv:1902.01046, sections 2.2 (phases of a round)
and 2.3 (pace steering). What a round waits for, when it closes and which updates count is the policy's, see `policies`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform
from server_strategy.config import CohortConfig
from server_strategy.state import State, branch, leaf
from simulation.clock import HOUR_S
from simulation.world.aggregation_steps import AggregationSteps
from simulation.world.attempts import DONE, Attempts, resolve_attempts
from simulation.world.check_ins import CheckIns
from simulation.world.consent.config import TRAIN
from simulation.world.diary import PhoneDiary
from simulation.world.fleet import Fleet
from simulation.world.sliding_text import SlidingText

POLL_S = 60.0  # how often the server looks for new check-ins

TrainingTokens = Callable[[NDArray[np.int64], int], NDArray[np.int64]]


@dataclass(frozen=True)
class PhoneWork:
    """What a phone that takes part in a round has to do."""

    model_bytes: int  # size of the download, and of the upload unless it has its own
    training_tokens: TrainingTokens  # (phones, round) -> tokens that each would train on, int64 [len(phones)]
    steps: AggregationSteps | None = None  # how its update is added up, where that takes time; None: as it is uploaded
    upload_bytes: int | None = None  # of an update that is larger or smaller than the model
    extra_s: float = 0.0  # of computing besides training, on a phone of median speed
    sliding: SlidingText | None = None  # where what phones keep depends on the day


class Timeline:
    """The phones under a server, and the clock.

    Attributes:
        fleet: the phones.
        cohort: the server's settings.
        now_s: the simulated clock; it only moves forward.
        diary: when each phone may check in again.
        invitations: (moment, phones invited, sorted) since the list was last emptied.
    """

    def __init__(self, fleet: Fleet, cohort: CohortConfig, work: PhoneWork) -> None:
        self.fleet, self.cohort, self._work = fleet, cohort, work
        self.now_s = 0.0
        self.diary = PhoneDiary(fleet.num_phones)
        self.invitations: list[tuple[float, NDArray[np.int64]]] = []

    @property
    def steps(self) -> AggregationSteps | None:
        """How the updates of a round are added up, where that takes time."""
        return self._work.steps

    @property
    def text_slides(self) -> bool:
        """Whether what phones train on depends on the day."""
        return self._work.sliding is not None

    def check_ins(self, may_participate: NDArray[np.bool_]) -> CheckIns:
        """The phones that are there now, that the participation rule admits, and whose owners agree to training."""

        def free(phone: NDArray[np.int64]) -> NDArray[np.bool_]:
            found = self.diary.is_free(phone, self.now_s)
            found &= may_participate.take(phone)
            return found

        there = self.fleet.check_ins(self.now_s, free)
        if self.fleet.consents is not None:
            there = there.pick(self.fleet.consents.holds(TRAIN, there.phone, self.now_s))
        if self._work.sliding is not None:
            there = there.pick(self._work.sliding.has_text(there.phone, self.now_s))
        return there

    def wait_for_check_ins(self, wanted: int, timeout_s: float, may_participate: NDArray[np.bool_]) -> CheckIns:
        """Move the clock until this many phones are there, or the time is over."""
        give_up_s = self.now_s + timeout_s
        while True:
            checked_in = self.check_ins(may_participate)
            if len(checked_in) >= wanted or self.now_s >= give_up_s:
                return checked_in
            self.now_s = min(self.now_s + POLL_S, give_up_s)

    def invite(self, checked_in: CheckIns, wanted: int, server_round: int, draw: int = 0) -> Attempts:
        """Draw phones, let them train from now on, and tell all when to come back.

        Args:
            checked_in: those to draw from.
            wanted: how many; all of them if there are fewer.
            server_round, draw: key of what is drawn; a policy that invites several times in a round counts `draw` up.

        Returns:
            Their attempts, which may end later than now.
        """
        seed = self.fleet.seed
        key = purpose_key(seed, "invitations", server_round, draw)
        invited, others = checked_in.draw(key, wanted)
        self.invitations.append((self.now_s, invited.phone))
        attempts = resolve_attempts(
            invited,
            self.now_s,
            self._training_tokens(invited.phone, server_round),
            devices=self.fleet.devices,
            world=self.fleet.config,
            model_bytes=self._work.model_bytes,
            upload_bytes=self._work.upload_bytes,
            extra_s=self._work.extra_s,
            uploads=self._work.steps is None,
            seed=seed,
            counters=(server_round, draw),
            withdrawn_s=self.fleet.withdrawn_s(invited.phone, self.now_s),
        )
        if self.cohort.check_in_interval_s:
            self._turn_away(others.phone, server_round, draw)
        self._send_home(attempts)
        return attempts

    def _training_tokens(self, phones: NDArray[np.int64], server_round: int) -> NDArray[np.int64]:
        if self._work.sliding is None:
            return self._work.training_tokens(phones, server_round)
        return self._work.sliding.training_tokens(phones, server_round, self.now_s)

    def _turn_away(self, phone: NDArray[np.int64], server_round: int, draw: int) -> None:
        spread = 0.5 + uniform(purpose_key(self.fleet.seed, "come back", server_round, draw), phone)
        self.diary.stay_away(phone, self.now_s + self.cohort.check_in_interval_s * spread)

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
        self.diary.stay_away(phone, free_from_s)

    def state(self) -> State:
        """What a checkpoint keeps: the clock and the diary."""
        return {"now_s": np.array(self.now_s), "diary": self.diary.state()}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.now_s = float(leaf(state, "now_s"))
        self.diary.load_state(branch(state, "diary"))
