"""What a round policy is, and the frame of those whose rounds follow one another.

To add one: a module with a `KIND` like `synchronous`'s, and a line in `simulation/world/__init__.py`; from outside,
`POLICIES.register(KIND)` or an entry point in the group `typefleet.policies`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from server_strategy.aggregation.departures import WHY_FAILED
from server_strategy.aggregation.terms import Step
from server_strategy.cohorts import UNIFORM_WEIGHTS, RoundPlan
from server_strategy.funnel import Funnel
from server_strategy.state import State
from simulation.clock import simulated_date
from simulation.world.aggregation_steps import AggregationSteps
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, WITHDRAWN, Attempts
from simulation.world.timeline import Timeline
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import Formerly


class RoundPolicy(ABC):
    """When a round closes, and whose updates are in it.

    Attributes:
        timeline: the phones and the clock, which a policy moves forward.
        max_staleness: a reporter of round i began in round i minus this or later.
        weighting: how updates are weighted, for the privacy statement.
    """

    max_staleness: int = 0
    weighting: str = UNIFORM_WEIGHTS

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    @property
    @abstractmethod
    def most_reports(self) -> int:
        """No round has more reporters than this."""

    @abstractmethod
    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round and move the clock past it; as in `cohorts.CohortSource`."""

    def forget(self, phones: NDArray[np.int64]) -> None:  # noqa: B027  # most remember nobody
        """Let go of what these phones have under way; they are never invited again."""

    def state(self) -> State:
        """What a checkpoint keeps of the policy itself; nothing where no round reaches into the next."""
        return {}

    def load_state(self, state: State) -> None:  # noqa: B027  # most have nothing to load
        """Go on from what `state` gave."""


@dataclass(frozen=True)
class RoundSettings(KindSettings):
    """Settings of the policies whose rounds follow one another."""

    over_selection: Annotated[float, Ge(1)] = 1.3
    """Invite goal times this many phones, since some drop out or come late."""
    deadline_s: Annotated[float, Gt(0), Le(1e9), Formerly(Gt(0))] = 600.0
    """A round closes after this many seconds even if the goal was not reached."""
    selection_timeout_s: Annotated[float, Ge(0), Le(1e9), Formerly(Ge(0))] = 7200.0
    """Wait at most this long for enough phones to check in before inviting those that did."""
    pause_s: Annotated[float, Ge(0), Le(1e9), Formerly(Ge(0))] = 60.0
    """Time between one round's close and the next one's opening."""


@dataclass(frozen=True)
class Closing:
    """How a round ends."""

    used: int  # of the updates that came in time, this many count, the first first
    closed_s: float


