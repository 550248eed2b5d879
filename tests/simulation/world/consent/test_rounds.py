"""No update of a phone after its withdrawal: under every policy, in steps of secure aggregation, and when resumed."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.terms import Step
from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from simulation.settings import choose
from simulation.world.aggregation_settings import steps_of
from simulation.world.attempts import DONE, WITHDRAWN
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.config import FleetConfig
from simulation.world.consent.config import PURPOSES
from simulation.world.consent.times import Consents, ConsentTimes
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts, make_cohorts
from simulation.world.policies.base import RoundPolicy
from simulation.world.timeline import PhoneWork
from typefleet.errors import ConfigError

PHONES, WEIGHTS, GOAL = 120, 125_000, 12
EVERYBODY = np.ones(PHONES, bool)
POLICIES = ("synchronous", "deadline", "buffered")


@cache
def there_all_day():
    return AvailabilityModel(Habits(eligible_share_alpha=1e4, eligible_share_beta=1.0), WorldFacts(PHONES, 0))


def consents_of(rows):
    """Of (phone, from, until): sorted intervals."""
    phone, begin, end = (np.array(column, float) for column in zip(*sorted(rows), strict=True))
    times = ConsentTimes(begin, end, phone.astype(np.int64), PHONES)
    return Consents(dict.fromkeys(PURPOSES, times), "said")


def drawn(seed, mean_s=2000.0):
    """Everybody but every ninth agrees; some withdraw soon, and some of those agree again."""
    rng, rows = np.random.default_rng(seed), []
    for phone in range(PHONES):
        if phone % 9:
            end = rng.exponential(mean_s) if phone % 4 else np.inf
            rows.append((phone, 0.0, end))
            if phone % 3 == 0 and np.isfinite(end):
                rows.append((phone, end + 300.0, end + 300.0 + rng.exponential(4 * mean_s)))
    return rows


def world(consents, policy="synchronous", *, latency_s=None):
    given = choose(CohortConfig(goal=GOAL, policy=policy, min_separation_h=0.0, check_in_interval_s=0.0), {})
    fleet = Fleet(
        FleetConfig(memory_floor_gb=0.0, train_s_per_token_median=0.3),
        PHONES,
        0,
        np.arange(PHONES),
        availability=there_all_day(),
        consents=None if consents is None else lambda zones: consents,
    )
    steps = None
    if latency_s is not None:
        settings_ = AggregationConfig("arithmetic", step_latency_s=latency_s, dropout_share=0.4, corrupted_share=0.0)
        steps = steps_of(settings_, given, WEIGHTS, seed=0)
    return make_cohorts(fleet, given, PhoneWork(4 * WEIGHTS, lambda phones, _: 200 + phones % 50, steps))


class Watch:
    """Who began when, over rounds."""

    def __init__(self, consents):
        self.consents, self.began_s = consents, {}

    def holds_throughout(self, cohorts, plan):
        """Whether each reporter agreed without a break from when it was invited until the sum was there."""
        for moment_s, phones in cohorts.invitations:
            assert self.consents.holds("train", phones, moment_s).all()  # nobody is asked who does not agree
            self.began_s |= dict.fromkeys(phones.tolist(), moment_s)
        since_s = np.array([self.began_s[phone] for phone in plan.reporters.tolist()])
        return (self.consents.until_s("train", plan.reporters, since_s) > plan.funnel.closed_s).all()


def balanced(funnel):
    line = funnel.as_line()
    ended = funnel.dropped + funnel.late + funnel.unused
    if "group" in line:
        return funnel.invited == funnel.group + ended
    if "in_flight" in line:
        return line["in_flight_before"] + funnel.invited == funnel.reported + ended + line["stale"] + line["in_flight"]
    return funnel.invited == funnel.reported + ended


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([300.0, 2000.0]))
def test_no_update_is_in_a_sum_whose_phone_withdrew_before(policy, seed, mean_s):
    consents = consents_of(drawn(seed, mean_s))
    cohorts, watch, withdrawn = world(consents, policy), Watch(consents), 0
    for number in range(1, 7):
        plan = cohorts.plan_round(number, EVERYBODY)
        assert watch.holds_throughout(cohorts, plan)
        assert balanced(plan.funnel) and plan.funnel.reported == len(plan.reporters)
        assert policy != "buffered" or plan.abandoned is not None or plan.funnel.reported == GOAL
        withdrawn += plan.funnel.withdrawn
    assert withdrawn > 0 or mean_s > 300


@pytest.mark.parametrize("policy", POLICIES)
def test_withdrawals_are_counted_under_their_own_name(policy):
    """With so many withdrawals some come while phones train, and some while updates wait."""
    consents = consents_of(drawn(5, 400.0))
    cohorts = world(consents, policy)
    funnels = [cohorts.plan_round(number, EVERYBODY).funnel for number in range(1, 9)]
    others = [world(None, policy).plan_round(1, EVERYBODY).funnel]
    assert sum(one.withdrawn for one in funnels) > 10 and others[0].withdrawn is None
    assert "withdrawn" not in others[0].as_line() and "withdrawn" in funnels[0].as_line()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_that_is_resumed_keeps_to_them_and_plays_the_same_rounds(policy):
    consents = consents_of(drawn(11, 1500.0))
    one, again = world(consents, policy), world(consents, policy)
    watch = Watch(consents)
    for number in range(1, 4):
        assert watch.holds_throughout(one, one.plan_round(number, EVERYBODY))
    again.load_state(one.state())
    for number in range(4, 8):
        played, other = (cohorts.plan_round(number, EVERYBODY) for cohorts in (one, again))
        np.testing.assert_array_equal(played.reporters, other.reporters)
        assert played.funnel == other.funnel and watch.holds_throughout(again, other)


@pytest.mark.parametrize("policy", POLICIES)
def test_consent_of_everybody_changes_nothing(policy):
    all_agree = consents_of([(phone, 0.0, np.inf) for phone in range(PHONES)])
    with_, without = world(all_agree, policy), world(None, policy)
    for number in range(1, 4):
        one, other = (cohorts.plan_round(number, EVERYBODY) for cohorts in (with_, without))
        np.testing.assert_array_equal(one.reporters, other.reporters)
        assert one.funnel == replace(other.funnel, withdrawn=0)


def first_moment_of(end_s, withdrawn_s, goal, deadline_s):
    """When so many updates are there at the same moment, by looking at each arrival; else the deadline."""
    for now_s in sorted(end_s):
        if now_s <= deadline_s and ((end_s <= now_s) & (now_s < withdrawn_s)).sum() >= goal:
            return now_s
    return deadline_s


def test_a_round_waits_for_another_update_in_the_place_of_one_that_is_withdrawn():
    cohorts = world(consents_of([(phone, 0.0, np.inf) for phone in range(PHONES)]))
    closed_s, arrivals = cohorts.plan_round(1, EVERYBODY).funnel.closed_s, []
    again = world(None)
    invite = again.timeline.invite
    again.timeline.invite = lambda *args: arrivals.append(invite(*args)) or arrivals[-1]
    again.plan_round(1, EVERYBODY)
    attempts = arrivals[0].pick(arrivals[0].outcome == DONE)
    assert closed_s == np.sort(attempts.end_s)[GOAL - 1]
    order = attempts.phone[np.argsort(attempts.end_s)]
    for who, before_s in ((order[:1], 1.0), (order[:3], 0.0), (order[:2], -1.0), (order[GOAL : GOAL + 1], 5.0)):
        withdrawn_s = np.full(PHONES, np.inf)
        withdrawn_s[who] = closed_s - before_s  # they have arrived, but for the last case
        rows = [(phone, 0.0, withdrawn_s[phone]) for phone in range(PHONES)]
        plan = world(consents_of(rows)).plan_round(1, EVERYBODY)
        expected_s = first_moment_of(attempts.end_s, withdrawn_s[attempts.phone], GOAL, 600.0)
        assert plan.funnel.closed_s == expected_s
        assert plan.funnel.reported == (GOAL if expected_s < 600.0 else GOAL - 1)
        assert set(who) & set(plan.reporters.tolist()) == (set(who) if before_s < 0 else set())
        assert plan.funnel.withdrawn == (len(who) if before_s >= 0 else 0)


# Steps of secure aggregation ---------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_who_withdraws_in_the_steps_is_not_in_the_sum_or_there_is_none(seed):
    consents = consents_of(drawn(seed, 3000.0))
    cohorts, watch = world(consents, latency_s=90.0), Watch(consents)
    for number in range(1, 7):
        plan = cohorts.plan_round(number, EVERYBODY)
        assert balanced(plan.funnel)
        if plan.abandoned is None:
            assert watch.holds_throughout(cohorts, plan)
            assert plan.funnel.reported == len(plan.reporters)


def stepped(withdrawals):
    """A round in steps of 100 s in which phones of the group withdraw so many seconds after its beginning."""
    cohorts = world(None, latency_s=100.0)
    group = np.arange(GOAL)
    rows = [(phone, 0.0, 50.0 + withdrawals.get(phone, np.inf)) for phone in range(PHONES)]
    cohorts.fleet.consents = consents_of(rows)
    return cohorts.timeline.steps.resolve(group, 50.0, 1, cohorts.fleet)


def test_before_the_vectors_are_counted_a_phone_is_left_out_and_afterwards_nothing_is_unmasked():
    untouched = stepped({})
    assert untouched.in_sum.all() and not untouched.withdrew.any()
    ends_s = untouched.over_s - 50.0
    for after_s, step in ((10.0, Step.ADVERTISE), (150.0, Step.SHARE), (250.0, Step.MASK)):
        played = stepped({4: after_s})
        assert played.leaves[4] == step and played.withdrew.tolist() == [phone == 4 for phone in range(GOAL)]
        assert played.in_sum.tolist() == [phone != 4 for phone in range(GOAL)] and not played.unmasked_too_late
    # The same moment for each, however fast it is: that at which all vectors are there.
    first = {
        phone: next(s for s in np.arange(300.0, 320.0, 0.02) if stepped({phone: s}).unmasked_too_late)
        for phone in (2, 4, 7)
    }
    assert len(set(first.values())) == 1
    masked_s = first[4]
    assert 300.0 < masked_s < ends_s - 150.0  # the vectors are there, and two steps are to come
    assert stepped({4: masked_s - 0.02}).leaves[4] == Step.MASK
    for after_s in (masked_s, ends_s - 1.0):
        played = stepped({4: after_s})
        assert played.unmasked_too_late and not played.in_sum.any()
    assert stepped({4: ends_s + 1.0}).in_sum.all()


def test_a_round_whose_sum_is_not_unmasked_is_abandoned_and_says_why():
    cohorts = world(consents_of([(phone, 0.0, np.inf) for phone in range(PHONES)]), latency_s=100.0)
    plan = cohorts.plan_round(1, EVERYBODY)
    gone = int(plan.reporters[0])
    rows = [(phone, 0.0, plan.funnel.closed_s - 20.0 if phone == gone else np.inf) for phone in range(PHONES)]
    again = world(consents_of(rows), latency_s=100.0).plan_round(1, EVERYBODY)
    assert again.abandoned.startswith("secure aggregation: a phone withdrew after its vector was counted")
    assert again.funnel.aggregation_failed == "withdrawn" and again.funnel.reported == 0
    assert again.funnel.left_withdrawn == 1 and plan.funnel.left_withdrawn == 0


# From outside --------------------------------------------------------------------------------------


class TakesAll(RoundPolicy):
    """A policy that knows nothing of consent: after 900 s it takes every update that came."""

    most_reports = GOAL

    def plan_round(self, server_round, may_participate):
        attempts = self.timeline.invite(self.timeline.check_ins(may_participate), GOAL, server_round)
        self.timeline.now_s += 900.0
        done = attempts.pick((attempts.outcome == DONE) & (attempts.end_s <= self.timeline.now_s))
        return RoundPlan(reporters=done.phone, tokens=done.tokens)


def test_a_policy_from_outside_is_held_to_it_too():
    rows = drawn(2, 1000.0)
    consents, left_out = consents_of(rows), 0
    timeline = world(consents).timeline
    cohorts, watch = FleetCohorts(timeline, TakesAll(timeline)), Watch(consents)
    bare = FleetCohorts(timeline, TakesAll(timeline))
    for number in range(1, 6):
        began = timeline.state()
        taken = len(bare.policy.plan_round(number, EVERYBODY).reporters)
        timeline.load_state(began)
        plan = cohorts.plan_round(number, EVERYBODY)
        left_out += taken - len(plan.reporters)
        for moment_s, phones in cohorts.invitations:
            watch.began_s |= dict.fromkeys(phones.tolist(), moment_s)
        since_s = np.array([watch.began_s[phone] for phone in plan.reporters.tolist()])
        assert (consents.until_s("train", plan.reporters, since_s) > timeline.now_s).all()
    assert left_out > 0


class TakesLater(RoundPolicy):
    """A policy that takes in each round what came in the one before, and asks for new updates."""

    most_reports, max_staleness = GOAL, 1
    waiting = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def plan_round(self, server_round, may_participate):
        phones, tokens = self.waiting
        if server_round == 1:
            attempts = self.timeline.invite(self.timeline.check_ins(may_participate), GOAL, server_round)
            done = attempts.pick(attempts.outcome == DONE)
            self.waiting = done.phone, done.tokens
        self.timeline.now_s += 1000.0
        return RoundPlan(reporters=phones, tokens=tokens, started_round=np.full(len(phones), server_round - 1))


@pytest.mark.parametrize("resumed", [False, True])
def test_a_break_of_consent_between_two_rounds_is_a_break(resumed):
    """Who withdraws after the round of its invitation, and agrees again before the next one, has withdrawn."""
    everybody = [(phone, 0.0, np.inf) for phone in range(PHONES)]
    timeline = world(consents_of(everybody)).timeline
    cohorts = FleetCohorts(timeline, TakesLater(timeline))
    cohorts.plan_round(1, EVERYBODY)
    came = cohorts.policy.waiting[0]
    broke = came[::2]
    rows = [row for row in everybody if row[0] not in broke]
    rows += [part for phone in broke.tolist() for part in ((phone, 0.0, 900.0), (phone, 950.0, np.inf))]
    timeline.fleet.consents = consents_of(rows)
    if resumed:
        waiting, state = cohorts.policy.waiting, cohorts.state()
        cohorts = FleetCohorts(timeline, TakesLater(timeline))
        cohorts.policy.waiting = waiting
        cohorts.load_state(state)
    assert len(broke) > 2
    np.testing.assert_array_equal(cohorts.plan_round(2, EVERYBODY).reporters, np.setdiff1d(came, broke))
    timeline.fleet.consents = None
    assert "invited" not in cohorts.state()  # a checkpoint without consents is as it was


def test_an_update_from_before_the_last_invitation_needs_consent_from_the_start():
    timeline = world(consents_of([(phone, 0.0, np.inf) for phone in range(PHONES)])).timeline
    cohorts = FleetCohorts(timeline, TakesLater(timeline))
    cohorts.plan_round(1, EVERYBODY)
    came = cohorts.policy.waiting[0]
    again = came[:2]
    cohorts._invited_s[again], cohorts._invited_round[again] = 960.0, 2
    rows = [(phone, 0.0, np.inf) for phone in range(PHONES) if phone != again[0]]
    timeline.fleet.consents = consents_of([*rows, (again[0], 0.0, 900.0), (again[0], 950.0, np.inf)])
    np.testing.assert_array_equal(cohorts.plan_round(2, EVERYBODY).reporters, came[1:])


def test_an_attempt_that_is_withdrawn_is_no_update_even_at_its_last_moment():
    cohorts = world(consents_of([(phone, 0.0, np.inf) for phone in range(PHONES)]))
    there = cohorts.timeline.check_ins(EVERYBODY)
    attempts = cohorts.timeline.invite(there, GOAL, 1)
    done = attempts.phone[attempts.outcome == DONE]
    end_s = dict(zip(attempts.phone.tolist(), attempts.end_s.tolist(), strict=True))
    rows = [(p, 0.0, end_s[p] if p in done else np.inf) for p in range(PHONES)]
    again = world(consents_of(rows))
    repeated = again.timeline.invite(again.timeline.check_ins(EVERYBODY), GOAL, 1)
    np.testing.assert_array_equal(repeated.end_s, attempts.end_s)
    assert (repeated.outcome[attempts.outcome == DONE] == WITHDRAWN).all()


def test_more_phones_than_ever_agree_cannot_be_asked_for():
    rows = [(phone, 0.0, np.inf) for phone in range(GOAL - 1)]
    with pytest.raises(ConfigError, match=r"--cohort.goal: expected a number <= the 11 .* agree at any time, found 12"):
        world(consents_of(rows))
