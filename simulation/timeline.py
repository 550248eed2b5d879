"""Resolve a round in simulated time, before anything is trained.

1. Wait until goal x over_selection phones have checked in, or the selection times out.
2. Invite that many of them, drawn by (seed, round).
3. Each invited phone downloads, trains and uploads at its own speed. It drops out if its owner picks
   it up first (its eligible session ends) or if it fails; it is late if it finishes after the round.
4. The round closes when the goal is reached, or at the deadline. With too few reports it is
   abandoned: it cost simulated time, changes nothing and spends no privacy.

So every round satisfies invited = reported + dropped + late.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator, purpose_key, uniform
from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from simulation.clock import simulated_date
from simulation.config import FleetConfig
from simulation.fleet import CheckIns, Fleet

_POLL_S = 60.0  # how often the server looks for new check-ins


class FleetCohorts:
    """The simulated world as the server sees it; a `CohortSource`.

    Attributes:
        now_s: the simulated clock; it only moves forward.
    """

    def __init__(
        self,
        fleet: Fleet,
        cohort: CohortConfig,
        world: FleetConfig,
        seed: int,
        model_bytes: int,
        training_tokens: Callable[[int, int], int],
    ) -> None:
        """Set up the world.

        Args:
            fleet: the phones.
            cohort, world: settings.
            seed: key of invitations and failures.
            model_bytes: size of the download and of the upload.
            training_tokens: (phone, round) -> tokens the phone would train on.
        """
        self.fleet, self.cohort, self.world, self.seed = fleet, cohort, world, seed
        self._model_bytes, self._training_tokens = model_bytes, training_tokens
        self.now_s = 0.0

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round and move the clock past it."""
        wanted = int(np.ceil(self.cohort.goal * self.cohort.over_selection))
        began_s = self.now_s
        checked_in = self._wait_for_check_ins(wanted, may_participate)
        opened_s = self.now_s
        rng = generator(self.seed, "invitations", server_round)
        picked = np.sort(rng.permutation(len(checked_in.phone))[:wanted])
        invited = CheckIns(checked_in.phone[picked], checked_in.until_s[picked])
        plan = self._resolve(server_round, invited, opened_s)
        closed_s = plan.record["closed_s"]
        self.now_s = float(closed_s) + self.cohort.pause_s
        plan.record.update(
            checked_in=len(checked_in.phone),
            selection_s=opened_s - began_s,
            opened_s=opened_s,
            simulated_date=simulated_date(self.world.start_date, float(closed_s)),
        )
        return plan

    def _wait_for_check_ins(self, wanted: int, may_participate: NDArray[np.bool_]) -> CheckIns:
        give_up_s = self.now_s + self.cohort.selection_timeout_s
        while True:
            checked_in = self.fleet.check_ins(self.now_s, may_participate)
            if len(checked_in.phone) >= wanted or self.now_s >= give_up_s:
                return checked_in
            self.now_s = min(self.now_s + _POLL_S, give_up_s)

    def _resolve(self, server_round: int, invited: CheckIns, opened_s: float) -> RoundPlan:
        phone, fleet = invited.phone, self.fleet
        tokens = np.array([self._training_tokens(int(p), server_round) for p in phone], np.int64)
        finish_s = (
            opened_s
            + self._model_bytes / fleet.download_bytes_per_s[phone]
            + tokens * fleet.train_s_per_token[phone]
            + self._model_bytes / fleet.upload_bytes_per_s[phone]
        )
        fails = uniform(purpose_key(self.seed, "failure", server_round), phone) < self.world.failure_share
        picked_up = ~fails & (finish_s > invited.until_s)
        deadline_s = opened_s + self.cohort.deadline_s
        stays = np.flatnonzero(~fails & ~picked_up)
        in_time = stays[finish_s[stays] <= deadline_s]
        in_time = in_time[np.lexsort((phone[in_time], finish_s[in_time]))][: self.cohort.goal]
        reached = len(in_time) == self.cohort.goal
        reporters = np.sort(in_time)
        record: dict[str, int | float | str] = {
            "invited": len(phone),
            "dropped_failure": int(fails.sum()),
            "dropped_ineligible": int(picked_up.sum()),
            "late": len(stays) - len(in_time),
            "reported": len(in_time),
            "closed_s": float(finish_s[in_time[-1]]) if reached else deadline_s,
        }
        minimum = int(np.ceil(self.cohort.minimum_report_share * self.cohort.goal))
        abandoned = None if len(in_time) >= minimum else f"{len(in_time)} reports, minimum {minimum}"
        return RoundPlan(phone[reporters], tokens[reporters], abandoned, record)
