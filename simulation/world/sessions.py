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


def running_by_group(
    sessions: Sessions, moments_s: NDArray[np.float64], group: NDArray[np.int64], num_groups: int
) -> NDArray[np.int64]:
    """How many sessions run at each moment, by group of their phones: int64 [num_groups, moments].

    Args:
        sessions: any.
        moments_s: float64 [moments], rising.
        group: int64 [phones], of each phone; `num_groups`: of none that is counted.
        num_groups: how many there are.
    """
    # A session runs from the first moment at or after its start to the last one before its end.
    first, last = (np.searchsorted(moments_s, edge) for edge in (sessions.start_s, sessions.end_s))
    runs = np.flatnonzero(first < last)
    width = len(moments_s) + 1
    row = group[sessions.phone[runs]] * width
    size = (num_groups + 1) * width
    begun = np.bincount(row + first[runs], minlength=size) - np.bincount(row + last[runs], minlength=size)
    running: NDArray[np.int64] = np.cumsum(begun.reshape(-1, width), axis=1)[:num_groups, :-1]
    return running
