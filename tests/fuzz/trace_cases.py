"""Recorded availability, of every kind, up to the fleet that follows it."""

import io
import json
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from simulation.world.availability.base import WorldFacts
from simulation.world.availability.recorded import RecordedAvailability, TraceSettings
from simulation.world.traces.reader import read_trace
from tests.fuzz.cases import MARKER, Case, Parser

DAY_S = 86_400


def door(**names: str) -> Callable[[Path], Any]:
    """Reads the files, and looks who is there on the first days."""

    def reads(folder: Path) -> Any:
        trace = read_trace(**{what: folder / name for what, name in names.items()})
        assert np.isfinite(trace.eligible_share).all() and (trace.eligible_share >= 0).all()
        phones = RecordedAvailability(trace, TraceSettings(trace=Path()), WorldFacts(num_phones=20, seed=0))
        for day in range(2):
            phones.day_starts(day)
        return trace

    return reads


def intervals(*rows: str, head: str = "device_id,start_s,end_s") -> str:
    return "\n".join([head, *rows]) + "\n"


ROWS = [f"{MARKER}{d},{day * DAY_S + 100 * d},{day * DAY_S + 100 * d + 5000}" for d in range(6) for day in range(3)]
SPANS = [f"{MARKER}{d},0,{4 * DAY_S}" for d in range(7)]
KNOWN = [f"{MARKER}{d},0.0{d + 1},{d + 2}" for d in range(5)]
COVERAGE = intervals(*SPANS, head="device_id,observed_from_s,observed_to_s")
DEVICES = intervals(*KNOWN, head="device_id,train_s_per_token,memory_gb")


def flash_events(days: int = 3) -> str:
    day = ["00:00:00\tscreen_off", "00:00:00\tbattery_charged_on", "00:00:10\twifi", "05:00:00\tscreen_on"]
    lines = "".join(f"2020-01-{n:02d} {event}\n" for n in range(1, days + 1) for event in day)
    return json.dumps({f"{MARKER}{d}": {"model": MARKER, "messages": lines} for d in range(4)})


PHONE = {"active": [10, 90_000], "inactive": [5000, 95_000], "finish_time": 2 * DAY_S, "model": MARKER}


def pickled(content: Any = None, protocol: int = 2) -> bytes:
    return pickle.dumps({f"{MARKER}{n}": PHONE for n in range(5)} if content is None else content, protocol)


def capacities() -> bytes:
    return pickled({f"{MARKER}{n}": {"computation": 10.0 + n, "communication": 900.0} for n in range(5)})


