import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.config import CohortConfig
from simulation.config import FleetConfig
from simulation.fleet import Fleet
from simulation.timeline import FleetCohorts

PHONES = 3000
WORLD = FleetConfig()


def world(seed=0, fleet=WORLD, **cohort):
    training = np.arange(PHONES)[np.arange(PHONES) % 10 != 0]
    phones = Fleet(fleet, PHONES, seed, training)
    return FleetCohorts(
        phones, CohortConfig(**cohort), fleet, seed, 2_000_000, lambda phone, r: 50 + (phone * 7 + r) % 900
    )


def everybody():
    return np.ones(PHONES, bool)


@given(
    st.integers(0, 50),
    st.integers(1, 120),
    st.floats(1.0, 2.0),
    st.sampled_from([2.0, 20.0, 600.0]),
    st.sampled_from([0.0, 0.3, 0.9]),
)
@settings(max_examples=25, deadline=None)
def test_the_funnel_adds_up_and_the_clock_moves_forward(seed, goal, over_selection, deadline_s, failure_share):
    cohorts = world(
        seed,
        FleetConfig(failure_share=failure_share),
        goal=goal,
        over_selection=over_selection,
        deadline_s=deadline_s,
        selection_timeout_s=300.0,
    )
    now = cohorts.now_s
    for r in range(1, 4):
        plan = cohorts.plan_round(r, everybody())
        record = plan.record
        dropped = record["dropped_failure"] + record["dropped_ineligible"]
        assert record["invited"] == record["reported"] + dropped + record["late"]
        assert record["invited"] <= min(record["checked_in"], np.ceil(goal * over_selection))
        assert record["reported"] == len(plan.reporters) == len(plan.tokens) <= goal
        assert now <= record["opened_s"] <= record["closed_s"] <= record["opened_s"] + deadline_s + 1e-6
        assert (plan.abandoned is not None) == (len(plan.reporters) < np.ceil(0.8 * goal))
        assert cohorts.now_s == record["closed_s"] + 60.0
        now = cohorts.now_s


def test_only_eligible_admitted_training_phones_report():
    cohorts = world(goal=60)
    admitted = np.arange(PHONES) % 3 != 0
    for r in range(1, 6):
        plan = cohorts.plan_round(r, admitted)
        opened = plan.record["opened_s"]
        eligible, until = cohorts.fleet.availability.eligible_until(opened)
        until_of = dict(zip(eligible.tolist(), until, strict=True))
        assert admitted[plan.reporters].all() and (plan.reporters % 10 != 0).all()
        # A reporter is eligible from its invitation until its upload is done.
        for phone, tokens in zip(plan.reporters, plan.tokens, strict=True):
            fleet = cohorts.fleet
            done = opened + 2e6 / fleet.download_bytes_per_s[phone] + tokens * fleet.train_s_per_token[phone]
            done += 2e6 / fleet.upload_bytes_per_s[phone]
            assert done <= until_of[int(phone)] and done <= plan.record["closed_s"] + 1e-6


def test_the_goal_closes_the_round():
    plan = world(goal=20, over_selection=2.0).plan_round(1, everybody())
    assert plan.record["reported"] == 20 and plan.record["late"] > 0


def test_a_round_without_phones_is_abandoned_and_costs_time():
    cohorts = world(goal=20, selection_timeout_s=120.0, deadline_s=30.0)
    plan = cohorts.plan_round(1, np.zeros(PHONES, bool))
    assert plan.abandoned == "0 reports, minimum 16"
    assert cohorts.now_s == 120.0 + 30.0 + 60.0


def test_rounds_are_keyed_by_seed_and_round():
    a, b, c = (world(seed, goal=30).plan_round(4, everybody()).reporters for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert a.tolist() != c.tolist()


def test_a_large_fleet_answers_quickly_enough_to_be_used():
    fleet = Fleet(WORLD, 200_000, 0, np.arange(200_000))
    assert len(fleet.check_ins(0.0, np.ones(200_000, bool)).phone) == pytest.approx(0.06 * 200_000, rel=0.5)
