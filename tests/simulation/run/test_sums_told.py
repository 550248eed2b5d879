"""What a run says of its sums adds up, whoever says why a round had none."""

import pytest

from simulation.flags import parse_simulate
from simulation.run.sums_told import sums_summary
from simulation.world.aggregation_settings import steps_of

WEIGHTS = 1_000
STEPS = ("--aggregation.protocol", "arithmetic", "--aggregation.step-latency-s", "9", "--cohort.goal", "20")


def line(failed=None, refused=0, **took):
    every = {"invited": 20, "advertise": 20, "share": 20, "mask": 20, "confirm": 20, "unmask": 20, **took}
    return {"aggregation": {"protocol": "arithmetic", "took": every, "refused": refused, "failed": failed}}


def test_rounds_are_counted_by_their_end_and_phones_by_what_became_of_them():
    rounds = [
        line(),
        line(share=19, mask=17, confirm=17, unmask=16, refused=2),
        line("too_few_masked", mask=3, refused=1),
        {"aggregation_failed": "too_few_masked"},  # in the simulated world, so that no host heard of it
        {"aggregation_failed": "too_few_advertised", "aggregation": None},
        {"abandoned": "3 reports, minimum 16"},  # before any step
    ]
    told = sums_summary(parse_simulate(STEPS).run, rounds, WEIGHTS)
    assert told["rounds_with_a_sum"] == 2
    assert told["rounds_failed"] == {"too_few_masked": 2, "too_few_advertised": 1}
    assert (told["phones_in_sums"], told["phones_recovered"], told["messages_refused"]) == (37, 2, 3)


def test_bytes_are_those_of_the_steps_in_simulated_time():
    config = parse_simulate(STEPS).run
    told = sums_summary(config, [line(), line(), line(advertise=18, share=18, mask=18)], WEIGHTS)
    sizes = steps_of(config.aggregation, config.cohort, WEIGHTS, config.seed).bytes_of(20).values()
    assert told["phone_up_bytes"] == sum(one.up for one in sizes)
    assert told["phone_down_bytes"] == sum(one.down for one in sizes)
    assert "no phone's own are counted" in told["not_shown"]["phone_up_bytes, phone_down_bytes"]


@pytest.mark.parametrize("rounds", [[], [line("too_few_shared", share=2)]])
def test_without_a_sum_there_are_no_bytes_and_it_says_why(rounds):
    told = sums_summary(parse_simulate(STEPS).run, rounds, WEIGHTS)
    assert told["phone_up_bytes"] is told["phone_down_bytes"] is None
    assert told["not_shown"]["phone_up_bytes, phone_down_bytes"] == "no round had a sum"


def test_where_the_server_is_told_of_each_phone_there_is_nothing_to_say():
    assert sums_summary(parse_simulate([]).run, [line()], WEIGHTS) is None
