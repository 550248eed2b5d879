"""The steps of secure aggregation take their time, lose whom the world takes away, and are counted by cause."""

from dataclasses import replace

import numpy as np
import pytest

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.terms import Step
from server_strategy.aggregation.vector import ring_for
from server_strategy.bucket_sums import BucketsAlone
from server_strategy.config import CohortConfig
from simulation.settings import choose
from simulation.studies.dry_run_steps import steps_summary, steps_words
from simulation.world.aggregation_settings import order_secret, steps_of
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import make_cohorts
from simulation.world.timeline import PhoneWork
from typefleet.errors import ConfigError

PHONES, WEIGHTS = 400, 125_000
EVERYBODY = np.ones(PHONES, bool)


def cohorts(latency_s, fleet=None, goal=20, **aggregation):
    cohort = choose(CohortConfig(goal=goal, min_separation_rounds=1), {})
    fleet = Fleet(choose(fleet or FleetConfig(), {}), PHONES, 0, np.arange(PHONES))
    settings = AggregationConfig("arithmetic", step_latency_s=latency_s, **aggregation)
    steps = steps_of(settings, cohort, WEIGHTS, seed=0)
    return make_cohorts(fleet, cohort, PhoneWork(4 * WEIGHTS, lambda phones, _: 400 + phones % 50, steps))


def test_without_a_latency_nothing_is_changed():
    assert steps_of(AggregationConfig("secagg"), choose(CohortConfig(), {}), WEIGHTS, seed=0) is None
    plan = cohorts(None).plan_round(1, EVERYBODY)
    assert plan.leaves is None and "group" not in plan.funnel.as_line()


def test_every_phone_of_the_group_is_counted_once():
    world, failed = cohorts(120.0), 0
    for number in range(1, 15):
        plan = world.plan_round(number, EVERYBODY)
        funnel = plan.funnel
        if "group" not in funnel.as_line():
            continue  # too few had trained
        assert funnel.invited == funnel.group + funnel.dropped + funnel.late + funnel.unused
        before = funnel.left_advertise + funnel.left_share + funnel.left_mask
        if funnel.aggregation_failed is None:
            assert funnel.reported == funnel.group - before == len(plan.reporters)
        else:
            failed += 1
            assert plan.abandoned.startswith("secure aggregation: ") and funnel.reported == 0
        assert len(plan.leaves) == before + funnel.left_confirm + funnel.left_unmask
        assert funnel.closed_s >= funnel.opened_s + funnel.aggregation_s >= 0
    assert world.now_s > 0


def test_steps_that_take_long_lose_more_phones_and_rounds():
    lost, failures = [], []
    for latency_s in (0.0, 1800.0):
        world = cohorts(latency_s)
        funnels = [world.plan_round(number, EVERYBODY).funnel.as_line() for number in range(1, 13)]
        stepped = [line for line in funnels if "group" in line]
        lost.append(sum(line[f"left_{s}"] for line in stepped for s in ("advertise", "share", "mask")))
        failures.append(sum("aggregation_failed" in line for line in stepped))
    assert lost[0] < lost[1] and failures[0] < failures[1]


def test_the_time_of_the_steps_is_that_of_the_slowest_phone():
    world = cohorts(7.0, FleetConfig(network_log_std=0.0, upload_failure_share=0.0))
    funnel = world.plan_round(1, EVERYBODY).funnel
    fleet = world.fleet.config
    transfer_s = funnel.phone_up_bytes / fleet.upload_kbytes_per_s_median / 1e3
    transfer_s += funnel.phone_down_bytes / fleet.download_kbytes_per_s_median / 1e3
    assert funnel.aggregation_failed is None
    assert funnel.aggregation_s == pytest.approx(5 * 7.0 + transfer_s, rel=1e-6)
    assert funnel.phone_up_bytes > 6 * WEIGHTS  # 48 bits a weight


def test_an_upload_that_breaks_off_is_a_vector_that_is_lost():
    world = cohorts(0.0, FleetConfig(upload_failure_share=0.5, upload_tries=2), dropout_share=0.4, corrupted_share=0.0)
    plans = [world.plan_round(number, EVERYBODY) for number in range(1, 6)]
    stepped = [plan for plan in plans if plan.leaves is not None]
    assert stepped and all(plan.funnel.dropped_upload == 0 for plan in stepped)
    share = sum(p.funnel.left_mask for p in stepped) / sum(p.funnel.group for p in stepped)
    assert 0.1 < share < 0.45  # 0.25 in the mean
    assert all(step == Step.MASK for plan in stepped for step in plan.leaves.values())


