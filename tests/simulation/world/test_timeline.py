"""The funnel adds up, the clock moves forward, and nobody trains who may not, under every policy."""

from collections import defaultdict
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.config import CohortConfig
from server_strategy.policies import POLICIES
from simulation.clock import DAY_S, HOUR_S
from simulation.world import timeline
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, resolve_attempts
from simulation.world.check_ins import CheckIns
from simulation.world.config import FleetConfig
from simulation.world.devices import Devices
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import make_cohorts
from simulation.world.timeline import PhoneWork

PHONES = 3000
WORLD = FleetConfig()


def tokens_of(phones, server_round):
    return 50 + (phones * 7 + server_round) % 900


def world(seed=0, fleet=WORLD, **cohort):
    training = np.arange(PHONES)[np.arange(PHONES) % 10 != 0]
    phones = Fleet(fleet, PHONES, seed, training)
    return make_cohorts(phones, cohort_config(**cohort), PhoneWork(2_000_000, tokens_of))


def cohort_config(policy="synchronous", **settings):
    """A policy's own settings among those of the cohort, as flags have them."""
    own = {f.name for f in fields(POLICIES.kind(policy).settings)}
    policy_settings = POLICIES.kind(policy).settings(**{k: v for k, v in settings.items() if k in own})
    rest = {k: v for k, v in settings.items() if k not in own}
    return CohortConfig(policy=policy, policy_settings=policy_settings, **rest)


def everybody():
    return np.ones(PHONES, bool)


def dropped(record):
    return sum(record[f"dropped_{cause}"] for cause in ("failure", "ineligible", "upload"))


def watch(cohorts):
    """Keep every attempt as (phone, began, its end, its outcome, when its session ends)."""
    seen, original = [], timeline.resolve_attempts

    def watched(began, now_s, tokens, **rest):
        attempts = original(began, now_s, tokens, **rest)
        columns = (attempts.end_s, attempts.outcome, began.until_s)
        seen.extend(zip(began.phone.tolist(), [now_s] * len(began.phone), *columns, strict=True))
        return attempts

    return seen, watched


settings_of_a_round = {
    "seed": st.integers(0, 50),
    "goal": st.integers(1, 120),
    "over_selection": st.floats(1.0, 2.0),
    "deadline_s": st.sampled_from([2.0, 20.0, 600.0]),
    "failure_share": st.sampled_from([0.0, 0.3, 0.9]),
    "check_in_interval_s": st.sampled_from([0.0, 900.0]),
}


@pytest.mark.parametrize("policy", ["synchronous", "deadline"])
@given(**settings_of_a_round)
@settings(max_examples=20, deadline=None)
def test_the_funnel_adds_up_and_the_clock_moves_forward(policy, seed, failure_share, **cohort):
    fleet = FleetConfig(failure_share=failure_share, upload_failure_share=failure_share / 2)
    cohorts = world(seed, fleet, policy=policy, selection_timeout_s=300.0, **cohort)
    now, goal = cohorts.now_s, cohort["goal"]
    for r in range(1, 4):
        plan = cohorts.plan_round(r, everybody())
        record = plan.funnel.as_line()
        assert record["invited"] == record["reported"] + dropped(record) + record["late"] + record["unused"]
        assert record["invited"] <= min(record["checked_in"], np.ceil(goal * cohort["over_selection"]))
        assert record["reported"] == len(plan.reporters) == len(plan.tokens)
        assert policy == "deadline" or record["reported"] <= goal
        latest = record["opened_s"] + cohort["deadline_s"]
        assert now <= record["opened_s"] <= record["closed_s"] <= latest + 1e-6
        assert (plan.abandoned is not None) == (len(plan.reporters) < np.ceil(0.8 * goal))
        assert cohorts.now_s == record["closed_s"] + 60.0
        now = cohorts.now_s


