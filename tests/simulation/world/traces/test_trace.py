"""Each format is read as it is meant, and what is wrong in a file is said with its place."""

import json
import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.clock import HOUR_S
from simulation.world.traces.reader import read_trace
from simulation.world.traces.trace import TraceError

INTERVALS = "device_id,start_s,end_s\na,100,200\na,200,300\nb,50,90000\n"
COVERAGE = "device_id,observed_from_s,observed_to_s\nb,0,100000\na,0,90000\nsilent,10,99000\n"


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    return path


def sessions_of(trace):
    names = [trace.device_ids[d] for d in trace.device]
    return list(zip(names, trace.start_s.tolist(), trace.end_s.tolist(), strict=True))


def test_intervals(tmp_path):
    path, coverage = write(tmp_path, "t.csv", INTERVALS), write(tmp_path, "c.csv", COVERAGE)
    trace = read_trace(path, coverage)
    assert trace.device_ids == ("a", "b", "silent")
    assert sessions_of(trace) == [("a", 100, 200), ("a", 200, 300), ("b", 50, 90000)]
    np.testing.assert_allclose(trace.eligible_share, [200 / 90000, 89950 / 100000, 0])
    alone = read_trace(path)
    assert alone.device_ids == ("a", "b")
    assert alone.observed_from_s.tolist() == [50, 50] and alone.observed_to_s.tolist() == [90000, 90000]


def test_parquet_says_the_same(tmp_path):
    table = {"device_id": ["a", "a", "b"], "start_s": [100, 200, 50], "end_s": [200, 300, 90000]}
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    trace = read_trace(tmp_path / "t.parquet")
    assert sessions_of(trace) == sessions_of(read_trace(write(tmp_path, "t.csv", INTERVALS)))
    table["end_s"][1] = 150
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(TraceError, match=r"t.parquet: row 2: expected end_s > start_s, found one that is not"):
        read_trace(tmp_path / "t.parquet")


def test_times_count_from_the_midnight_before_the_first_observation(tmp_path):
    begin = 1_580_256_000 + 3600  # Unix time
    path = write(tmp_path, "t.csv", f"device_id,start_s,end_s\na,{begin},{begin + 100}\n")
    assert sessions_of(read_trace(path)) == [("a", 3600, 3700)]


BAD_INTERVALS = {
    "nothing": ("", "expected a table"),
    "header only": ("device_id,start_s,end_s\n", "expected at least one row"),
    "a column": ("device_id,start_s\na,1\n", r"t.csv:1: expected the columns .* found no end_s"),
    "a word": (
        "device_id,start_s,end_s\na,1,2\na,3,soon\n",
        r"t.csv:3: expected end_s to be a finite number, found text that is no number$",
    ),
    "not a number": ("device_id,start_s,end_s\na,nan,2\n", r"t.csv:2: expected start_s to be a finite number"),
    "an empty field": ("device_id,start_s,end_s\na,,2\n", r"t.csv:2: expected start_s to be a finite number"),
    "a short row": (
        "device_id,start_s,end_s\nhello there,1\n",
        r"t.csv:2: expected a table, found a row of 2 columns among those of 3$",  # and nothing of the row
    ),
    "negative": ("device_id,start_s,end_s\na,-1,2\n", r"t.csv:2: expected start_s >= 0, found one below 0"),
    "backwards": (
        "device_id,start_s,end_s\na,1,2\nb,5,5\n",
        r"t.csv:3: expected end_s > start_s, found one that is not",
    ),
    "overlap": ("device_id,start_s,end_s\na,1,9\nb,2,3\na,8,10\n", r"t.csv:4: expected intervals .* do not overlap"),
    "unsorted": ("device_id,start_s,end_s\na,50,60\na,1,2\n", r"t.csv:3: expected rows sorted by start_s"),
    "unknown device": (
        "device_id,start_s,end_s\na,1,2\nz,1,2\n",
        r"t.csv:3: expected a device of the coverage.* found one that is not there$",
    ),
    "a column twice": ("device_id,start_s,end_s,end_s\na,1,2,3\n", r"t.csv:1: expected each column once"),
    "bytes": (b"device_id,start_s,end_s\na,1,2\n\xff,3,4\n", r"t.csv:3: expected a row of a table, .* not utf-8$"),
    "unobserved": (
        "device_id,start_s,end_s\na,1,90001\n",
        r"t.csv:2: expected an interval in .* found one that leaves it",
    ),
}


@pytest.mark.parametrize("case", BAD_INTERVALS)
def test_bad_intervals_are_said_with_file_and_line(case, tmp_path):
    text, message = BAD_INTERVALS[case]
    with pytest.raises(TraceError, match=message):
        read_trace(write(tmp_path, "t.csv", text), write(tmp_path, "c.csv", COVERAGE))


BAD_COVERAGE = {
    "twice": (COVERAGE + "a,0,5\n", r"c.csv:5: expected each device once, found one a second time$"),
    "backwards": ("device_id,observed_from_s,observed_to_s\na,5,5\n", r"c.csv:2: expected observed_to_s > "),
    "negative": ("device_id,observed_from_s,observed_to_s\na,-5,5\n", r"c.csv:2: expected observed_from_s >= 0"),
}


