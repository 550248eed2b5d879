"""What a person sees while a run goes on: a live line on a terminal, plain lines in a pipe."""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TextIO

from rich.console import Console
from rich.live import Live

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from server_strategy.privacy.rounded_up import Bound
from simulation.clock import DAY_S
from simulation.run.records import RoundRecord
from simulation.steps import LiveLine, StepsShown, clock
from simulation.tables import console_for, print_named
from typefleet.steps import heard_by

_ABANDONED_AT_ONCE = 10  # rounds in a row, for one line


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
        self._wide = console_for(stream)
        self._rounds, self._began_at = rounds, completed
        self._first: tuple[float, int] | None = None  # seconds until the first round was done, and its number
        self._recall = ""
        self._abandoned = self._abandoned_said = 0  # in a row
        self._line = LiveLine()
        self._live: Live | None = None
        self._steps = StepsShown(stream, live=False)  # those within the rounds stand in the line's place
        self._heard = ExitStack()

    def __enter__(self) -> "RunProgress":
        if self._terminal:
            self._show(self._began_at, "starting the workers")
            self._live = Live(console=self._console, transient=True, get_renderable=self._shown)
            self._live.start(refresh=True)
        self._heard.enter_context(heard_by(self._steps))
        return self

    def __exit__(self, *_: object) -> None:
        self._heard.close()
        self._say_how_many_more()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _shown(self) -> LiveLine:
        return self._steps.line() or self._line

    def _show(self, completed: int, after: str) -> None:
        self._line.head, self._line.after = f"round {completed}/{self._rounds}", after
        self._line.done, self._line.total = completed, self._rounds

    def has_lost_its_reader(self) -> bool:
        """Whether nobody is there any more to read what is printed; printing it then does no harm."""
        return self._steps.has_lost_its_reader()

    def introduce(self, paragraphs: Iterable[str]) -> None:
        """Print what is said before the first round, as wide as the terminal.

        Args:
            paragraphs: see `simulation.tables.print_named`.
        """
        self.has_lost_its_reader()
        for paragraph in paragraphs:
            print_named(self._wide, paragraph)

    def say(self, text: str) -> None:
        """Print a line."""
        self.has_lost_its_reader()
        self._console.print(text, markup=False)

    def round_done(self, record: RoundRecord, completed: int, of_what: str) -> None:
        """Show one round.

        Args:
            record: of the round.
            completed: rounds so far that released something.
            of_what: follows epsilon in a line of its own.
        """
        left = self._time_left(completed)
        if record.abandoned:
            self._abandoned_once_more(record)
            return
        self._say_how_many_more()
        bound = "no privacy" if record.epsilon is None else f"epsilon {Bound(record.epsilon):.2f}"
        epsilon = bound if record.epsilon is None else f"{bound}{of_what}"
        loss = f"loss {record.loss:.3f}"
        measured = (record.held_out or {}).get(TOP1_RECALL.name)
        recall = "" if measured is None else f"recall {TOP1_RECALL.text(measured)}"
        if self._live is None:
            # Columns that stay where they are, what is looked for first to the left: a log is read in 80 columns, too.
            now = f"{_phones(record):<21}  {loss:<10}  {recall:<14}  {epsilon}  {_day(record):<8}  {left}"
            self.say(f"round {completed:>4}/{self._rounds}  {now}".rstrip())
            if errors := _errors(record):
                self.say(f"         {errors}")
            return
        self._recall = recall or self._recall
        self._show(completed, left or "timing the rounds")
        self._line.rest = bound
        self._line.below = "  ".join(filter(None, (loss, self._recall, _phones(record), _errors(record))))
        self._line.below_if_whole = (_lost(record), f"{record.tokens_per_second:,.0f} tokens/s", _day(record))
        if recall:
            self.say(f"round {completed:>4}  {loss}  {recall}  {epsilon}")

    def _abandoned_once_more(self, record: RoundRecord) -> None:
        """Say the first of rounds abandoned in a row, and then one of ten."""
        self._abandoned += 1
        if self._abandoned == 1 or self._abandoned % _ABANDONED_AT_ONCE == 0:
            so_far = "" if self._abandoned == 1 else f"{self._abandoned} in a row, now "
            self.say(f"attempt {record.round:>4} abandoned: {so_far}{record.abandoned}  {_day(record)}".rstrip())
            self._abandoned_said = self._abandoned

    def _say_how_many_more(self) -> None:
        """Of rounds abandoned in a row, those that had no line."""
        more = self._abandoned - self._abandoned_said
        self._abandoned = self._abandoned_said = 0
        if more:
            self.say(f"         and {more} more in a row")

    def _time_left(self, completed: int) -> str:
        """By the rounds after the first, which also pays for starting the workers; nothing before there are any.

        A step between rounds, such as measuring what counting achieves, is made once and no part of their pace.
        """
        now_s = time.monotonic() - self._steps.took_s
        if self._first is None:
            self._first = (now_s, completed)
        since, first = self._first
        if completed <= first:
            return ""
        seconds = (now_s - since) / (completed - first) * (self._rounds - completed)
        return f"{clock(seconds)} left"


def _phones(record: RoundRecord) -> str:
    """Whose updates are in the sum; others may have been invited earlier than in this round."""
    phones = f"{record.reports} {'phone' if record.reports == 1 else 'phones'}"
    return phones if record.funnel is None else f"{phones}, {record.funnel.invited} invited"


def _lost(record: RoundRecord) -> str:
    """What became of the phones whose updates are not in the sum."""
    if (funnel := record.funnel) is None:
        return ""
    after = ((funnel.dropped, "dropped"), (funnel.late, "late"), (funnel.unused, "not needed"))
    return ", ".join(f"{number} {what}" for number, what in after if number)


def _errors(record: RoundRecord) -> str:
    """Phones that were left out since their training raised or gave no finite update."""
    left_out = len(record.rejected) + len(record.failed)
    return f"{left_out} {'phone' if left_out == 1 else 'phones'} left out for errors" if left_out else ""


def _day(record: RoundRecord) -> str:
    """When the round closed, in simulated days since the start of the run."""
    return "" if record.funnel is None else f"day {record.funnel.closed_s / DAY_S:.1f}"
