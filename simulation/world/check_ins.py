"""Who could be invited at a moment."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64
from simulation.clock import DAY_S
from simulation.world.availability.base import Availability
from simulation.world.sessions import Sessions, joined
from typefleet.own_parts import calling

_WINDOW_S = 900.0  # a day has 96, which a byte can name

Free = Callable[[NDArray[np.int64]], NDArray[np.bool_]]  # which of some phones are; they are sorted, and may repeat


class CheckIns:
    """Phones that could be invited at one moment.

    They may be some of many, and are copied out of these only where somebody looks at all of them: most of what a round
    does is to draw a few.
    """

    def __init__(
        self, phone: NDArray[np.int64], until_s: NDArray[np.float64], there: NDArray[np.bool_] | None = None
    ) -> None:
        """Name the phones.

        Args:
            phone: int64 [phones], sorted.
            until_s: float64 [phones], when each stops being eligible.
            there: bool [phones], which of them have checked in; None: all.
        """
        self._phone, self._until_s = phone, until_s
        self._there = np.ones(len(phone), bool) if there is None else there

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _count(self) -> int:
        return int(np.count_nonzero(self._there))

    @cached_property
    def phone(self) -> NDArray[np.int64]:
        """int64 [checked in], sorted."""
        return self._phone[self._there]

    @cached_property
    def until_s(self) -> NDArray[np.float64]:
        """float64 [checked in], when each stops being eligible."""
        return self._until_s[self._there]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        yield self.phone
        yield self.until_s

    def pick(self, chosen: NDArray[Any]) -> "CheckIns":
        """Some of them, by index or mask."""
        return CheckIns(self.phone[chosen], self.until_s[chosen])

    def draw(self, key: np.uint64, number: int) -> tuple["CheckIns", "CheckIns"]:
        """(so many of them that the key chooses, all if there are fewer; the others)."""
        rows = smallest(hash_uint64(key, self._phone), number, self._there)
        others = self._there.copy()
        others[rows] = False
        return CheckIns(self._phone[rows], self._until_s[rows]), CheckIns(self._phone, self._until_s, others)


def smallest(keys: NDArray[np.uint64], number: int, there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places of the smallest keys, rising: int64 [number, or as many as are there].

    Keys are even over all 64 bits, and those of different phones differ. So those below twice the share that is wanted
    are nearly always enough, and only among them is anything put in order.

    Args:
        keys: uint64 [phones].
        number: how many.
        there: bool [phones], which of them count.
    """
    count = int(np.count_nonzero(there))
    bound = (2 * number + 64) / count * 2.0**64 if count > number else np.inf
    low = np.flatnonzero((keys < np.uint64(bound)) & there if bound < 2.0**64 else there)
    if len(low) < min(number, count):
        low = np.flatnonzero(there)
    if len(low) > number:
        low = low[np.argpartition(keys[low], number - 1)[:number]]
        low.sort()
    return low


class CheckInCalendar:
    """The phones eligible at a moment that moves forward, without a look at those that are not.

    A day is cut into windows. The sessions that run in a window are put together when it is entered, so that a query
    costs what there is to report, not the size of the fleet, and copies none of them. A moment may lie before the last
    one; that costs a new start.
    """

    def __init__(self, availability: Availability, may_train: NDArray[np.bool_]) -> None:
        self._availability, self._may_train = availability, may_train
        self._day = self._window = -1
        self._now_s = -np.inf
        nothing = Sessions(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        self._coming = self._near = nothing  # of the day, by window; those that run in this window, by phone
        self._begins = np.zeros(0, np.int64)  # [windows + 1], where those of each window are among the day's

    def at(self, now_s: float, free: Free | None = None) -> CheckIns:
        """The training phones that are eligible now.

        Args:
            now_s: the moment.
            free: which of some phones are asked for; None: all.
        """
        day = int(now_s // DAY_S)
        if day != self._day or now_s < self._now_s:
            self._open_day(day)
        self._now_s = now_s
        window = int(_window_of(np.array(now_s), day))
        if window > self._window:
            self._open_window(window)
        phone, start_s, end_s = self._near
        there = start_s <= now_s
        there &= end_s > now_s
        if free is not None:
            there &= free(phone)
        return CheckIns(phone, end_s, there)

    def _open_window(self, window: int) -> None:
        """Put the sessions that begin by the end of a window beside those that go on."""
        new = self._coming.pick(slice(self._begins[self._window + 1], self._begins[window + 1]))
        both = joined([part.pick(part.end_s > self._now_s) for part in (self._near, new)])
        self._near = both.pick(np.argsort(both.phone, kind="stable"))  # two lists that are sorted are soon one
        self._window = window

    def _open_day(self, day: int) -> None:
        with calling(f"availability {type(self._availability).__name__}", f"the sessions around day {day}"):
            phone, start_s, end_s = self._availability.sessions_around(day)
        chosen = np.flatnonzero(self._may_train[phone] & (start_s < (day + 1) * DAY_S))
        window = _window_of(start_s[chosen], day)
        order = chosen[np.argsort(window, kind="stable")]  # by window, and in it by phone
        self._coming = Sessions(phone[order].astype(np.int64, copy=False), start_s[order], end_s[order])
        self._begins = np.concatenate([[0], np.cumsum(np.bincount(window, minlength=int(DAY_S / _WINDOW_S) + 1))])
        self._near = self._coming.pick(slice(0, 0))
        self._day, self._window = day, -1


def _window_of(moment_s: NDArray[np.float64], day: int) -> NDArray[np.uint8]:
    """In which of a day's windows moments lie, all before it in the first: the later, the higher."""
    since_s = np.maximum(moment_s - day * DAY_S, 0.0)
    return (since_s * (1 / _WINDOW_S)).astype(np.uint8)
