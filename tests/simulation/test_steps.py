"""What is shown of a step: a live line that keeps what matters at any width; in a pipe a few plain lines."""

import io
import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from simulation import steps
from simulation.steps import LiveLine, StepsShown, clock, steps_shown_on
from tests.conftest import ROOT
from tests.waiting import PATIENCE_S
from typefleet.steps import each, step

WIDTHS = (40, 60, 80, 120, 200)


def drawn(line, width, encoding="utf-8"):
    """A line as it looks on a terminal of some width: its rows."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    console.print(line, end="")
    file.seek(0)
    return file.read().splitlines()


def a_line():
    line = LiveLine("round 12/100")
    line.done, line.total, line.after = 12, 100, "0:10:35 left"
    line.rest, line.below = "epsilon 8.00", "loss 4.321  recall 14.20 %  " + "20 phones (26 invited, 2 dropped)  " * 4
    return line


@pytest.mark.parametrize("width", WIDTHS)
def test_counter_bar_and_time_left_are_whole_at_every_width(width):
    first, second = drawn(a_line(), width)
    assert re.match(r"round 12/100 ━+─+ 0:10:35 left( |$)", first)
    assert len(first) <= width and len(second) <= width and second.startswith("loss 4.321  recall 14.20 %")
    assert ("epsilon 8.00" in first) == (width >= 80)
    if width < 200:
        assert second.endswith("…")


@pytest.mark.parametrize(("width", "whole"), [(40, ""), (50, ""), (51, "26,163 tokens/s"), (200, "both")])
def test_what_stands_last_below_is_there_whole_or_not_at_all(width, whole):
    line = a_line()
    line.below, line.below_if_whole = (
        "loss 4.321  20 phones (26 invited)",
        ("", "26,163 tokens/s", "2026-01-05T00:00:17Z"),
    )
    _, second = drawn(line, width)
    parts = {"": "", "both": "  26,163 tokens/s  2026-01-05T00:00:17Z"}
    assert second == line.below + parts.get(whole, f"  {whole}")


def test_the_bar_is_as_full_as_the_work_is_done():
    line = a_line()
    for line.done in (0, 25, 50, 100, 130):
        (first, _) = drawn(line, 80)
        assert first.count("━") == round(24 * min(line.done / 100, 1)) and first.count("━") + first.count("─") == 24


def test_a_terminal_without_other_characters_gets_plain_ones():
    first, *_ = drawn(a_line(), 200, "ascii")
    assert re.match(r"round 12/100 #+-+ 0:10:35 left  epsilon 8\.00$", first)


def test_a_pipe_gets_a_line_for_a_step_and_one_in_ten_seconds(monkeypatch):
    now_s, stream = [0.0], io.StringIO()
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with steps_shown_on(stream):
        for _ in each("counting words", range(40), 40):
            now_s[0] += 1.0
    said = stream.getvalue().splitlines()
    assert said[0] == "counting words" and len(said) == 1 + 40 // 10
    assert said[1] == "counting words: 25%, about 30 s left" and said[-1] == "counting words: 100%"


def test_what_is_left_never_grows_while_a_unit_is_under_way(monkeypatch):
    now_s, shown = [0.0], StepsShown(Terminal(), live=False)
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with steps.heard_by(shown), step("converting", 4) as converting:
        after = []
        for done, at_s in ((0, 3), (1, 5), (1, 8), (1, 19), (1, 40), (4, 41)):
            now_s[0] = float(at_s)
            if done > converting.done:
                converting.reached(done)
            after.append(shown.line().after)
    assert after[:3] == ["0%  0:00:03 so far", "25%  0:00:15 left", "25%  0:00:12 left"]
    assert after[3:] == [
        "25%  0:00:01 left",
        "25%  0:00:40 so far",
        "100%  0:00:41 so far",
    ]  # what has passed, where it took longer


def test_in_a_pipe_what_is_done_within_a_step_speaks_only_if_it_lasts(monkeypatch):
    now_s, stream = [0.0], io.StringIO()
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with steps_shown_on(stream), step("outer"):
        with step("quick") as quick:
            quick.advance()
        with step("long") as long:
            now_s[0] += 11
            long.reached(3, "3 messages")
    assert stream.getvalue() == "outer\nlong: 3 messages\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_innermost_step_and_is_left_clean(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    shown = StepsShown(stream)
    with steps.heard_by(shown), step("outer"):
        with step("inner", 4) as inner:
            inner.reached(1, "1 of 4")
            (line,) = drawn(shown.line(), 80)
            assert re.match(r"inner ━━━━━━─+ 25%  0:00:0\d left  1 of 4$", line)
        (line,) = drawn(shown.line(), 80)
        assert re.match(r"outer 0:00:0\d$", line)
    written = stream.getvalue()
    assert "outer" in written and written.rstrip().endswith("\x1b[2K")  # the line is erased
    assert shown._live is None


def test_a_name_that_is_wider_than_the_terminal_stays_one_line():
    line = LiveLine("reading " + "a long name " * 10)
    line.after = "0:00:07"
    (only,) = drawn(line, 40)
    assert len(only) <= 40 and only.endswith("0:00:07")


def test_a_clock_is_read_as_one():
    assert [clock(s) for s in (0.4, 65, 3600, 90_061)] == ["0:00:00", "0:01:05", "1:00:00", "1 day, 1:01:01"]


ON_A_TERMINAL = """
import sys, time
from simulation.steps import steps_shown_on
from typefleet.steps import each
with steps_shown_on(sys.stdout):
    for _ in each("counting words", range(5), 5):
        time.sleep(0.3)
print("done")
"""


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_real_terminal_the_line_fits_and_goes(columns):
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", ON_A_TERMINAL], stdout=theirs, cwd=ROOT, env=env)
    os.close(theirs)
    written: list[bytes] = []

    def read():
        try:
            while block := os.read(ours, 65536):
                written.append(block)
        except OSError:  # how a terminal ends
            pass

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(timeout=PATIENCE_S) == 0
    reader.join()
    os.close(ours)
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", b"".join(written).decode())
    frames = [frame for frame in re.split(r"[\r\n]+", text) if frame]
    assert frames[-1] == "done" and all(len(frame) <= columns for frame in frames)
    assert any(re.match(r"counting words ━+─* \d+%  0:00:0\d left$", frame) for frame in frames)
