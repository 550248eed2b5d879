"""Eligible sessions: the form that every source of availability gives them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Sessions(NamedTuple):
    """Eligible intervals, half-open, with the phone of each."""

    phone: NDArray[np.int64]  # [sessions]
    start_s: NDArray[np.float64]  # [sessions]
    end_s: NDArray[np.float64]  # [sessions]


def merge_sessions(sessions: Sessions) -> Sessions:
    """Join overlapping or touching sessions of the same phone; the result is sorted by phone and start."""
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
