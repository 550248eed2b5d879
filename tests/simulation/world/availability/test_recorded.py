"""Fleets that follow a trace: every phone lives the days of its device, and has what is known of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.clock import DAY_S, HOUR_S
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.recorded import KIND, RecordedAvailability, TraceSettings
from simulation.world.config import FleetConfig
from simulation.world.devices import draw_devices
from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import ConfigError


def make_trace(sessions, spans, **properties):
    device, start, end = (np.array(column) for column in zip(*sessions, strict=True)) if sessions else ([], [], [])
    span = np.array(spans, float)
    return Trace(
        source="made",
        device_ids=tuple(f"d{i}" for i in range(len(spans))),
        device=np.array(device, np.int64),
        start_s=np.array(start, float),
        end_s=np.array(end, float),
        observed_from_s=span[:, 0],
        observed_to_s=span[:, 1],
        properties=properties,
    )


def follow(trace, phones):
    return RecordedAvailability(trace, TraceSettings(), WorldFacts(phones, 0))


HOUR_SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(24, 96)), min_size=1, max_size=4)


@given(st.data(), st.sampled_from(["tile", "exclude"]), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_every_phone_lives_the_days_of_its_device(data, unobserved, seed):
    spans = [(a * HOUR_S, (a + n) * HOUR_S) for a, n in data.draw(HOUR_SPANS)]
    sessions = []
    for device, (begin, end) in enumerate(spans):
        cuts = sorted(data.draw(st.sets(st.integers(int(begin // HOUR_S), int(end // HOUR_S)), max_size=8)))
        pairs = zip(cuts[::2], cuts[1::2], strict=False)
        sessions += [(device, a * HOUR_S, b * HOUR_S) for a, b in pairs]
    trace = make_trace(sessions, spans)
    fleet = RecordedAvailability(trace, TraceSettings(unobserved=unobserved), WorldFacts(9, seed))
    begin = trace.observed_from_s if unobserved == "tile" else np.full(len(spans), trace.observed_from_s.min())
    end = trace.observed_to_s if unobserved == "tile" else np.full(len(spans), trace.observed_to_s.max())
    for t in np.arange(0, 6 * DAY_S, 5 * HOUR_S) + HOUR_S / 2:
        eligible = set(fleet.eligible_until(t)[0].tolist())
        for phone in range(9):
            device = fleet.device[phone]
            cycle = (end[device] - begin[device]) // DAY_S * DAY_S
            then = begin[device] + (t + fleet._offset[phone] * DAY_S - begin[device]) % cycle
            expected = any(d == device and a <= then < b for d, a, b in sessions)
            assert (phone in eligible) == expected


def test_devices_are_used_equally_often_and_short_ones_are_left_out():
    spans = [(0, 3 * DAY_S), (0, DAY_S / 2), (DAY_S / 2, 2 * DAY_S)]
    fleet = follow(make_trace([(1, 5, 50)], spans), 1000)
    assert np.bincount(fleet.device, minlength=3).tolist() == [500, 0, 500] and fleet.left_out == 1
    with pytest.raises(TraceError, match=r"expected a device observed for a day or longer, found at most 12.0 hours"):
        follow(make_trace([], [(0, DAY_S / 2)]), 10)


def test_one_phone_in_the_trace_is_enough():
    fleet = follow(make_trace([(0, HOUR_S, 2 * HOUR_S)], [(0, 2 * DAY_S)]), 400)
    assert len(fleet.eligible_until(1.5 * HOUR_S)[0]) + len(fleet.eligible_until(25.5 * HOUR_S)[0]) == 400
    assert len(fleet.eligible_until(3 * HOUR_S)[0]) == 0


def test_local_times_follow_each_phones_clock():
    trace = make_trace([(0, 2 * HOUR_S, 3 * HOUR_S)], [(0, DAY_S)])
    facts = WorldFacts(200, 0, FleetConfig(utc_offsets_h=(-5.0, 8.0), utc_offset_weights=(0.5, 0.5)))
    fleet = RecordedAvailability(trace, TraceSettings(trace_times="local"), facts)
    west = np.flatnonzero(fleet.utc_offset_h == -5.0)
    np.testing.assert_array_equal(fleet.eligible_until(7.5 * HOUR_S)[0], west)
    np.testing.assert_array_equal(fleet.eligible_until(18.5 * HOUR_S)[0], np.setdiff1d(np.arange(200), west))


def test_what_the_trace_knows_of_a_device_its_phones_have():
    known = {
        "memory_gb": np.array([1.0, np.nan]),
        "relative_train_s": np.array([300.0, 100.0]),
        "download_kbytes_per_s": np.array([np.nan, 50.0]),
    }
    trace = make_trace([], [(0, 2e5), (0, 2e5)], **known)
    fleet, drawn = follow(trace, 1000), draw_devices(FleetConfig(), 1000, 3)
    found = draw_devices(FleetConfig(), 1000, 3, fleet.known_hardware)
    assert set(found.memory_gb[fleet.device == 0]) == {1.0}
    np.testing.assert_array_equal(found.memory_gb[fleet.device == 1], drawn.memory_gb[fleet.device == 1])
    np.testing.assert_allclose(found.train_s_per_token, np.where(fleet.device, 0.0035, 0.0105), rtol=1e-12)
    assert set(found.download_bytes_per_s[fleet.device == 1]) == {50_000.0}
    np.testing.assert_array_equal(found.upload_bytes_per_s, drawn.upload_bytes_per_s)


def test_the_files_are_those_that_were_read(tmp_path):
    intervals, coverage = tmp_path / "a_intervals.csv", tmp_path / "a_coverage.csv"
    intervals.write_text("device_id,start_s,end_s\na,100,200\n")
    coverage.write_text("device_id,observed_from_s,observed_to_s\na,0,90000\n")
    made = KIND.make(TraceSettings(trace=intervals), WorldFacts(5, 0))
    assert made.files == (intervals, coverage) and made.origin == f"1 devices of {intervals}"
    with pytest.raises(ConfigError, match=r"TraceSettings\.trace: expected a file, found none"):
        KIND.make(TraceSettings(), WorldFacts(5, 0))


@pytest.mark.parametrize("setting", [{"utc_offsets_h": (1.0,) * 6}, {"utc_offset_weights": (1.0,) * 6}])
def test_time_zones_that_no_phone_would_draw_are_refused(setting):
    facts = WorldFacts(4, 0, FleetConfig(**setting))
    day = ([(0, 0.0, HOUR_S)], [(0.0, DAY_S)] * 2)
    known, half_known = ({"utc_offset_h": np.array([2.0, zone])} for zone in (3.0, np.nan))
    flag = "--fleet." + next(iter(setting)).replace("_", "-")
    for properties, times in ((known, "utc"), (known, "local"), ({}, "utc")):
        with pytest.raises(ConfigError, match=f"^{flag}: expected only where a trace leaves time zones open"):
            RecordedAvailability(make_trace(*day, **properties), TraceSettings(trace_times=times), facts)
    for properties, times in ((half_known, "utc"), (half_known, "local"), ({}, "local")):
        RecordedAvailability(make_trace(*day, **properties), TraceSettings(trace_times=times), facts)
