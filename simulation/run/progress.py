"""What a person sees while a run goes on: a live line on a terminal, plain lines in a pipe."""

import time
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from simulation.run.records import RoundRecord


def percent(share: float | None, digits: int = 2) -> str:
    """0.0712 -> 7.12 %; a dash for a value that does not exist."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


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
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "RunProgress":
        if self._terminal:
            self._bar = Progress(
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
            self.say(f"round {record.round:>4}  abandoned: {record.abandoned}  {date}".rstrip())
            return
        epsilon = "no privacy" if record.epsilon is None else f"epsilon {record.epsilon:.2f}{of_what}"
        speed = f"{record.tokens_per_second:,.0f} tokens/s  loss {record.loss:.3f}"
        now = f"{record.reports} phones ({_funnel(record)})  {speed}"
        measured = (record.held_out or {}).get(TOP1_RECALL.name)
        recall = f"  recall {TOP1_RECALL.text(measured)}" if measured is not None else ""
        if self._bar is not None and self._task is not None:
            self._recall = recall or self._recall
            description = f"{now}{self._recall}  {epsilon}  {date}  {left} left"
            self._bar.update(self._task, completed=completed, description=description)
            if recall:
                self.say(f"round {completed:>4}{recall}  {epsilon}")
        else:
            self.say(f"round {completed:>4}/{self._rounds}  {now}{recall}  {epsilon}  {date}  {left} left")

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
        after = record.funnel.late + record.funnel.unused
        parts += [f"{record.funnel.invited} invited", f"{record.funnel.dropped} dropped", f"{after} late"]
    left_out = len(record.rejected) + len(record.failed)
    return ", ".join([*parts, f"{left_out} left out for errors"] if left_out or not parts else parts)
