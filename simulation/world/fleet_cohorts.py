"""The simulated world as the server sees it: a fleet under a round policy."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.policies import POLICIES
from server_strategy.state import State, branch, leaf
from simulation.world.consent.config import TRAIN
from simulation.world.fleet import Fleet
from simulation.world.policies.base import RoundPolicy, SuccessiveRounds
from simulation.world.timeline import PhoneWork, Timeline
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling


class FleetCohorts:
    """Rounds of a simulated fleet; a `server_strategy.cohorts.CohortSource`.

    Attributes:
        timeline: the phones and the clock.
        policy: when a round closes, and whose updates are in it.
    """

    def __init__(self, timeline: Timeline, policy: RoundPolicy) -> None:
        self.timeline, self.policy = timeline, policy
        # [phones], the moment and the round of each phone's last invitation. 0 where there was none: then consent has
        # to hold from the start of the run.
        self._invited_s = np.zeros(timeline.fleet.num_phones)
        self._invited_round = np.zeros(timeline.fleet.num_phones, np.int64)

    @property
    def fleet(self) -> Fleet:
        """The phones, with their devices and habits."""
        return self.timeline.fleet

    @property
    def now_s(self) -> float:
        """The simulated clock."""
        return self.timeline.now_s

    @property
    def invitations(self) -> list[tuple[float, NDArray[np.int64]]]:
        """(moment, phones invited, sorted) of the last round."""
        return self.timeline.invitations

    @property
    def most_reports(self) -> int:
        """No round has more reporters than this."""
        return self.policy.most_reports

    @property
    def max_staleness(self) -> int:
        """No reporter of round i began before round i minus this."""
        return self.policy.max_staleness

    @property
    def weighting(self) -> str:
        """How updates are weighted, for the privacy statement."""
        return self.policy.weighting

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Resolve one round and move the clock past it.

        Raises:
            ConfigError: the policy, or the source of availability, raises; names its class.
        """
        self.timeline.invitations = []
        with calling(f"round policy {type(self.policy).__name__}", "a plan of the round"):
            plan = self.policy.plan_round(server_round, may_participate)
        if plan.abandoned is None and not (may_train := self.fleet.may_train[plan.reporters]).all():
            plan = _only(plan, may_train)  # of a policy from outside that still has an update of a forgotten phone
        if self.fleet.consents is not None:
            for moment_s, phones in self.invitations:
                self._invited_s[phones], self._invited_round[phones] = moment_s, server_round
            if plan.abandoned is None:
                plan = self._agreeing(plan)
        if self.timeline.text_slides and self.invitations:
            return replace(plan, text_as_of_s=self.invitations[0][0])
        return plan

    def _agreeing(self, plan: RoundPlan) -> RoundPlan:
        """A plan without reporters who withdrew between their invitation and its sum, whoever made it.

        Our policies leave them out themselves, and wait for others; one from outside need not know of consent. Of an
        update from before its phone's last invitation the moment is not known: then consent has to hold from the start.
        """
        since_s = self._invited_s[plan.reporters]  # [reports]
        if plan.started_round is not None:
            since_s[plan.started_round < self._invited_round[plan.reporters]] = 0.0
        closed_s = self.now_s if plan.funnel is None else plan.funnel.closed_s
        withdrawn_s = self.fleet.withdrawn_s(plan.reporters, since_s)
        if withdrawn_s is None or (stay := withdrawn_s > closed_s).all():
            return plan
        return _only(plan, stay)

    def forget(self, phones: NDArray[np.int64]) -> None:
        """Remember nothing of phones that never train any more, nor use what they have under way.

        Args:
            phones: ids.
        """
        self.timeline.diary.forget(phones)
        self.policy.forget(phones)
        self._invited_s[phones], self._invited_round[phones] = 0.0, 0

    def state(self) -> State:
        """All that a checkpoint needs besides the settings."""
        state: State = {"timeline": self.timeline.state(), "policy": self.policy.state()}
        if self.fleet.consents is None:
            return state
        return {**state, "invited": {"moment_s": self._invited_s.copy(), "round": self._invited_round.copy()}}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.timeline.load_state(branch(state, "timeline"))
        self.policy.load_state(branch(state, "policy"))
        if self.fleet.consents is not None:
            invited = branch(state, "invited")
            self._invited_s, self._invited_round = leaf(invited, "moment_s"), leaf(invited, "round")


def _only(plan: RoundPlan, stay: NDArray[np.bool_]) -> RoundPlan:
    """A plan without some reporters, who count as having withdrawn; `stay`: bool [reports]."""
    left, funnel = int((~stay).sum()), plan.funnel
    if funnel is not None:
        funnel = replace(funnel, reported=funnel.reported - left, withdrawn=(funnel.withdrawn or 0) + left)
    return replace(plan.only(plan.reporters[stay]), funnel=funnel)


def make_cohorts(fleet: Fleet, cohort: CohortConfig, work: PhoneWork) -> FleetCohorts:
    """A fleet under the policy of the settings.

    Raises:
        ConfigError: fewer phones may train than a round waits for.
        UnknownKindError: no policy has the name.
    """
    who, phones = "", np.flatnonzero(fleet.may_train)
    if fleet.consents is not None:
        who, phones = " whose owners agree at any time", phones[fleet.consents.times[TRAIN].holds_from(phones, 0.0)]
    if cohort.goal > len(phones):
        floor = f"--fleet.memory-floor-gb {fleet.config.memory_floor_gb:g}"
        most = f"a number <= the {len(phones)} training phones with {floor} or more{who}"
        raise ConfigError(expected("--cohort.goal", most, cohort.goal))
    kind, settings = chosen(cohort, "policy")
    timeline = Timeline(fleet, cohort, work)
    policy = POLICIES.made(kind, settings, timeline)
    if work.sliding is not None and not isinstance(policy, SuccessiveRounds):
        what = "with rounds that follow one another (--cohort.policy synchronous or deadline)"
        raise ConfigError(expected("--data.keep-days", what, f"it with {cohort.policy}"))
    return FleetCohorts(timeline, policy)
