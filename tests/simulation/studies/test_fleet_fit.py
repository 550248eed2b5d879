"""Statistics of what is seen, and a fit that finds them again in the model."""

import io

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from simulation.clock import DAY_S, HOUR_S
from simulation.studies import fleet_fit
from simulation.studies.fleet_fit import (
    compare,
    fit_fleet,
    over_devices,
    over_fleets,
    simulated_statistics,
    some_looks,
)
from simulation.studies.fleet_fit_report import print_comparison
from simulation.studies.fleet_statistics import STEP_S, Looks, look_at_model, look_at_trace, statistics
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.config import FleetConfig
from simulation.world.traces.trace import Trace, TraceError


def make_trace(sessions, spans, **properties):
    device, start, end = (np.array(column) for column in zip(*sessions, strict=True)) if sessions else ([], [], [])
    span = np.array(spans, float)
    return Trace(
        source="made",
        device_ids=tuple(map(str, range(len(spans)))),
        device=np.array(device, np.int64),
        start_s=np.array(start, float) * HOUR_S,
        end_s=np.array(end, float) * HOUR_S,
        observed_from_s=span[:, 0] * HOUR_S,
        observed_to_s=span[:, 1] * HOUR_S,
        properties=properties,
    )


def test_statistics_by_hand():
    # Two devices: one of a single session from 1:00 to 3:00, seen for a day; one never eligible, seen from 12:00.
    found = statistics(look_at_trace(make_trace([(0, 1, 3), (0, 25, 26)], [(0, 48), (12, 48)])))
    assert found.mean_share == pytest.approx(3 / 84) and found.never_share == 0.5
    assert found.session_h.tolist() == [1.25, 1.5, 1.75, 1.9]
    assert found.session_cdf[:4].tolist() == [0.0, 0.5, 0.5, 1.0]
    # Of the hour from 1:00 the first device was seen twice, eligible both times; the second once.
    assert found.hourly[1] == pytest.approx(2 / 3) and found.hourly[2] == pytest.approx(1 / 3)
    assert found.hourly[3:].max() == 0
    assert found.stays == pytest.approx(4 / 6)
    assert found.same_time == pytest.approx(0.5)  # 1:00 and 1:30 again, 2:00 and 2:30 not
    assert found.returns == 0


def test_returns_within_two_hours():
    found = statistics(look_at_trace(make_trace([(0, 1, 2), (0, 3.5, 4), (0, 10, 11)], [(0, 24)])))
    assert found.returns == pytest.approx(1 / 3)


def test_a_trace_of_an_hour_has_statistics_too():
    found = statistics(look_at_trace(make_trace([(0, 0, 0.5)], [(0, 1)])))
    assert found.mean_share == 0.5 and found.stays == found.returns == found.same_time == 0


def test_what_was_not_observed_does_not_count():
    looks = look_at_trace(make_trace([(0, 10, 11)], [(9.75, 20.1)]))
    assert looks.observed.sum() == 20 and looks.observed[0, 20] and not looks.observed[0, 19]


def test_the_devices_own_clocks():
    trace = make_trace([(0, 1, 2)], [(0, 24)], utc_offset_h=np.array([-3.0]))
    assert statistics(look_at_trace(trace)).hourly.argmax() == 22


def test_the_model_is_looked_at_as_the_devices_were():
    like = look_at_trace(make_trace([], [(0, 48), (30, 60)]))
    looks = look_at_model(AvailabilityModel(Habits(), WorldFacts(50, 0)), like)
    np.testing.assert_array_equal(looks.observed[0::2], np.tile(like.observed[0], (25, 1)))
    np.testing.assert_array_equal(looks.observed[1::2], np.tile(like.observed[1], (25, 1)))
    phone, _ = AvailabilityModel(Habits(), WorldFacts(50, 0)).eligible_until(7 * DAY_S + 3.5 * STEP_S)
    assert set(np.flatnonzero(looks.eligible[:, 3])) == {p for p in phone if looks.observed[p, 3]}