@pytest.mark.parametrize("case", BAD_COVERAGE)
def test_bad_coverage(case, tmp_path):
    text, message = BAD_COVERAGE[case]
    with pytest.raises(TraceError, match=message):
        read_trace(write(tmp_path, "t.csv", INTERVALS), write(tmp_path, "c.csv", text))


def test_devices(tmp_path):
    path = write(tmp_path, "t.csv", INTERVALS)
    devices = write(tmp_path, "d.csv", "device_id,memory_gb,utc_offset_h\nb,3,-5\na,,1\n")
    known = read_trace(path, devices=devices).properties
    np.testing.assert_array_equal(known["memory_gb"], [np.nan, 3])
    np.testing.assert_array_equal(known["utc_offset_h"], [1, -5])
    for text, message in (
        ("device_id,ram\na,3\n", r"d.csv:1: expected only .*, found another column$"),
        ("device_id,memory_gb\na,0\n", r"d.csv:2: expected memory_gb > 0, found one that is not"),
        ("device_id,memory_gb\nq,1\n", r"d.csv:2: expected a device .* found one that is not there$"),
    ):
        with pytest.raises(TraceError, match=message):
            read_trace(path, devices=write(tmp_path, "d.csv", text))


def test_no_file_and_no_format(tmp_path):
    with pytest.raises(TraceError, match=r"expected a trace, found no such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(TraceError, match=r"expected .csv, .parquet, .json, .pkl or .pickle, found .txt"):
        read_trace(write(tmp_path, "t.txt", "x"))
    with pytest.raises(TraceError, match=r"expected a coverage file only beside an interval file"):
        read_trace(write(tmp_path, "t.json", "{}"), write(tmp_path, "c.csv", COVERAGE))


def flash(folder, *lines, name="phone"):
    return write(folder, "t.json", json.dumps({name: {"model": "X", "messages": "\n".join(lines) + "\n"}}))


DAY = "2020-01-29 "


def test_flash_events(tmp_path):
    path = flash(
        tmp_path,
        DAY + "01:00:00\tscreen_off",
        DAY + "01:00:00\tbattery_charged_on",
        DAY + "01:10:00\t80.0%",
        DAY + "02:00:00\twifi",  # only from here are all three known
        DAY + "03:00:00\tscreen_lock",
        DAY + "04:00:00\tscreen_on",
        DAY + "05:00:00\tscreen_unlock",
        DAY + "06:00:00\t4G",
    )
    spans = {idle: [s[1:] for s in sessions_of(read_trace(path, idle=idle))] for idle in ("screen-off", "locked")}
    assert spans == {"screen-off": [(2 * HOUR_S, 4 * HOUR_S)], "locked": [(3 * HOUR_S, 5 * HOUR_S)]}
    assert [s[1:] for s in sessions_of(read_trace(path, idle="either"))] == [(2 * HOUR_S, 5 * HOUR_S)]
    trace = read_trace(path)
    assert (trace.observed_from_s[0], trace.observed_to_s[0]) == (HOUR_S, 6 * HOUR_S)


BAD_FLASH = {
    "an unknown event": (
        [DAY + "01:00:00\tscreen_fell"],
        "device no. 1, line 1: expected an event .*found another text$",
    ),
    "no date": (["yesterday\twifi"], "line 1: expected YYYY-MM-DD HH:MM:SS, found another text$"),
    "not sorted": ([DAY + "02:00:00\twifi", DAY + "01:00:00\twifi"], "line 2: expected lines sorted by time"),
    "one moment": ([DAY + "01:00:00\twifi"], "expected events at two moments or more"),
    "no events": ([""], 'expected "messages" with lines of events'),
}


@pytest.mark.parametrize("case", BAD_FLASH)
def test_bad_flash_events(case, tmp_path):
    lines, message = BAD_FLASH[case]
    with pytest.raises(TraceError, match=message):
        read_trace(flash(tmp_path, *lines))


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"a": 1}'])
def test_json_that_is_no_trace(text, tmp_path):
    with pytest.raises(TraceError, match=r"t.json(:1|: device no. 1)?: expected "):
        read_trace(write(tmp_path, "t.json", text))


def fedscale(**changes):
    phone = {"duration": 30, "active": [10, 100], "inactive": [40, 200], "finish_time": 172800, "model": "X"}
    return {7: {**phone, **changes}, 11: {**phone, "active": [], "inactive": []}}


