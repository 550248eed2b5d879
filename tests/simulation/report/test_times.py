"""Where the time went: drawn of what is kept, and said where nothing is."""

import json
import re
from dataclasses import asdict, replace

import pytest

from simulation.commands import report
from simulation.report.facts import LeftOut
from simulation.report.times import (
    NOT_KEPT,
    drawing_of_start,
    drawings_of_rounds,
    rounds_of,
    start_of,
    table_of_rounds,
    table_of_start,
    write_start,
)
from simulation.start_up import Span
from tests.conftest import ROOT
from typefleet.errors import ConfigError

SPANS = [
    Span("driver", "import", "TensorFlow", 0.0, 1.5, 1.25),
    Span("driver", "wait", "for a worker", 1.5, 2.0, None),
    Span("driver", "phones", "round 1", 2.0, 4.0, 0.0),
    Span("engine", "start", "Ray", 0.5, 0.52, 0.01),
]
PROFILE = {
    "driver_s": {"plan": 0.1, "exchange": 2.0, "server_step": 0.3, "evaluation": 0.0},
    "hosts_s": {"decode": 0.01, "read": 0.02, "train": 3.0, "clip_and_sum": 0.1, "other": -1e-9},
    "checkpoint_s": 0.5,
}


def lines(number, **more):
    return [{"round": 1 + i, "profile": {**PROFILE, **more}} for i in range(number)]


def letters(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def test_each_does_what_it_does_in_a_lane_of_its_own():
    drawing, table = drawing_of_start(SPANS), table_of_start(SPANS)
    assert [text for text in letters(drawing.svg) if text in ("driver", "engine")] == ["driver", "engine"]
    # Numbers of what has room for one, and the meaning of colours that are there.
    assert {"1", "2", "3", "imports", "waits", "phones' work"} <= set(letters(drawing.svg))
    assert "prepares" not in letters(drawing.svg) and "TensorFlow" not in letters(drawing.svg)
    assert "4" in letters(drawing.svg)  # above a bar of 20 ms, beside which nothing is
    assert "work begins after 2.0 s" in drawing.svg and "over after 4.0 s" in drawing.svg
    assert table.rows == [
        ["driver"],
        ["1 imports TensorFlow", "0.00", "1.50", "1.25"],
        ["2 waits for a worker", "1.50", "0.50", "-"],
        ["3 round 1", "2.00", "2.00", "0.00"],
        ["engine"],
        ["4 starts Ray", "0.50", "0.02", "0.01"],
    ]


def test_bars_are_as_long_as_what_was_done_lasted():
    svg = drawing_of_start(SPANS).svg
    found = {}
    for name, colour in (("import", "second"), ("phones", "third")):
        paths = re.findall(rf'<path d="([^"]+)"[^>]*fill: var\(--{colour}\)', svg)
        lengths = [max(x) - min(x) for x in ([float(n) for n in re.findall(r"[ML] ([\d.]+)", p)] for p in paths)]
        found[name] = max(lengths)
    assert found["phones"] / found["import"] == pytest.approx(2.0 / 1.5, rel=0.01)


def test_of_many_workers_some_are_drawn_and_all_are_counted():
    workers = [Span(f"worker {i}", "phones", "scores", 1.0, 2.0, 0.5) for i in range(1, 65)]
    drawing, table = drawing_of_start([*SPANS, *workers]), table_of_start([*SPANS, *workers])
    assert sum("worker" in text for text in letters(drawing.svg)) == 4
    assert table.caption.endswith("with 4 of 64 workers") and len(table.rows) == 6 + 2 * 4


@pytest.mark.parametrize("name", [r"$\foo$", r"$\frac{$", "$_^$"])
def test_no_name_is_taken_for_a_formula(name):
    spans = [replace(SPANS[2], who=name, what=name)]
    assert name in letters(drawing_of_start(spans, in_words=True).svg)


@pytest.mark.parametrize(
    ("rounds", "reason"),
    [
        ([{"round": 1}], NOT_KEPT.reason),
        (lines(2), "an earlier version did not keep"),
        (lines(1, start_up=[{"who": "driver"}]), "damaged"),
        (lines(1, start_up=3), "damaged"),
        (lines(1, start_up=[{**asdict(SPANS[0]), "began_s": -1}]), "damaged"),
        (lines(1, start_up=[{**asdict(SPANS[0]), "ended_s": 10**400}]), "damaged"),
        (lines(1, start_up=[{**asdict(SPANS[0]), "ended_s": 0.0}]), "damaged"),  # no time at all
    ],
)
def test_a_start_that_is_not_on_record_is_said(rounds, reason):
    found = start_of(rounds)
    assert isinstance(found, LeftOut) and reason in found.reason
    assert isinstance(start_of([*rounds, *lines(1, start_up=[asdict(one) for one in SPANS])]), LeftOut) is (
        "damaged" in reason
    )


def test_the_parts_of_a_round_lie_on_each_other_and_their_shares_are_said():
    found = rounds_of(lines(3))
    driver, hosts = drawings_of_rounds(found)
    assert "phones train 2 s" in driver.svg and "training 3 s" in hosts.svg
    assert {"phones train", "scoring", "sum and step", "plan", "checkpoint"} <= set(letters(driver.svg))
    rows = table_of_rounds(found).rows
    assert rows[0] == ["driver, wall time"] and ["phones train", "2.000", "69.0%"] in rows
    assert ["the answer", "0.000", "0.0%"] in rows  # of a clock that went back by a nanosecond
    for of_whom in (rows[1:6], rows[7:]):
        assert sum(float(row[2].removesuffix("%")) for row in of_whom) == pytest.approx(100, abs=0.3)


def test_rounds_are_those_that_were_completed():
    nothing = {**PROFILE, "driver_s": dict.fromkeys(PROFILE["driver_s"], 0.0)}
    abandoned = [{"round": i, "completed": 0, "abandoned": "too few", "profile": nothing} for i in (1, 2, 3)]
    done = [{"round": 3 + i, "completed": i, "abandoned": None, "profile": PROFILE} for i in (1, 2)]
    found = rounds_of([*abandoned, *done])
    assert found.rounds == [1, 2] and ["phones train", "2.000", "69.0%"] in table_of_rounds(found).rows
    assert "no round was completed" in rounds_of(abandoned).reason


def test_a_picture_by_itself_says_what_its_numbers_mean():
    alone, beside_a_table = drawing_of_start(SPANS, in_words=True), drawing_of_start(SPANS)
    key, written = {"4 starts Ray"}, {"TensorFlow", "for a worker", "round 1"}
    assert key | written | {"4"} <= set(letters(alone.svg)) and not key & set(letters(beside_a_table.svg))
    listed = {text for text in letters(alone.svg) if re.match(r"\d+ ", text)}
    assert listed == key and not {"1", "2", "3"} & set(letters(alone.svg))  # what is written above a bar is not listed


def test_numbers_without_room_are_written_together_where_nothing_else_is():
    short = [Span("driver", "prepare", f"part {i}", 1.5 + 0.01 * i, 1.51 + 0.01 * i, None) for i in range(3)]
    spans = [SPANS[0], *short, SPANS[2]]
    assert {"1", "2-4", "5"} <= set(letters(drawing_of_start(spans).svg))
    crowded = [replace(SPANS[0], ended_s=1.4), *short, replace(SPANS[2], began_s=1.54, ended_s=1.9)]
    assert "2-4" not in letters(drawing_of_start([*crowded, replace(SPANS[2], began_s=60.0, ended_s=90.0)]).svg)


def test_no_other_kind_of_picture_is_written_under_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"^--start-up: expected a path that ends in \.svg, found .*start\.png"):
        write_start(tmp_path, tmp_path / "start.png")
    assert not list(tmp_path.iterdir())