def test_a_trace_of_nothing_cannot_be_fitted():
    with pytest.raises(TraceError, match="the trace: expected eligible phones, found none"):
        fit_fleet(look_at_trace(make_trace([], [(0, 48)])))


@pytest.mark.slow
def test_a_fit_finds_the_figures_of_another_fleet_again(monkeypatch):
    monkeypatch.setattr(
        fleet_fit, "_PHONES", 1000
    )  # with fewer phones and steps than for users, in a sixth of the time
    monkeypatch.setattr(fleet_fit, "_STEPS", (60, 40))
    truth = Habits(
        eligible_share_alpha=0.8,
        eligible_share_beta=4.0,
        never_eligible_share=0.1,
        best_local_hour=2.0,
        other_best_local_hours=(13.0,),
        other_best_local_hour_shares=(0.3,),
        night_day_ratio=6.0,
        session_median_h=0.8,
        session_mean_h=1.2,
        long_session_share=0.1,
        reentry_share=0.2,
    )
    devices, steps = 1000, 240
    everything = Looks(
        np.zeros((devices, steps), bool), np.ones((devices, steps), bool), np.tile(np.arange(steps) % 48, (devices, 1))
    )
    one_clock = FleetConfig(utc_offsets_h=(0.0,), utc_offset_weights=(1.0,))
    observed = look_at_model(AvailabilityModel(truth, WorldFacts(devices, 11, one_clock)), everything)
    lines = compare(statistics(observed), simulated_statistics(fit_fleet(observed), observed))
    assert [line.name for line in lines if line.met is False] == []


@pytest.fixture(scope="module")
def seen():
    everybody = np.ones((800, 144), bool)
    like = Looks(~everybody, everybody, np.tile(np.arange(144) % 48, (800, 1)))
    return look_at_model(AvailabilityModel(Habits(), WorldFacts(800, 4)), like)


def test_intervals_over_devices_shrink_with_their_number_and_hold_what_was_observed(seen):
    few = some_looks(seen, np.arange(50))
    many, less = (over_devices(some, statistics(some)) for some in (seen, few))
    wide, narrow = (bounds[0][1] - bounds[0][0] for bounds in (less, many))
    assert wide == pytest.approx(4 * narrow, rel=0.5)
    assert less[2][1] > 2 * many[2][1] > 0  # of the curve, how far chance alone takes it
    for line, (low, high) in zip(compare(statistics(seen), statistics(seen)), many, strict=True):
        assert low <= line.observed <= high or line.name.startswith("hourly curve")


def test_the_mean_over_devices_has_the_bootstrap_s_spread(seen):
    shares = (seen.eligible & seen.observed).mean(1)  # all devices were seen for equally long
    low, high = over_devices(seen, statistics(seen))[0]
    assert (high - low) / 2 == pytest.approx(196 * shares.std() / 800**0.5, rel=0.15)


def test_several_fleets_have_a_mean_with_students_interval(seen):
    observed = statistics(seen)
    by_seed = [compare(observed, simulated_statistics(Habits(), seen, 800, seed)) for seed in (1, 2, 3)]
    line, interval = over_fleets(by_seed)[0]
    values = [one[0].simulated for one in by_seed]
    assert line.simulated == interval.mean == pytest.approx(np.mean(values)) and line.observed == by_seed[0][0].observed
    assert interval.half_width == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))
    alone = over_fleets(by_seed[:1])[0]
    assert (alone[0], alone[1].half_width) == (by_seed[0][0], None)


@pytest.mark.parametrize(("seeds", "width"), [(1, 60), (2, 80)])
def test_the_table_fits_the_terminal_and_says_what_stands_behind_each_interval(seeds, width, seen):
    said = io.StringIO()
    print_comparison(Console(file=said, width=width), "800 devices", seen, Habits(), seeds)
    printed = said.getvalue()
    assert max(map(len, printed.splitlines())) <= width and "95 % over" in printed and " to" in printed
    assert printed.count("met") == 8  # every tolerance's verdict is there
    assert ("over 2 simulated fleets: that wide because of two seeds" in " ".join(printed.split())) == (seeds == 2)