@pytest.mark.parametrize("name", ["client_behave_trace", "t.pkl"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_fedscale(name, protocol, tmp_path):
    trace = read_trace(write(tmp_path, name, pickle.dumps(fedscale(), protocol)))
    assert trace.device_ids == ("11", "7")
    assert sessions_of(trace) == [("7", 10, 40), ("7", 100, 200)]
    assert trace.observed_to_s.tolist() == [172800, 172800]


def test_fedscale_capacity(tmp_path):
    path = write(tmp_path, "t.pkl", pickle.dumps(fedscale()))
    capacity = {7: {"computation": 162.0, "communication": 5648.0}, 99: {"computation": 1.0, "communication": 1.0}}
    devices = write(tmp_path, "client_device_capacity", pickle.dumps(capacity))
    known = read_trace(path, devices=devices).properties
    np.testing.assert_array_equal(known["relative_train_s"], [np.nan, 162.0])
    np.testing.assert_array_equal(known["upload_kbytes_per_s"], [np.nan, 706.0])
    capacity[7]["computation"] = 0
    with pytest.raises(TraceError, match=r"device no. 1: expected computation > 0, found 0"):
        read_trace(path, devices=write(tmp_path, "client_device_capacity", pickle.dumps(capacity)))


BAD_FEDSCALE = {
    "lengths": (fedscale(active=[10]), "expected as many active as inactive times"),
    "overlap": (fedscale(active=[10, 30]), "expected times that rise"),
    "NaN": (fedscale(active=[float("nan"), 100]), "expected active >= 0, found another value$"),
    "a word": (fedscale(active=["x", 100]), "expected active >= 0, found another value$"),
    "finish": (fedscale(finish_time=150), "expected finish_time after the last time, found an earlier one"),
    "a list": ([1, 2], "expected a dictionary"),
    "empty": ({}, "expected a dictionary"),
}


@pytest.mark.parametrize("case", BAD_FEDSCALE)
def test_bad_fedscale(case, tmp_path):
    content, message = BAD_FEDSCALE[case]
    with pytest.raises(TraceError, match=message):
        read_trace(write(tmp_path, "t.pkl", pickle.dumps(content)))


class Harmful:
    """A pickle of it would make a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused_by_name_and_runs_nothing(protocol, tmp_path):
    harm = str(tmp_path / "harm")
    path = write(tmp_path, "t.pkl", pickle.dumps({1: {"active": Harmful(harm)}}, protocol))
    with pytest.raises(TraceError, match=r"t.pkl: expected plain containers and numbers, found .*mkdir"):
        read_trace(path)
    assert not (tmp_path / "harm").exists()
    with pytest.raises(TraceError, match=r"found numpy"):
        read_trace(write(tmp_path, "t.pkl", pickle.dumps({1: {"active": np.zeros(2)}}, protocol)))


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_pickle(tmp_path_factory, content):
    with pytest.raises(TraceError):
        read_trace(write(tmp_path_factory.mktemp("p"), "t.pkl", content))


@pytest.mark.parametrize("name", ["t.CSV", "t.Csv"])
def test_an_ending_in_capitals_is_the_same_ending(tmp_path, name):
    assert sessions_of(read_trace(write(tmp_path, name, INTERVALS)))[0] == ("a", 100, 200)
    flash(tmp_path, DAY + "01:00:00\twifi", DAY + "02:00:00\twifi").rename(tmp_path / "t.JSON")
    assert read_trace(tmp_path / "t.JSON").device_ids == ("phone",)


@pytest.mark.parametrize(
    ("text", "found"),
    [("[" * 100_000, r"invalid JSON \(nested too deeply\)"), ("1" * 5001, "a number with thousands of digits")],
    ids=["deep", "digits"],
)
def test_json_that_python_does_not_read(tmp_path, text, found):
    with pytest.raises(TraceError, match=rf"t.json: expected JSON, found {found}$"):
        read_trace(write(tmp_path, "t.json", text))


SECRET = "alice@example.com"
SECRETS = {
    "t.csv": (
        f"device_id,start_s,end_s\n{SECRET},1,2\n",
        f"device_id,start_s,end_s\na,1,{SECRET}\n",
        f"device_id,start_s,end_s\n{SECRET},5,5\n",
        f"device_id,start_s,end_s\n{SECRET}\n",
        f"{SECRET},start_s,end_s\na,1,2\n",
    ),
    "t.json": (
        json.dumps({SECRET: {}}),
        json.dumps({SECRET: {"messages": SECRET}}),
        json.dumps({SECRET: {"messages": DAY + f"01:00:00\t{SECRET}"}}),
        json.dumps({SECRET: {"messages": DAY + "01:00:00\twifi"}}),
    ),
    "t.pkl": (
        pickle.dumps({SECRET: {"active": SECRET, "inactive": [], "finish_time": 1}}),
        pickle.dumps({SECRET: {"active": [1], "inactive": [], "finish_time": 1}}),
        pickle.dumps({SECRET: {"active": [1], "inactive": [2], "finish_time": 1}}),
        pickle.dumps({SECRET: SECRET}),
    ),
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in SECRETS for content in SECRETS[name]])
def test_no_complaint_repeats_an_id_or_a_cell(tmp_path, name, content):
    coverage = write(tmp_path, "c.csv", COVERAGE) if name == "t.csv" else None
    with pytest.raises(TraceError, match=r"t\.\w+:?.*: expected .*, found ") as error:
        read_trace(write(tmp_path, name, content), coverage)
    assert SECRET not in str(error.value)
