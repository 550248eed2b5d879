"""Who could be invited at a moment."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.clock import DAY_S
from simulation.world.availability.base import Availability
from simulation.world.sessions import Sessions
from typefleet.own_parts import calling


class CheckIns(NamedTuple):
    """Phones that could be invited at one moment."""

    phone: NDArray[np.int64]  # [checked in], sorted
    until_s: NDArray[np.float64]  # [checked in], when each stops being eligible


def _joined(many: CheckIns, few: CheckIns) -> CheckIns:
    """Both, each sorted by phone, as one that is: the many are copied in pieces between which the few go."""
    if not len(few.phone):
        return many
    place = np.searchsorted(many.phone, few.phone)
    into = place + np.arange(len(few.phone))
    old = np.ones(len(many.phone) + len(few.phone), bool)
    old[into] = False
    phone, until_s = np.empty(len(old), np.int64), np.empty(len(old))
    phone[into], until_s[into] = few
    phone[old], until_s[old] = many
    return CheckIns(phone, until_s)


class CheckInCalendar:
    """The phones eligible at a moment that moves forward, without a look at those that are not.

    Each session is touched when it begins and when it ends, so that a query costs what there is to
    report, not the size of the fleet. A moment may lie before the last one; that costs a new start.
    """

    def __init__(self, availability: Availability, may_train: NDArray[np.bool_]) -> None:
        self._availability, self._may_train = availability, may_train
        self._day = -1
        self._now_s = -np.inf
        self._next = 0  # of the day's sessions, by start
        self._coming = Sessions(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        self._running = CheckIns(self._coming.phone, self._coming.end_s)

    def at(self, now_s: float) -> CheckIns:
        """The training phones that are eligible now."""
        day = int(now_s // DAY_S)
        if day != self._day or now_s < self._now_s:
            self._open_day(day)
        self._now_s = now_s
        begun = int(np.searchsorted(self._coming.start_s, now_s, "right"))
        # By phone, so that whoever looks up things of these phones walks through memory in order.
        new = self._next + np.argsort(self._coming.phone[self._next : begun], kind="stable")
        self._next = begun
        new = new[self._coming.end_s[new] > now_s]
        lasting = np.flatnonzero(self._running.until_s > now_s)
        running = self._running
        if len(lasting) < len(running.phone):
            running = CheckIns(running.phone[lasting], running.until_s[lasting])
        self._running = _joined(running, CheckIns(self._coming.phone[new], self._coming.end_s[new]))
        return self._running

    def _open_day(self, day: int) -> None:
        with calling(f"availability {type(self._availability).__name__}", f"the sessions around day {day}"):
            phone, start_s, end_s = self._availability.sessions_around(day)
        chosen = np.flatnonzero(self._may_train[phone] & (start_s < (day + 1) * DAY_S))
        order = chosen[np.argsort(start_s[chosen])]  # those of one moment are put in order when it comes
        self._coming = Sessions(phone[order], start_s[order], end_s[order])
        self._day, self._next = day, 0
        self._running = CheckIns(phone[:0], end_s[:0])
