"""Steps that can last say what they are and how far they have come; whoever shows progress listens.

    with step("counting words", total=len(phones)) as counting:
        for phone in phones:
            ...
            counting.advance()

Nobody listens by default, and in threads that were not told to, so code below can name its steps without knowing
whether there is a terminal.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

T = TypeVar("T")

_LATE_S = 1.0  # by which a step may exceed what was left before that is unknown


@dataclass
class Step:
    """One step in progress."""

    name: str
    total: float | None = None  # in any unit; None: not known
    done: float = 0.0
    note: str = ""  # what else is worth knowing
    began_s: float = field(default_factory=lambda: time.monotonic())
    listener: "Listener | None" = None
    reached_s: float | None = None  # when it last came further; None: now

    def advance(self, number: float = 1.0) -> None:
        """Say that `number` more units are done."""
        self.reached(self.done + number)

    def reached(self, done: float, note: str | None = None) -> None:
        """Say how many units are done, and perhaps something beside it."""
        self.done, self.reached_s = done, time.monotonic()
        self.note = self.note if note is None else note
        if self.listener is not None:
            self.listener.moved(self)

    def left_s(self) -> float | None:
        """Seconds that are left if it goes on as it went; None while nothing is known, or where it takes longer."""
        if not self.total or not self.done:
            return None
        now_s = time.monotonic()
        reached_s = now_s if self.reached_s is None else self.reached_s
        left = (reached_s - self.began_s) * max(self.total / self.done - 1, 0.0)
        if self.done < self.total:
            left -= now_s - reached_s  # so that it does not grow while a long unit is under way
        return max(left, 0.0) if left > -_LATE_S else None


class Listener(Protocol):
    """Shows steps; they may lie within each other."""

    def begun(self, step: Step) -> None:
        """A step begins."""

    def moved(self, step: Step) -> None:
        """It has come further; may be told thousands of times a second."""

    def ended(self, step: Step) -> None:
        """It is over, well or not."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def step(name: str, total: float | None = None) -> Iterator[Step]:
    """What is done within is one step.

    Args:
        name: what is done, such as "counting words".
        total: units of which it is made, if that is known.
    """
    listener = _listener.get()
    one = Step(name, total, listener=listener)
    if listener is None:
        yield one
        return
    listener.begun(one)
    try:
        yield one
    finally:
        listener.ended(one)


def each(name: str, items: Iterable[T], total: float | None = None) -> Iterator[T]:
    """Go through items as one step.

    Args:
        name: of the step.
        items: what to go through.
        total: how many there are, if that is known.
    """
    with step(name, total) as one:
        for item in items:
            yield item
            one.advance()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Let `listener` hear of every step that is begun within."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
