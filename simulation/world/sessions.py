"""Eligible sessions of a whole fleet: the form that every source of availability gives them.

A source (`availability.AvailabilityModel`, `recorded.RecordedAvailability`) only says which sessions
start on one day of each phone. Here they are joined across days, and asked for by moment.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.clock import DAY_S


class Sessions(NamedTuple):
    """Disjoint eligible intervals, half-open, sorted by phone and start."""

    phone: NDArray[np.int64]  # [sessions]
    start_s: NDArray[np.float64]  # [sessions]
    end_s: NDArray[np.float64]  # [sessions]


class Availability(ABC):
    """When the phones of a fleet are eligible: idle, charging and on unmetered Wi-Fi.

    Attributes:
        num_phones: phones in the fleet.
        utc_offset_h: float64 [phones], the local clock.
        eligible_share: float64 [phones], long-run share of time eligible.
    """

    utc_offset_h: NDArray[np.float64]
    eligible_share: NDArray[np.float64]

    def __init__(self, num_phones: int) -> None:
        self.num_phones = num_phones
        self._days: dict[int, Sessions] = {}
        self._cached_day: tuple[int, Sessions] | None = None

    @abstractmethod
    def day_starts(self, day: int) -> Sessions:
        """Sessions that start on one day of each phone's own calendar; they may overlap.

        They end within three days of the start of that day in UTC, whatever the time zone.
        """

    def sessions_around(self, day: int) -> Sessions:
        """Disjoint sessions that end after a UTC day's start, with those that may continue them."""
        if self._cached_day is None or self._cached_day[0] != day:
            if self._cached_day is not None and day < self._cached_day[0]:
                self._days.clear()  # what is over is dropped, so going back needs all anew
            self._cached_day = None
            # A UTC day overlaps up to three local days; sessions last up to two days and may chain.
            kept = {d: self._days.pop(d, None) for d in range(day - 3, day + 3)}
            self._days = {}
            for d, known in kept.items():
                phone, start_s, end_s = known or self.day_starts(d)
                lasting = end_s > day * DAY_S
                self._days[d] = Sessions(phone[lasting], start_s[lasting], end_s[lasting])
            columns = zip(*self._days.values(), strict=True)
            self._cached_day = (day, merge_sessions(Sessions(*(np.concatenate(c) for c in columns))))
        return self._cached_day[1]

    def eligible_until(self, now_s: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(phones eligible now, sorted; the time each stops being so)."""
        sessions = self.sessions_around(int(now_s // DAY_S))
        running = (sessions.start_s <= now_s) & (now_s < sessions.end_s)
        return sessions.phone[running], sessions.end_s[running]


class CheckIns(NamedTuple):
    """Phones that could be invited at one moment."""

    phone: NDArray[np.int64]  # [checked in], sorted
    until_s: NDArray[np.float64]  # [checked in], when each stops being eligible


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
        place = np.searchsorted(self._running.phone, self._coming.phone[new])
        phone = np.insert(self._running.phone, place, self._coming.phone[new])
        until_s = np.insert(self._running.until_s, place, self._coming.end_s[new])
        lasting = until_s > now_s
        self._running = CheckIns(phone[lasting], until_s[lasting])
        return self._running

    def _open_day(self, day: int) -> None:
        phone, start_s, end_s = self._availability.sessions_around(day)
        chosen = np.flatnonzero(self._may_train[phone] & (start_s < (day + 1) * DAY_S))
        order = chosen[np.argsort(start_s[chosen], kind="stable")]
        self._coming = Sessions(phone[order], start_s[order], end_s[order])
        self._day, self._next = day, 0
        self._running = CheckIns(phone[:0], end_s[:0])


def merge_sessions(sessions: Sessions) -> Sessions:
    """Join overlapping or touching sessions of the same phone."""
    if not len(sessions.phone):
        return sessions
    # Spread the phones far apart on one time line, so that one order and one running maximum serve all.
    low = float(sessions.start_s.min())
    gap = float(sessions.end_s.max()) - low + 1.0
    order = np.argsort(sessions.phone * gap + (sessions.start_s - low), kind="stable")
    phone, start, end = sessions.phone[order], sessions.start_s[order], sessions.end_s[order]
    shift = phone * gap
    reach = np.maximum.accumulate(end - low + shift)
    first = np.ones(len(phone), bool)
    first[1:] = (start[1:] - low + shift[1:] > reach[:-1]) | (phone[1:] != phone[:-1])
    begins = np.flatnonzero(first)
    # The last end of each group, taken from the ends themselves: the shifted ones lost precision.
    return Sessions(phone[begins], start[begins], np.maximum.reduceat(end, begins))