def test_a_group_too_small_for_any_graph_fails_before_anything_is_sent():
    world = cohorts(1.0, goal=3)
    played = world.timeline.steps.resolve(np.arange(2), 0.0, 1, world.fleet)
    assert played.failure == "too_few_advertised" and not played.in_sum.any()


def test_a_graph_that_withstands_less_than_is_assumed_is_refused_with_its_flags():
    with pytest.raises(ConfigError, match=r"--aggregation.corrupted-share, dropout-share, .*20 phones: expected"):
        cohorts(0.0, corrupted_share=0.4, dropout_share=0.5)


@pytest.mark.parametrize("policy", ["synchronous", "deadline"])
def test_the_ring_of_the_steps_is_that_of_the_run(policy):
    """100 phones need 48 bits, the 130 that are invited 56."""
    cohort = choose(CohortConfig(goal=100, policy=policy), {})
    steps = steps_of(AggregationConfig("arithmetic", step_latency_s=1.0), cohort, WEIGHTS, seed=0)
    fleet = Fleet(choose(FleetConfig(), {}), PHONES, 0, np.arange(PHONES))
    world = make_cohorts(fleet, cohort, PhoneWork(4, lambda phones, _: phones, steps))
    assert steps.terms.ring == ring_for(world.most_reports)
    assert steps.terms.ring.bits == {"synchronous": 48, "deadline": 56}[policy]


def bucketed(latency_s, **own):
    return cohorts(latency_s, robust="median", bucket_phones=8, goal=40, **{"robust_share": 0.025, **own})


def test_in_buckets_every_phone_of_the_group_is_counted_once_and_only_few_buckets_are_left_out():
    world, left_out, failed, funnels = bucketed(500.0), 0, 0, []
    for number in range(1, 25):
        plan = world.plan_round(number, EVERYBODY)
        funnel = plan.funnel
        if "group" not in funnel.as_line():
            continue  # too few had trained
        funnels.append(funnel)
        before = funnel.left_advertise + funnel.left_share + funnel.left_mask
        if funnel.aggregation_failed is None:
            assert funnel.group == funnel.reported + before + funnel.bucket_left_out
            left_out += funnel.bucket_left_out
        else:
            failed += 1
            assert funnel.aggregation_failed == "too_few_buckets" and funnel.reported == 0
        assert len(plan.reporters) + before == funnel.group  # all of them, so that hosts deal out the same buckets
    assert left_out and failed
    said = steps_summary(funnels)
    share = sum(one.bucket_left_out for one in funnels) / sum(one.group for one in funnels)
    assert said["bucket_left_out_share"] == share and f"{share:.1%} of phones stayed in a bucket" in steps_words(said)


def test_who_is_in_the_sum_in_simulated_time_is_who_is_in_it_for_the_server():
    world, compared = bucketed(240.0), 0
    steps = world.timeline.steps
    for number in range(1, 20):
        plan = world.plan_round(number, EVERYBODY)
        if plan.leaves is None:
            continue
        server = BucketsAlone(steps.dealing.rule, steps.dealing.seed, order_secret(0), steps.terms.assumptions)
        server.begin(number, plan, None)
        failed = [one.failure for one in server._count()]
        in_sum = sum(
            server._leaving._steps[phone] > Step.MASK
            for own, why in zip(server._round.dealt, failed, strict=True)
            for phone in own.tolist()
            if why is None
        )
        assert in_sum == plan.funnel.reported or plan.funnel.aggregation_failed is not None
        compared += any(failed)
    assert compared


def test_a_bucket_takes_its_steps_as_a_round_of_its_own_would():
    """Messages are those of a bucket, and the round is over with its last bucket."""
    world = bucketed(7.0)
    steps, group = world.timeline.steps, np.arange(40)
    whole = steps.resolve(group, 0.0, 3, world.fleet)
    own = [
        replace(steps, dealing=None).resolve(np.sort(phones), 0.0, 3, world.fleet)
        for phones in steps.dealing.rule.deal(group, seed=0, server_round=3)
    ]
    assert whole.over_s == max(one.over_s for one in own) and whole.phones == 8 and len(own) == 5
    assert whole.in_sum.sum() == sum(one.in_sum.sum() for one in own) or whole.failure is not None
