"""What a person sees while a run goes on: a live line on a terminal, plain lines in a pipe."""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.run.records import RoundRecord

_ABANDONED_AT_ONCE = 10  # rounds in a row, for one line


def percent(share: float | None, digits: int = 2) -> str:
    """0.0712 -> 7.12 %; a dash for a value that does not exist."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


class _Bar(Progress):
    """A bar with a second line below it, so that what matters stands within 80 columns."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Text(self.below, no_wrap=True, overflow="ellipsis")


class RunProgress:
    """Prints each round; on a terminal it also keeps a bar with the time left.

    Use as a context manager. `say` prints a line of its own without disturbing the bar.
    """

    def __init__(self, stream: TextIO, rounds: int, completed: int) -> None:
        self._terminal = stream.isatty()
        self._console = Console(file=stream, soft_wrap=True, highlight=False)
        self._rounds, self._began_at = rounds, completed
        self._first: tuple[float, int] | None = None  # when the first round was done, and its number
        self._recall = ""
        self._abandoned = 0  # in a row
        self._bar: _Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "RunProgress":
        if self._terminal:
            self._bar = _Bar(
                TextColumn("round {task.completed}/{task.total}"),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("starting the workers", total=self._rounds, completed=self._began_at)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False)

    def round_done(self, record: RoundRecord, completed: int, of_what: str) -> None:
        """Show one round."""
        left, date = self._time_left(completed), record.funnel.simulated_date if record.funnel else ""
        if record.abandoned:
            self._abandoned += 1
            if self._abandoned == 1 or self._abandoned % _ABANDONED_AT_ONCE == 0:
                so_far = "" if self._abandoned == 1 else f"{self._abandoned} in a row, now "
                self.say(f"attempt {record.round:>4} abandoned: {so_far}{record.abandoned}  {date}".rstrip())
            return
        self._abandoned = 0
        epsilon = "no privacy" if record.epsilon is None else f"epsilon {record.epsilon:.2f}{of_what}"
        phones, speed = f"{record.reports} phones ({_funnel(record)})", f"{record.tokens_per_second:,.0f} tokens/s"
        loss = f"loss {record.loss:.3f}"
        measured = (record.held_out or {}).get(TOP1_RECALL.name)
        recall = f"  recall {TOP1_RECALL.text(measured)}" if measured is not None else ""
        if self._bar is not None and self._task is not None:
            self._recall = recall or self._recall
            self._bar.below = f"{loss}{self._recall}  {phones}  {speed}  {date}"
            epsilon_here = "no privacy" if record.epsilon is None else f"epsilon {record.epsilon:.2f}"
            self._bar.update(self._task, completed=completed, description=f"{left} left  {epsilon_here}")
            if recall:
                self.say(f"round {completed:>4}{recall}  {epsilon}")
        else:
            now = f"{phones}  {speed}  {loss}{recall}  {epsilon}  {date}  {left} left"
            self.say(f"round {completed:>4}/{self._rounds}  {now}")

    def _time_left(self, completed: int) -> str:
        """By the rounds after the first, which also pays for starting the workers."""
        if self._first is None:
            self._first = (time.monotonic(), completed)
        since, first = self._first
        if completed <= first:
            return "?"
        seconds = (time.monotonic() - since) / (completed - first) * (self._rounds - completed)
        return str(timedelta(seconds=round(seconds)))


def _funnel(record: RoundRecord) -> str:
    parts = []
    if record.funnel is not None:
        funnel = record.funnel
        parts.append(f"{funnel.invited} invited")
        after = ((funnel.dropped, "dropped"), (funnel.late, "late"), (funnel.unused, "not needed"))
        parts += [f"{number} {what}" for number, what in after if number]
    left_out = len(record.rejected) + len(record.failed)
    return ", ".join([*parts, f"{left_out} left out for errors"] if left_out or not parts else parts)
