"""A run's progress: rounds in a pipe as plain lines, on a terminal a line that keeps counter, bar and time left."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

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
            progress.round_done(record(epsilon=8.0), completed, "")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("round    1/100  ") and "epsilon 8.00" in first
    assert " left" in second and second.endswith(" left")  # by the second round alone: the first pays for the start
    assert "?" not in first and not first.endswith("left") and first == first.rstrip()


@pytest.mark.parametrize(("reports", "told"), [(1, "  1 phone ("), (2, "  2 phones (")])
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
            progress.round_done(record(epsilon=8.0), 1, "")
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