class SuccessiveRounds(RoundPolicy):
    """Rounds that follow one another: wait for phones, invite them, close.

    1. Wait until goal x over_selection phones have checked in, or the selection times out.
    2. Invite that many of them.
    3. Close as `close` says. With too few reports the round is abandoned: it cost simulated time, changes nothing and
       spends no privacy.

    So every round satisfies invited = reported + dropped + late + unused; who withdraws before it closes is dropped.
    """

    def __init__(self, settings: RoundSettings, timeline: Timeline) -> None:
        super().__init__(timeline)
        self.settings = settings

    @property
    def wanted(self) -> int:
        """Phones that a round would invite."""
        return int(np.ceil(self.timeline.cohort.goal * self.settings.over_selection))

    @abstractmethod
    def close(self, arrivals: Attempts, deadline_s: float) -> Closing:
        """When a round closes and how many of its updates count.

        Args:
            arrivals: the updates that come by the deadline, in the order in which they come.
            deadline_s: the latest moment to close.
        """

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round and move the clock past it and the pause after it."""
        timeline, began_s = self.timeline, self.timeline.now_s
        checked_in = timeline.wait_for_check_ins(self.wanted, self.settings.selection_timeout_s, may_participate)
        opened_s = timeline.now_s
        attempts = timeline.invite(checked_in, self.wanted, server_round)
        deadline_s = opened_s + self.settings.deadline_s
        done = np.flatnonzero(attempts.outcome == DONE)
        in_time = done[attempts.end_s[done] <= deadline_s]
        in_time = in_time[np.lexsort((attempts.phone[in_time], attempts.end_s[in_time]))]
        staying, closing = self._closing(attempts, in_time, deadline_s)
        timeline.now_s = closing.closed_s + self.settings.pause_s
        reporters = attempts.pick(np.sort(staying[: closing.used]))
        reported, cohort = len(reporters.phone), timeline.cohort
        minimum = cohort.minimum_reports
        plural = "report" if reported == 1 else "reports"
        funnel = Funnel(
            invited=len(attempts.phone),
            dropped_failure=attempts.count(FAILED),
            dropped_ineligible=attempts.count(INELIGIBLE),
            dropped_upload=attempts.count(UPLOAD_FAILED),
            late=len(done) - len(in_time),
            unused=len(staying) - reported,
            reported=reported,
            closed_s=closing.closed_s,
            checked_in=len(checked_in),
            selection_s=opened_s - began_s,
            opened_s=opened_s,
            simulated_date=simulated_date(timeline.fleet.config.start_date, closing.closed_s),
            withdrawn=None
            if timeline.fleet.consents is None
            else attempts.count(WITHDRAWN) + len(in_time) - len(staying),
        )
        plan = RoundPlan(
            reporters=reporters.phone,
            tokens=reporters.tokens,
            abandoned=None if reported >= minimum else f"{reported} {plural}, minimum {minimum}",
            funnel=funnel,
        )
        return plan if timeline.steps is None or plan.abandoned else self._in_steps(plan, timeline.steps, server_round)

    def _closing(
        self, attempts: Attempts, in_time: NDArray[np.int64], deadline_s: float
    ) -> tuple[NDArray[np.int64], Closing]:
        """(the updates in time of phones that do not withdraw before the round closes, how it closes).

        An update that is there is let go of when its phone withdraws, and the round waits for another one: it closes
        when enough updates are there at the same moment.

        Args:
            attempts: of the round.
            in_time: int64 [updates], those that come by the deadline, in the order in which they come.
            deadline_s: the latest moment to close.
        """
        withdrawn_s = self.timeline.fleet.withdrawn_s(attempts.phone, self.timeline.now_s)
        while True:
            closing = self._closed(attempts.pick(in_time), deadline_s)
            if withdrawn_s is None:
                return in_time, closing
            gone = withdrawn_s[in_time] <= closing.closed_s
            gone[closing.used :] = False
            if not gone.any():
                return in_time, closing
            in_time = in_time[~gone]

    def _closed(self, arrivals: Attempts, deadline_s: float) -> Closing:
        """What `close` says, held to what can be: the clock moves forward, and no update counts before it is there.

        Raises:
            ConfigError: it says something else.
        """
        closing, came = self.close(arrivals, deadline_s), len(arrivals.end_s)
        where = f"round policy {type(self).__name__}"
        if not isinstance(closing, Closing):
            raise ConfigError(expected(where, "a Closing from close", type(closing).__name__))
        used, closed_s = closing.used, closing.closed_s
        if not isinstance(used, int | np.integer) or not 0 <= used <= came:
            raise ConfigError(expected(where, f"Closing.used from 0 to the {came} updates that came in time", used))
        earliest_s = float(arrivals.end_s[used - 1]) if used else self.timeline.now_s
        if not earliest_s <= closed_s <= deadline_s:  # refuses NaN, too
            since = "the last update that counts" if used else "the invitation"
            what = f"Closing.closed_s from {since} ({earliest_s:.3f}) to the deadline ({deadline_s:.3f})"
            raise ConfigError(expected(where, what, f"{closed_s:.3f}"))
        return closing

    def _in_steps(self, plan: RoundPlan, steps: AggregationSteps, server_round: int) -> RoundPlan:
        """The round after its group has taken the steps of secure aggregation, and the clock past them."""
        timeline, funnel = self.timeline, plan.funnel
        if funnel is None:
            raise RuntimeError(expected("a round that is resolved", "a funnel", "none"))
        played = steps.resolve(plan.reporters, funnel.closed_s, server_round, timeline.fleet)
        timeline.now_s = played.over_s + self.settings.pause_s
        found = steps.funnel_of(funnel, played, funnel.closed_s)
        date = simulated_date(timeline.fleet.config.start_date, played.over_s)
        minimum = timeline.cohort.minimum_reports
        why = played.failure and f"secure aggregation: {WHY_FAILED[played.failure]}"
        if why is None and played.unmasked_too_late:
            why = "secure aggregation: a phone withdrew after its vector was counted, so that the sum is not unmasked"
        if why is None and found.reported < minimum:
            why = f"{found.reported} reports, minimum {minimum}"
        gone = played.leaves < Step.DONE
        leaves = dict(zip(plan.reporters[gone].tolist(), played.leaves[gone].tolist(), strict=True))
        return replace(
            plan.only(plan.reporters[played.leaves > Step.MASK]),
            abandoned=why,
            funnel=replace(found, simulated_date=date),
            leaves=leaves,
        )