def test_many_rounds_are_means_of_several_and_no_round_is_lost():
    rounds = lines(1000)
    rounds[-1] = {"round": 1000, "profile": {**PROFILE, "checkpoint_s": 25.5}}
    driver, _ = drawings_of_rounds(rounds_of(rounds))
    assert "a mean of some 25 rounds" in driver.caption and len(driver.svg) < 60_000
    heights = [
        max(y) - min(y)
        for path in re.findall(r'<path d="([^"]+)"[^>]*fill: var\(--rule\)', driver.svg)
        for y in [[float(n) for n in re.findall(r"[ML] [\d.]+ ([\d.]+)", path)]]
    ]
    *others, last, _ = heights  # the legend's is the last
    assert last / others[0] == pytest.approx(1.5 / 0.5, rel=0.01)  # (24 x 0.5 + 25.5) / 25


@pytest.mark.parametrize(
    "change",
    [{"driver_s": {}}, {"hosts_s": 3}, {"checkpoint_s": "x"}, {"checkpoint_s": float("nan")}, {"checkpoint_s": True}],
)
def test_rounds_whose_times_are_damaged_are_said(change):
    found = rounds_of([*lines(1), *lines(1, **change)])
    assert isinstance(found, LeftOut) and "damaged" in found.reason
    assert rounds_of([{"round": 1}]) == NOT_KEPT


def test_a_start_can_be_a_file_of_its_own_with_a_ground_of_its_own(whole_run, tmp_path):
    path = tmp_path / "start.svg"
    write_start(whole_run, path)
    svg = path.read_text()
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" width="') and "prefers-color-scheme: dark" in svg
    used, given = (set(re.findall(pattern, svg)) for pattern in (r"var\((--\w+)\)", r"(--\w+):"))
    assert used <= given and "background: var(--page)" in svg
    again = tmp_path / "again.svg"
    write_start(whole_run, again)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(ConfigError, match="a place that can be written"):
        write_start(whole_run, tmp_path / "none" / "start.svg")


def test_a_timeline_that_is_refused_leaves_the_report_as_it_was(run_copy, tmp_path):
    for path, why in (("none/start.svg", "a place that can be written"), ("start.png", "ends in")):
        with pytest.raises(ConfigError, match=why):
            report.main([str(run_copy), "--start-up", str(tmp_path / path)])
    (run_copy / "rounds.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"a run with --engine\.profile"):
        report.main([str(run_copy), "--start-up", str(tmp_path / "start.svg")])
    assert not (run_copy / "report.html").exists()


def test_a_run_without_a_profile_has_no_start_to_draw(whole_run, tmp_path):
    (tmp_path / "rounds.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"a run with --engine\.profile"):
        write_start(tmp_path, tmp_path / "start.svg")
    assert not (tmp_path / "start.svg").exists()


def test_the_picture_of_the_documentation_is_one():
    svg = (ROOT / "docs" / "start_up.svg").read_text(encoding="utf-8")
    assert {"driver", "engine", "worker 1", "worker 2"} <= set(letters(svg)) and "prefers-color-scheme" in svg
    assert any(re.fullmatch("1 imports .+", line) for line in letters(svg))  # the key: no table is beside it


def test_the_line_of_a_first_round_has_what_the_page_draws(whole_run):
    rounds = [json.loads(line) for line in (whole_run / "rounds.jsonl").read_text().splitlines()]
    assert {one.who for one in start_of(rounds)} == {"driver"}
    assert len(rounds_of(rounds).rounds) == len(rounds)
