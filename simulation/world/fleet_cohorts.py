"""The simulated world as the server sees it: a fleet under a round policy."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.policies import POLICIES
from server_strategy.state import State, branch
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
        self.timeline.invitations, began_s = [], self.timeline.now_s
        with calling(f"round policy {type(self.policy).__name__}", "a plan of the round"):
            plan = self.policy.plan_round(server_round, may_participate)
        if self.fleet.consents is not None and plan.abandoned is None:
            plan = self._agreeing(plan, began_s)
        if self.timeline.text_slides and self.invitations:
            return replace(plan, text_as_of_s=self.invitations[0][0])
        return plan

    def _agreeing(self, plan: RoundPlan, began_s: float) -> RoundPlan:
        """A plan without reporters who withdrew before its sum was there, whoever made it.

        Our policies leave them out themselves, and wait for others; one from outside need not know of consent.
        """
        since_s = np.full(len(plan.reporters), began_s)  # [reports], of an attempt from an earlier round the begin
        for moment_s, phones in self.invitations:
            since_s[np.isin(plan.reporters, phones)] = moment_s
        funnel, closed_s = plan.funnel, self.now_s if plan.funnel is None else plan.funnel.closed_s
        withdrawn_s = self.fleet.withdrawn_s(plan.reporters, since_s)
        if withdrawn_s is None or (stay := withdrawn_s > closed_s).all():
            return plan
        left = int((~stay).sum())
        if funnel is not None:
            funnel = replace(funnel, reported=funnel.reported - left, withdrawn=(funnel.withdrawn or 0) + left)
        return replace(plan.only(plan.reporters[stay]), funnel=funnel)

    def state(self) -> State:
        """All that a checkpoint needs besides the settings."""
        return {"timeline": self.timeline.state(), "policy": self.policy.state()}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.timeline.load_state(branch(state, "timeline"))
        self.policy.load_state(branch(state, "policy"))


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