@cache
def in_parquet(*columns: tuple[str, tuple[Any, ...]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    found = io.BytesIO()
    pyarrow.parquet.write_table(pa.table({name: list(values) for name, values in columns}), found)
    return found.getvalue()


def parquet_rows() -> bytes:
    devices, starts, ends = zip(*(row.split(",") for row in ROWS), strict=True)
    return in_parquet(("device_id", devices), ("start_s", tuple(map(int, starts))), ("end_s", tuple(map(int, ends))))


def files(**contents: str | bytes | Callable[[], bytes]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name, content in contents.items():
            data = content() if callable(content) else content
            path = folder / name.replace("_", ".")
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    return write


CSV = Parser("trace-csv", files(t_csv=intervals(*ROWS)), "t.csv", door(path="t.csv"))
SPAN = Parser(
    "trace-coverage", files(t_csv=intervals(*ROWS), c_csv=COVERAGE), "c.csv", door(path="t.csv", coverage="c.csv")
)
DEVICE = Parser(
    "trace-devices", files(t_csv=intervals(*ROWS), d_csv=DEVICES), "d.csv", door(path="t.csv", devices="d.csv")
)
PARQUET = Parser("trace-parquet", files(t_parquet=parquet_rows), "t.parquet", door(path="t.parquet"))
FLASH = Parser("trace-flash", files(t_json=flash_events()), "t.json", door(path="t.json"))
FEDSCALE = Parser("trace-fedscale", files(t_pkl=pickled), "t.pkl", door(path="t.pkl"))
CAPACITY = Parser(
    "trace-capacity", files(t_pkl=pickled, d_pkl=capacities), "d.pkl", door(path="t.pkl", devices="d.pkl")
)

PARSERS = (CSV, SPAN, DEVICE, PARQUET, FLASH, FEDSCALE, CAPACITY)


def of(parser: Parser, name: str, content: str | bytes | Callable[[], bytes], **expectation: Any) -> Case:
    def make(folder: Path) -> None:
        data = content() if callable(content) else content
        (folder / parser.file).write_bytes(data.encode() if isinstance(data, str) else data)

    return Case(parser, name, make, **expectation)


def row(name: str, text: str, refused: str | None = "") -> Case:
    return of(CSV, name, intervals(*ROWS, text), refused=refused)


def events(name: str, lines: str | Any, **expectation: Any) -> Case:
    return of(FLASH, name, json.dumps({MARKER: {"messages": lines}}), **expectation)


def fedscale(name: str, refused: str | None = "", **changes: Any) -> Case:
    return of(FEDSCALE, name, pickled({"a": {**PHONE, **changes}}), refused=refused)


TABLES = (
    of(CSV, "as it was", intervals(*ROWS), refused=None, accepted=lambda trace: len(trace.device) == 18),
    row("a word as a time", f"z,{MARKER},5", refused=r"t\.csv:20: expected start_s to be a finite number"),
    row("endless", "z,1,inf", refused=r"t\.csv:20"),
    row("no number", "z,nan,5", refused=r"t\.csv:20"),
    row("beyond all numbers", "z,1,1e999", refused=r"t\.csv:20"),
    row("milliseconds", "z,1580256000000,1580259600000", refused="8,000 years"),
    row("the end of all numbers", "z,1,1.7e308", refused="8,000 years"),
    row("a time of many digits", "z,1," + "9" * 5000, refused=r"t\.csv:20"),
    row("below zero", "z,-1,5", refused="start_s >= 0"),
    row("other digits", "z,1,\u0665\u0666", refused=None),
    row("an underscore", "z,1,5_0", refused=None),
    row("no device", ",1,5", refused="device_id"),
    row("too few", MARKER, refused=r"t\.csv:20: expected a table"),
    row("too many", f"z,1,5,{MARKER}", refused=r"t\.csv:20: expected a table"),
    row("an open quote", f'"{MARKER},1,5', refused=r"t\.csv:20: expected a quote"),
    row("a device in quotes", '"z, of two",1,5', refused=None),
    row("empty lines", "\n", refused=None),
    row("a long device", "z" * 200_000 + ",1,5", refused=r"t\.csv:20"),
    of(CSV, "a mark at the beginning", b"\xef\xbb\xbf" + intervals(*ROWS).encode(), refused=None),
    of(CSV, "a header in quotes", intervals(*ROWS, head='"device_id","start_s","end_s"'), refused=None),
    of(CSV, "bytes that are not UTF-8", intervals(*ROWS).encode() + b"\xff,1,5\n", refused=r"t\.csv:20"),
    of(
        CSV, "20,000 columns", ",".join(["device_id,start_s,end_s", *map(str, range(20_000))]) + "\n", refused="at most"
    ),
    of(CSV, "a header alone", intervals(), refused="at least one row"),
    of(CSV, "half a day", intervals("a,0,40000"), refused="observed for a day or longer"),
    of(SPAN, "endless", COVERAGE + f"z,0,{'9' * 400}\n"),
    of(SPAN, "years", COVERAGE + "z,0,1e14\n", refused="8,000 years"),
    of(DEVICE, "beyond all numbers", DEVICES + "z,1e999,3\n"),
    of(DEVICE, "a device that is not there", DEVICES + "z,1,3\n"),
    of(DEVICE, "a word", DEVICES + f"{MARKER}5,{MARKER},3\n"),
    of(PARQUET, "other types", lambda: in_parquet(("device_id", (b"a",)), ("start_s", (1,)), ("end_s", (9,)))),
    of(PARQUET, "lists", lambda: in_parquet(("device_id", ("a",)), ("start_s", ((1,),)), ("end_s", ((9,),)))),
    of(PARQUET, "true", lambda: in_parquet(("device_id", ("a",)), ("start_s", (False,)), ("end_s", (True,)))),
    of(PARQUET, "no device", lambda: in_parquet(("device_id", (None,)), ("start_s", (1,)), ("end_s", (9,)))),
    of(PARQUET, "texts", lambda: in_parquet(("device_id", ("a",)), ("start_s", ("1",)), ("end_s", (MARKER,)))),
)

GOOD_LINE = "2020-01-01 00:00:00\twifi\n"
EVENTS = (
    of(FLASH, "as it was", flash_events(), refused=None),
    events("messages that are a list", [MARKER]),
    events("messages that are none", None),
    events("another event", GOOD_LINE + f"2020-01-02 00:00:00\t{MARKER}\n", refused="line 2: expected an event"),
    events("no time", GOOD_LINE + f"{MARKER}\twifi\n", refused="line 2: expected YYYY"),
    events("a day that is none", GOOD_LINE + "2020-02-31 00:00:00\twifi\n", refused="line 2: expected YYYY"),
    events("year 0", "0000-01-01 00:00:00\twifi\n", refused="line 1: expected YYYY"),
    events("ten thousand years", "0001-01-01 00:00:00\twifi\n9999-01-01 00:00:00\twifi\n", either=True),
    events("half letters", GOOD_LINE + "\ud83d\n", refused="line 2"),
    events("not sorted", "2020-01-02 00:00:00\twifi\n" + GOOD_LINE, refused="line 2: expected lines sorted"),
    of(FLASH, "digits", json.dumps({"a": 1}).replace("1", "1" * 4301), refused="thousands of digits"),
    of(FLASH, "deep", '{"a":' + "[" * 200 + "]" * 200 + "}", refused="too deeply"),
    of(FLASH, "no devices", "{}", refused="a key for each device"),
)


class Harmful:
    """A pickle of it would make a folder when it is loaded."""

    def __reduce__(self):
        import os

        return os.mkdir, ("/tmp/a-folder-that-a-pickle-made",)


def laughs() -> bytes:
    """As a device's id a tuple of two times the same tuple, 60 deep: to hash it takes for ever."""
    return b"\x80\x02}X\x02\0\0\0ha\x85q\0" + b"h\0h\0\x86q\0" * 60 + b"}s."


def shared() -> bytes:
    """The same 100,000 times for each of 20,000 devices."""
    times = list(range(0, 200_000, 2))
    later = [time + 1 for time in times]
    return pickled({n: {"active": times, "inactive": later, "finish_time": 3 * DAY_S} for n in range(20_000)})


def circle() -> bytes:
    content: dict[str, Any] = {"a": {}}
    content["a"]["active"] = content
    return pickled(content)


PICKLES = (
    of(FEDSCALE, "as it was", pickled, refused=None),
    *(of(FEDSCALE, f"protocol {n}", lambda n=n: pickled(protocol=n), refused=None) for n in range(6)),
    of(FEDSCALE, "one that runs something", lambda: pickled({"a": Harmful()}), refused="plain containers"),
    of(FEDSCALE, "one of numpy", lambda: pickled({"a": np.zeros(2)}), refused="plain containers"),
    of(FEDSCALE, "an import of any name", f"c{MARKER}\n{MARKER}\n.".encode(), refused="plain containers"),
    of(FEDSCALE, "something outside", b"\x80\x02P" + MARKER.encode() + b"\n.", refused="plain containers"),
    of(FEDSCALE, "a memory of billions", b"\x80\x02}r\xff\xff\xff\x7f.", refused="expected a pickle"),
    of(FEDSCALE, "a memory of billions in letters", b"}p2000000000\n.", refused="expected a pickle"),
    of(FEDSCALE, "bytes without end", b"\x80\x05\x96" + b"\xff" * 7 + b"\x0f.", refused="expected a pickle"),
    of(FEDSCALE, "a text without end", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.", refused="expected a pickle"),
    of(FEDSCALE, "a number of many digits", b"\x80\x02}I" + b"9" * 9000 + b"\n}s.", refused="expected"),
    of(FEDSCALE, "an id of many digits", lambda: pickled({10**5000: PHONE}), refused="device ids"),
    of(FEDSCALE, "an id that doubles", laughs, refused="dictionaries, lists"),
    of(FEDSCALE, "an id twice", lambda: pickled({1: PHONE, "1": PHONE}), refused="each device once"),
    of(FEDSCALE, "an id that is true", lambda: pickled({True: PHONE}), refused="device ids"),
    of(FEDSCALE, "the same times for all", shared, refused="the same for many"),
    of(FEDSCALE, "a circle", circle),
    of(FEDSCALE, "deep", b"(" * 100_000 + b"l" * 100_000 + b"."),
    of(FEDSCALE, "nothing in it", lambda: pickled({}), refused="a dictionary"),
    fedscale("endless times", finish_time=float("inf")),
    fedscale("no numbers", active=[float("nan"), 1]),
    fedscale("beyond all numbers", finish_time=10**400),
    fedscale("long spans", refused="8,000 years", finish_time=1e300),
    fedscale("true as a time", active=[True, 90_000]),
    fedscale("texts", active=MARKER),
    fedscale("bytes", finish_time=MARKER.encode()),
    fedscale("nothing", finish_time=None),
    fedscale("a list as the end", finish_time=[]),
    of(CAPACITY, "of other devices", lambda: pickled({"z": {"computation": 1, "communication": 1}})),
    of(CAPACITY, "texts", lambda: pickled({f"{MARKER}1": {"computation": MARKER, "communication": 1}})),
    of(CAPACITY, "lists", lambda: pickled({f"{MARKER}1": {"computation": [], "communication": []}})),
)

CASES = (*TABLES, *EVENTS, *PICKLES)