@given(
    seed=st.integers(0, 50),
    goal=st.integers(1, 60),
    concurrency=st.one_of(st.none(), st.integers(1, 200)),
    max_staleness=st.integers(0, 5),
    deadline_s=st.sampled_from([5.0, 600.0]),
)
@settings(max_examples=20, deadline=None)
def test_the_buffers_funnel_adds_up_over_rounds(seed, **cohort):
    cohorts = world(seed, policy="buffered", selection_timeout_s=1200.0, **cohort)
    now, left = 0.0, 0
    for r in range(1, 8):
        plan = cohorts.plan_round(r, everybody())
        record = plan.funnel.as_line()
        over = record["reported"] + dropped(record) + record["late"] + record["stale"]
        assert record["in_flight_before"] == left and left + record["invited"] == over + record["in_flight"]
        assert now <= record["opened_s"] <= record["closed_s"] == cohorts.now_s
        now, left = cohorts.now_s, record["in_flight"]
        assert len(plan.reporters) == (0 if plan.abandoned else cohort["goal"])
        assert len(np.unique(plan.reporters)) == len(plan.reporters)
        staleness = r - plan.started_round
        assert (staleness >= 0).all() and (staleness <= cohort["max_staleness"]).all()


@pytest.mark.parametrize("policy", ["synchronous", "deadline", "buffered"])
@given(
    seed=st.integers(0, 20),
    min_separation_h=st.sampled_from([0.0, 2.0, 30.0]),
    max_attempts_per_day=st.sampled_from([None, 1, 2]),
    check_in_interval_s=st.sampled_from([0.0, 600.0]),
)
@settings(max_examples=8, deadline=None)
def test_no_phone_trains_while_not_eligible_or_twice_at_once_or_before_its_time(policy, seed, **cohort):
    pause = {} if policy == "buffered" else {"pause_s": 1200.0}
    cohorts = world(seed, policy=policy, goal=60, selection_timeout_s=600.0, **pause, **cohort)
    seen, watched = watch(cohorts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "resolve_attempts", watched)
        for r in range(1, 25):
            cohorts.plan_round(r, everybody())
    by_phone = defaultdict(list)
    for phone, *times in seen:
        by_phone[phone].append(times)
    offset = cohorts.fleet.availability.utc_offset_h
    assert len(seen) > 300 and (max(map(len, by_phone.values())) > 1 or cohort["min_separation_h"] == 30)
    for phone, own in by_phone.items():
        assert phone % 10 != 0
        days = [int((began + offset[phone] * HOUR_S) // DAY_S) for began, *_ in own]
        if cohort["max_attempts_per_day"]:
            assert np.bincount(np.array(days) + 1).max() <= cohort["max_attempts_per_day"]
        for began, end, _, until in own:
            assert began <= end <= until
        for (_, end, outcome, _), (again, *_) in pairwise(own):
            assert again >= end + (cohort["min_separation_h"] * HOUR_S if outcome == DONE else 0)
    for now in sorted({began for _, began, *_ in seen})[:6]:
        eligible, until = cohorts.fleet.availability.eligible_until(now)
        until_of = dict(zip(eligible.tolist(), until.tolist(), strict=True))
        assert all(until_of[phone] == said for phone, began, _, _, said in seen if began == now)


def test_only_admitted_training_phones_report():
    cohorts = world(goal=60)
    admitted = np.arange(PHONES) % 3 != 0
    for r in range(1, 6):
        plan = cohorts.plan_round(r, admitted)
        assert len(plan.reporters) and admitted[plan.reporters].all() and (plan.reporters % 10 != 0).all()
        np.testing.assert_array_equal(plan.tokens, tokens_of(plan.reporters, r))


def test_hours_between_attempts_that_ended_well():
    cohorts = world(goal=40, min_separation_h=5.0, pause_s=600.0)
    last = {}
    for r in range(1, 60):
        plan = cohorts.plan_round(r, everybody())
        for phone in plan.reporters.tolist():
            assert phone not in last or plan.funnel.opened_s >= last[phone] + 5 * HOUR_S
            last[phone] = plan.funnel.opened_s


def test_phones_that_are_told_to_come_back_later_spread_out():
    there = world(goal=10).plan_round(1, everybody()).funnel.checked_in
    paced = world(goal=10, check_in_interval_s=3600.0)
    counts = [paced.plan_round(r, everybody()).funnel.checked_in for r in range(1, 6)]
    assert counts[0] == there and max(counts[1:]) < there / 4


def test_the_goal_closes_the_round():
    plan = world(goal=20, over_selection=2.0).plan_round(1, everybody())
    assert plan.funnel.reported == 20 and plan.funnel.unused > 0
    plan = world(goal=20, over_selection=2.0, policy="deadline").plan_round(1, everybody())
    assert plan.funnel.reported > 20 and plan.funnel.unused == 0


def test_a_round_without_phones_is_abandoned_and_costs_time():
    cohorts = world(goal=20, selection_timeout_s=120.0, deadline_s=30.0)
    plan = cohorts.plan_round(1, np.zeros(PHONES, bool))
    assert plan.abandoned == "0 reports, minimum 16"
    assert cohorts.now_s == 120.0 + 30.0 + 60.0
    buffered = world(goal=20, selection_timeout_s=120.0, deadline_s=30.0, policy="buffered")
    assert buffered.plan_round(1, np.zeros(PHONES, bool)).abandoned == "0 updates in the buffer, goal 20"
    assert buffered.now_s == 150.0


@pytest.mark.parametrize("policy", ["synchronous", "buffered"])
def test_rounds_are_keyed_by_seed_and_resume_from_their_state(policy):
    a, b, c = (world(seed, goal=30, policy=policy, check_in_interval_s=300.0) for seed in (1, 1, 2))
    plans = [[w.plan_round(r, everybody()) for r in range(1, 4)] for w in (a, b, c)]
    for one, same, other in zip(*plans, strict=True):
        np.testing.assert_array_equal(one.reporters, same.reporters)
        assert one.funnel == same.funnel and one.reporters.tolist() != other.reporters.tolist()
    resumed = world(1, goal=30, policy=policy, check_in_interval_s=300.0)
    resumed.load_state(a.state())
    for r in range(4, 7):
        expected, found = a.plan_round(r, everybody()), resumed.plan_round(r, everybody())
        np.testing.assert_array_equal(expected.reporters, found.reporters)
        assert expected.funnel == found.funnel


def test_each_way_for_an_attempt_to_end():
    phones = np.arange(40_000)
    n = len(phones)
    devices = Devices(np.full(n, 0.01), np.full(n, 1e6), np.full(n, 5e5), np.full(n, 4.0))
    began = CheckIns(phones, np.where(phones % 2 == 0, np.inf, 104.0))
    config = FleetConfig(failure_share=0.2, upload_failure_share=0.5, upload_tries=3)

    def attempt(*counters):
        return resolve_attempts(
            *(began, 100.0, np.full(n, 100)),
            devices=devices,
            world=config,
            model_bytes=1_000_000,
            seed=0,
            counters=counters,
        )

    found = attempt(1, 0)
    free = phones % 2 == 0
    shares = np.bincount(found.outcome[free], minlength=4) / free.sum()
    np.testing.assert_allclose(shares, [0.8 * 0.875, 0.2, 0.0, 0.8 * 0.125], atol=0.012)
    other = attempt(1, 1)
    assert 0.25 < (found.outcome != other.outcome)[free].mean() < 0.6  # another attempt is another draw
    # Download 1 s, training 1 s, each upload 2 s.
    assert set(found.end_s[free & (found.outcome == FAILED)]) == {102.0}
    assert set(found.end_s[free & (found.outcome == DONE)]) == {104.0, 106.0, 108.0}
    assert set(found.end_s[free & (found.outcome == UPLOAD_FAILED)]) == {108.0}
    # The others are picked up at 104 s: whoever is not done by then is interrupted then.
    assert set(found.end_s[~free & (found.outcome == INELIGIBLE)]) == {104.0}
    assert set(found.end_s[~free & (found.outcome == DONE)]) == {104.0}
    assert not (found.outcome[~free] == UPLOAD_FAILED).any()


def test_a_large_fleet_answers_quickly_enough_to_be_used():
    fleet = Fleet(WORLD, 200_000, 0, np.arange(200_000))
    assert len(fleet.check_ins(0.0).phone) == pytest.approx(0.06 * 200_000, rel=0.5)
