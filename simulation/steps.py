"""Steps as a person sees them: a live line on a terminal, now and then a plain one in a pipe."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from simulation.signals import silenced_if_gone
from typefleet.steps import Step, heard_by

_PIPE_S = 10.0  # wall seconds between two lines of a step
_LEAST_REST = 8  # columns, with the space before it; less says nothing
_BAR = (6, 24)  # columns of a bar, at least and at most


def clock(seconds: float) -> str:
    """0:01:05 for 65 seconds."""
    return str(timedelta(seconds=round(seconds)))


class LiveLine:
    """What comes first is never cut: a head, a bar, the time left; the rest gives way from the right."""

    def __init__(self, head: str = "") -> None:
        self.head, self.after, self.rest, self.below = head, "", "", ""
        self.below_if_whole: tuple[str, ...] = ()  # behind what is below, each only where all of it fits
        self.done, self.total = 0.0, 0.0  # no bar while the total is 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        head = _cut(self.head, max(width - len(self.after) - 1 - (_BAR[0] + 1 if self.total else 0), _LEAST_REST))
        yield head
        used = len(head.text)
        if self.total:
            bar = max(_BAR[0], min(_BAR[1], width - used - len(self.after) - 2))
            yield Segment(" ")
            full = round(bar * min(self.done / self.total, 1.0))
            yield Segment(("#" if options.ascii_only else "━") * full, console.get_style("bar.complete"))
            yield Segment(("-" if options.ascii_only else "─") * (bar - full), console.get_style("bar.back"))
            used += bar + 1
        yield Segment(f" {self.after}")
        room = width - used - len(self.after) - 1
        if self.rest and room >= _LEAST_REST:
            yield _cut(f"  {self.rest}", room)
        if self.below:
            yield Segment.line()
            below = self.below
            for part in filter(None, self.below_if_whole):
                if len(below) + len(part) + 2 > width:
                    break
                below += f"  {part}"
            yield _cut(below, width)


def _cut(text: str, width: int) -> Segment:
    cut = Text(text)
    cut.truncate(width, overflow="ellipsis")
    return Segment(cut.plain)


class StepsShown:
    """Shows steps on a stream: the innermost one, live, if it is a terminal; else a line when one begins and at most
    one in ten seconds while it lasts.

    Args:
        stream: where to.
        live: whether to keep a live line on a terminal; without, whoever has one asks for `line`, and whether the
            reader has gone, which otherwise is an error.
    """

    def __init__(self, stream: TextIO, live: bool = True) -> None:
        self._terminal, self._stream, self._keeps_line = stream.isatty(), stream, live
        self._steps: list[Step] = []  # the innermost last
        self._said_s: dict[int, float] = {}
        self._live: Live | None = None
        self._lost = False
        self.took_s = 0.0  # wall seconds of the steps that are over, of those within others none

    def begun(self, step: Step) -> None:
        """Show it, or say its name."""
        self._steps.append(step)
        if self._terminal and self._keeps_line and self._live is None:
            console = Console(file=self._stream, highlight=False)
            self._live = Live(console=console, transient=True, get_renderable=self._shown)
            self._live.start(refresh=True)
        elif not self._terminal:
            self._said_s[id(step)] = time.monotonic()
            if len(self._steps) == 1:  # what is done within it says so only if it lasts
                self._say(step, step.name)

    def moved(self, step: Step) -> None:
        """In a pipe, say so if it is time; a terminal looks by itself."""
        if not self._terminal and time.monotonic() - self._said_s[id(step)] >= _PIPE_S:
            facts = (_percent(step), step.note, _left(step))
            self._say(step, f"{step.name}: {', '.join(filter(None, facts))}")

    def ended(self, step: Step) -> None:
        """Show the step around it again, or nothing."""
        if self._steps == [step] and self._live is not None:
            self._live.stop()
            self._live = None
        self._steps.remove(step)
        if not self._steps:
            self.took_s += time.monotonic() - step.began_s
        self._said_s.pop(id(step), None)

    def _say(self, step: Step, text: str) -> None:
        self._said_s[id(step)] = time.monotonic()
        if not self._keeps_line:
            self.has_lost_its_reader()
        print(text, file=self._stream, flush=True)

    def has_lost_its_reader(self) -> bool:
        """Whether nobody is there any more to read the stream; writing to it then does no harm."""
        self._lost = silenced_if_gone(self._stream) or self._lost
        return self._lost

    def _shown(self) -> LiveLine:
        return self.line() or LiveLine()

    def line(self) -> LiveLine | None:
        """The innermost step as it is now; None if there is none."""
        if not self._steps:
            return None
        step = self._steps[-1]
        line, elapsed = LiveLine(step.name), clock(time.monotonic() - step.began_s)
        line.rest = step.note
        if step.total:
            left = None if step.done >= step.total else step.left_s()
            line.done, line.total = step.done, step.total
            line.after = f"{_percent(step)}  {f'{elapsed} so far' if left is None else f'{clock(left)} left'}"
        else:
            line.after = elapsed
        return line


def _percent(step: Step) -> str:
    return f"{min(step.done / step.total, 1):.0%}" if step.total else ""


def _left(step: Step) -> str:
    left = step.left_s()
    return "" if left is None or _percent(step) == "100%" else f"about {max(left, 1):.0f} s left"


@contextmanager
def steps_shown_on(stream: TextIO) -> Iterator[None]:
    """Show every step that is begun within on a stream.

    Args:
        stream: a terminal, a file, a pipe, or anything that can be written to.
    """
    with heard_by(StepsShown(stream)):
        yield
