"""Rounds that follow one another: what a policy from outside says of their end is held to what can be."""

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts
from simulation.world.policies.base import Closing, RoundSettings, SuccessiveRounds
from simulation.world.timeline import PhoneWork, Timeline
from typefleet.errors import ConfigError

PHONES = 60


def plan_with(close):
    """The plan of a round that closes as `close(arrivals, deadline_s)` says, of phones that are always there."""

    class Own(SuccessiveRounds):
        most_reports = PHONES

        def close(self, arrivals, deadline_s):
            return close(arrivals, deadline_s)

    there = AvailabilityModel(Habits(eligible_share_alpha=1e4, eligible_share_beta=0.01), WorldFacts(PHONES, 0))
    fleet = Fleet(FleetConfig(memory_floor_gb=0.0), PHONES, 0, np.arange(PHONES), availability=there)
    cohort = CohortConfig(goal=8, min_separation_rounds=2, minimum_report_share=0.1)
    timeline = Timeline(fleet, cohort, PhoneWork(1000, lambda phones, _: np.full(len(phones), 10)))
    return FleetCohorts(timeline, Own(RoundSettings(), timeline)).plan_round(1, np.ones(PHONES, bool))


def test_what_can_be_is_carried_out():
    first = plan_with(lambda arrivals, deadline_s: Closing(3, float(arrivals.end_s[2])))
    everything = plan_with(lambda arrivals, deadline_s: Closing(len(arrivals.end_s), deadline_s))
    assert first.funnel.reported == len(first.reporters) == 3 < len(everything.reporters)
    assert first.funnel.closed_s < everything.funnel.closed_s
    nobody = plan_with(lambda arrivals, deadline_s: Closing(0, deadline_s))
    assert nobody.abandoned and nobody.funnel.invited == everything.funnel.invited


@pytest.mark.parametrize(
    ("close", "message"),
    [
        (lambda arrivals, deadline_s: 3, "a Closing from close, found int"),
        (lambda arrivals, deadline_s: Closing(999, deadline_s), r"Closing\.used from 0 to the \d+ updates .*found 999"),
        (lambda arrivals, deadline_s: Closing(-1, deadline_s), r"Closing\.used from 0 to the \d+ updates .*found -1"),
        (
            lambda arrivals, deadline_s: Closing(1.5, deadline_s),
            r"Closing\.used from 0 to the \d+ updates .*found 1\.5",
        ),
        (lambda arrivals, deadline_s: Closing(1, -5.0), r"closed_s from the last update that counts .*found -5\.000"),
        (lambda arrivals, deadline_s: Closing(0, -5.0), r"closed_s from the invitation .*found -5\.000"),
        (lambda arrivals, deadline_s: Closing(1, float("nan")), r"closed_s from the last update .*found nan"),
        (lambda arrivals, deadline_s: Closing(1, deadline_s + 1), r"closed_s from .* to the deadline \(600\.000\)"),
        # the third update counts before it is there
        (lambda arrivals, deadline_s: Closing(3, float(arrivals.end_s[1])), r"closed_s from the last update that"),
    ],
)
def test_what_cannot_be_is_refused(close, message):
    with pytest.raises(ConfigError, match=f"^round policy Own: expected .*{message}"):
        plan_with(close)
