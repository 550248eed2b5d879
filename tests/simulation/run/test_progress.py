"""A run's progress: rounds in a pipe as plain lines, on a terminal a line that keeps counter, bar and time left."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.run.progress import RunProgress
from tests.simulation.run.test_records import record
from typefleet.steps import step


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(progress, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(progress._shown(), end="")
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_counter_bar_and_time_left_come_first_and_whole(width):
    with RunProgress(Terminal(), 100, 0) as progress:
        assert re.match(r"round 0/100 ─+ starting the workers$", shown(progress, width)[0])
        progress.round_done(record(epsilon=8.0), 1, "")
        assert re.match(r"round 1/100 ━*─+ timing the rounds( |$)", shown(progress, width)[0])
        progress.round_done(record(epsilon=8.0), 2, "")
        first, second = shown(progress, width)
    assert re.match(r"round 2/100 ━*─+ 0:0\d:\d\d left( |$)", first)
    assert len(first) <= width and len(second) <= width and second.startswith("loss ")
    assert ("epsilon 8.00" in first) == (width >= 80)


def test_a_pipe_gets_a_whole_line_a_round():
    stream = io.StringIO()
    with RunProgress(stream, 100, 0) as progress:
        for completed in (1, 2):
            progress.round_done(record(epsilon=8.0, rejected=[], failed={}), completed, "")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("round    1/100  ") and "epsilon 8.00" in first
    assert " left" in second and second.endswith(" left")  # by the second round alone: the first pays for the start
    assert "?" not in first and not first.endswith("left") and first == first.rstrip()


FIRST = ("round", "phone", "loss", "recall", "epsilon")  # what a log is read for, in 80 columns


def measured_at(recall):
    return {TOP1_RECALL.name: recall}


def lines_of(*records, of_what=" (modelled)"):
    """What a pipe gets of a run of 100 rounds that began long ago."""
    stream = io.StringIO()
    with RunProgress(stream, 100, 0) as progress:
        progress._first = (-7000.0, 0)
        for completed, one in enumerate(records, start=97):
            progress.round_done(one, completed, of_what)
    return stream.getvalue().splitlines()


def test_lines_in_a_pipe_keep_their_columns_and_end_within_120():
    funnel = replace(record().funnel, invited=123, dropped_failure=11, late=11, unused=11, closed_s=1234567.0)
    one = record(epsilon=18.0, reports=100, rejected=[], failed={}, funnel=funnel)
    plain, measured = lines_of(one, replace(one, held_out=measured_at(0.18534)))
    assert "recall" not in plain and "  recall 18.53 %  epsilon 18.00 (modelled)  day 14.3  " in measured
    assert measured.startswith("round   98/100  100 phones, 123 invited  loss 2.500  recall")
    assert all(plain.index(word) == measured.index(word) for word in ("phones", "loss", "epsilon", "day"))
    assert max(len(plain), len(measured)) <= 120 and measured.endswith(" left")
    few = replace(one, reports=20, funnel=replace(funnel, invited=23), epsilon=6.3, held_out=measured_at(0.2))
    (first,) = [line[:80] for line in lines_of(few)]
    places = [first.index(word) for word in FIRST]
    assert places == sorted(places) and first.endswith("  recall 20.00 %  epsilon 6.30 ")


def test_phones_left_out_for_errors_have_a_line_of_their_own():
    with_errors, errors, without = lines_of(record(), record(rejected=[], failed={}))
    assert errors == "         2 phones left out for errors" and "errors" not in with_errors + without
    assert lines_of(record(failed={}))[1].strip() == "1 phone left out for errors"


@pytest.mark.parametrize(
    ("width", "whole"),
    [
        (80, "loss 2.500  recall 18.53 %  20 phones, 23 invited  2 dropped, 1 not needed"),
        (100, "loss 2.500  recall 18.53 %  20 phones, 23 invited  2 dropped, 1 not needed  106,537 tokens/s"),
        (120, "loss 2.500  recall 18.53 %  20 phones, 23 invited  2 dropped, 1 not needed  106,537 tokens/s  day 6.6"),
    ],
)
def test_a_terminal_shows_parts_that_are_whole(width, whole):
    ended = dict.fromkeys(("dropped_failure", "dropped_ineligible", "dropped_upload", "late"), 0)
    funnel = replace(record().funnel, invited=23, **(ended | {"dropped_failure": 2}), unused=1, closed_s=570000.0)
    measured, phones = measured_at(0.18534), dict(reports=20, rejected=[], failed={}, funnel=funnel)
    with RunProgress(Terminal(), 100, 0) as progress:
        progress.round_done(record(epsilon=6.3, held_out=measured, tokens_per_second=106537.0, **phones), 1, "")
        _, second = shown(progress, width)
    assert second == whole


@pytest.mark.parametrize(("reports", "told"), [(1, "  1 phone, "), (2, "  2 phones, ")])
def test_one_phone_is_no_phones(reports, told):
    stream = io.StringIO()
    with RunProgress(stream, 100, 0) as progress:
        progress.round_done(replace(record(epsilon=8.0), reports=reports), 1, "")
    assert told in stream.getvalue()


def test_a_step_between_rounds_is_no_part_of_their_pace(monkeypatch):
    now_s, stream = [0.0], io.StringIO()
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with RunProgress(stream, 12, 0) as progress:
        for completed in (1, 2, 3):
            now_s[0] += 1.0
            progress.round_done(record(epsilon=8.0), completed, "")
            with step("measuring what counting achieves", 2), step("within it"):
                now_s[0] += 100.0 * (completed == 2)
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("round")]
    assert [line.rpartition("  ")[2] for line in lines[1:]] == ["0:00:10 left", "0:00:09 left"]


@pytest.mark.parametrize(("in_a_row", "told", "more"), [(1, 1, None), (2, 1, 1), (10, 2, None), (13, 2, 3)])
@pytest.mark.parametrize("is_over", [False, True])
def test_every_abandoned_round_is_told_or_counted(in_a_row, told, more, is_over):
    stream = io.StringIO()
    with RunProgress(stream, 100, 0) as progress:
        for _ in range(in_a_row):
            progress.round_done(record(abandoned="too few phones"), 0, "")
        if not is_over:
            progress.round_done(record(epsilon=8.0, rejected=[], failed={}), 1, "")
    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("attempt") for line in lines) == told
    assert [line.strip() for line in lines if " more " in line] == (
        [] if more is None else [f"and {more} more in a row"]
    )
    assert is_over or lines[-1].startswith("round ")


def test_a_step_within_the_rounds_takes_the_line_s_place_and_gives_it_back():
    stream = Terminal()
    with RunProgress(stream, 100, 0) as progress:
        with step("counting words", 4) as counting:
            counting.advance()
            (line,) = shown(progress, 80)
            assert re.match(r"counting words ━+─+ 25%  0:00:00 left$", line)
        assert shown(progress, 80)[0].startswith("round 0/100 ")
    with step("later"):
        pass
    assert "later" not in stream.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_what_is_said_before_the_first_round_is_as_wide_as_it_is_allowed_to_be(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    RunProgress(stream, 100, 0).introduce(["phones      " + "many of them " * 20, "model       one"])
    lines = stream.getvalue().splitlines()
    assert len(lines) > 4 and max(map(len, lines)) <= width and lines[-1] == "model       one"
    assert all(line.startswith(("phones", "model", " " * 12)) for line in lines)
