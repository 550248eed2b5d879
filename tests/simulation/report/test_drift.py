"""Jumps raise an alarm, quiet runs do not, whatever their trend."""

import numpy as np
import pytest

from simulation.report.drift import FALSE_ALARMS, LEAST, WINDOW, alarms, bands, shown, watch
from simulation.studies.audits.round_alarms import alarms_of

ROUNDS = 70
NONE = np.zeros(ROUNDS)


def quiet(seed, trend=0.0, noise=0.05):
    rng = np.random.default_rng(seed)
    return 4.0 + trend * np.exp(-np.arange(ROUNDS) / 40) + noise * rng.standard_normal(ROUNDS)


def out(values, trials=NONE, alpha=FALSE_ALARMS / (5 * (ROUNDS - LEAST))):
    low, high = bands(values, trials, alpha)
    return np.flatnonzero((values < low) | (values > high)).tolist()


def test_of_quiet_series_as_few_raise_an_alarm_as_is_said():
    assert sum(bool(out(quiet(seed, trend=2.0 * (seed % 3)))) for seed in range(100)) <= 2  # 0.2 are expected


@pytest.mark.parametrize("trend", [0.0, 2.0, -1.0])
@pytest.mark.parametrize("size", [12, -12])
@pytest.mark.parametrize("at", [LEAST + 2, 40, ROUNDS - 1])
def test_a_jump_is_caught_in_the_round_where_it_comes(trend, size, at):
    values = quiet(7, trend)
    values[at] += size * 0.05 * (3 if at < WINDOW else 1)  # few rounds make a wide band
    assert out(values) == [at], "and the rounds after it are judged as if it had not been"


def test_a_new_level_is_an_alarm_until_it_is_the_level():
    values = quiet(3)
    values[30:] += 1.0
    assert out(values) == list(range(30, 30 + LEAST))


def test_a_share_that_was_always_the_same_may_vary_by_chance_and_no_more():
    shares, trials = np.ones(ROUNDS), np.full(ROUNDS, 20.0)
    shares[40], shares[60] = 18 / 20, 4 / 20
    assert out(shares, trials) == [60]
    constant = np.full(ROUNDS, 3.0)
    constant[50] += 1e-4
    assert out(constant) == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_unit_of_a_value_does_not_matter(scale):
    values = quiet(5)
    values[33] += 1
    assert out(values * scale) == out(values) == [33]


def line(number, **more):
    told = {"round": number, "abandoned": None, "reports": 20, "invited": 25, "reported": 20, "clip_norm": 2.0}
    return {**told, "loss": 4.0 + 0.01 * np.sin(7.3 * number), "clipped_share": 0.5, **more}


def test_the_round_and_the_statistic_are_named():
    rounds = [line(number) for number in range(1, 50)]
    assert alarms(watch(rounds)) == [] and alarms_of(rounds).value == 0
    rounds[30] = line(31, loss=5.0)
    rounds[40] = line(41, reported=3, loss=None, abandoned="too few reports")
    found = [(one.round, one.statistic.name) for one in alarms(watch(rounds))]
    assert found == [(31, "loss"), (41, "survivors of the invited")]
    told = alarms_of(rounds)
    assert told.value == 2 and "round 31: loss 5 nats per token, its band 3.9" in told.why
    assert "survivors of the invited 12.0 %" in told.why and len(told.details["alarms"]) == 2
    assert not any(one.statistic.name == "clip norm" for one in watch(rounds)), "it never changes"


def test_the_mean_norm_of_updates_is_watched_where_sums_tell_it():
    rounds = [line(number, aggregation={"mean_update_norm": 1 + 0.01 * np.cos(number)}) for number in range(1, 40)]
    rounds[25]["aggregation"]["mean_update_norm"] = 9.0
    assert [one.statistic.name for one in alarms(watch(rounds))] == ["mean norm of updates"]


@pytest.mark.parametrize("number", [0, 1, LEAST])
def test_too_few_rounds_are_not_judged(number):
    told = alarms_of([line(i) for i in range(number)])
    assert told.value is None and "no statistic" in told.why


def test_values_are_shown_in_their_unit():
    share = next(
        one.statistic for one in watch([line(1), line(2, clipped_share=0.4)]) if "clipped" in one.statistic.name
    )
    assert shown(share, 0.314) == "31.4 %"
