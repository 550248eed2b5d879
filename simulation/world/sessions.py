"""Eligible sessions: the form that every source of availability gives them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.world.threads import in_threads
from typefleet.errors import ConfigError, expected

_SESSIONS_AT_ONCE = 1 << 16


class Sessions(NamedTuple):
    """Eligible intervals, half-open, with the phone of each."""

    phone: NDArray[np.int64]  # [sessions]
    start_s: NDArray[np.float64]  # [sessions]
    end_s: NDArray[np.float64]  # [sessions]

    def pick(self, chosen: NDArray[Any] | slice) -> "Sessions":
        """Some of them, by index, mask or slice."""
        return Sessions(self.phone[chosen], self.start_s[chosen], self.end_s[chosen])


def require_sessions(where: str, found: Any, num_phones: int) -> None:
    """Refuse what are no sessions of a fleet: numpy would take a wrong phone for another, and NaN for never.

    Args:
        where: names who gave them.
        found: what was given.
        num_phones: of the fleet.

    Raises:
        ConfigError: they are no arrays of one length, of phones and of times of which the first is not the later one.
    """
    if not isinstance(found, Sessions):
        raise ConfigError(expected(where, "Sessions(phone, start_s, end_s)", type(found).__name__))
    if not all(isinstance(column, np.ndarray) and column.ndim == 1 for column in found):
        raise ConfigError(expected(where, "Sessions of three arrays [sessions]", "other shapes"))
    phone, start_s, end_s = found
    if phone.dtype.kind not in "iu" or start_s.dtype.kind != "f" or end_s.dtype.kind != "f":
        kinds = f"{phone.dtype}, {start_s.dtype}, {end_s.dtype}"
        raise ConfigError(expected(where, "Sessions of int64 phones and float64 times", kinds))
    if not len(phone) == len(start_s) == len(end_s):
        lengths = f"{len(phone)}, {len(start_s)} and {len(end_s)}"
        raise ConfigError(expected(where, "as many phones as starts and ends of sessions", lengths))
    if not len(phone):
        return
    if phone.min() < 0 or phone.max() >= num_phones:
        found_ids = f"{phone.min()} to {phone.max()}"
        raise ConfigError(expected(where, f"sessions of phones from 0 to {num_phones - 1}", found_ids))
    if not (start_s <= end_s).all():  # refuses NaN, too
        raise ConfigError(expected(where, "sessions that end after they start", "one that does not"))
    if not np.isfinite([start_s.min(), end_s.max()]).all():
        raise ConfigError(expected(where, "sessions of finite times", "infinite ones"))


def joined(parts: Sequence[Sessions]) -> Sessions:
    """One list after another."""
    phone, start_s, end_s = zip(*parts, strict=True)
    return Sessions(np.concatenate(phone), np.concatenate(start_s), np.concatenate(end_s))


def by_phone(sessions: Sessions) -> Sessions:
    """In the order of the phones; those of one phone in the order in which they are."""
    if (sessions.phone[1:] >= sessions.phone[:-1]).all():
        return sessions
    order = np.argsort(sessions.phone, kind="stable")
    return sessions.pick(order)


def merge_sessions(sessions: Sessions) -> Sessions:
    """Join overlapping or touching sessions of the same phone; the result is sorted by phone and start."""
    return merge_lists([by_phone(sessions)])


def merge_lists(lists: Sequence[Sessions]) -> Sessions:
    """Join the overlapping or touching sessions of the same phone in any of some lists.

    Some phones are done at a time, so that what is sorted stays in the processor's cache and needs little memory.

    Args:
        lists: each sorted by phone; one at least.

    Returns:
        Sorted by phone and start.
    """
    there = [part for part in lists if len(part.phone)]
    if not there:
        return lists[0]
    low = min(float(part.start_s.min()) for part in there)
    gap = max(float(part.end_s.max()) for part in there) - low + 1.0
    phones = 1 + max(int(part.phone[-1]) for part in there)
    blocks = 1 + sum(len(part.phone) for part in there) // _SESSIONS_AT_ONCE
    edges = np.linspace(0, phones, blocks + 1).astype(np.int64)
    cuts = [np.searchsorted(part.phone, edges) for part in there]  # [lists][blocks + 1]

    def merged(block: int) -> Sessions:
        slices = [slice(cut[block], cut[block + 1]) for cut in cuts]
        rows = [part.pick(rows) for part, rows in zip(there, slices, strict=True)]
        return _merged(joined(rows), low, gap)

    return joined(in_threads(merged, range(blocks)))


def _merged(sessions: Sessions, low: float, gap: float) -> Sessions:
    """Sessions that begin at `low` at the earliest, and end less than `gap` after it."""
    if not len(sessions.phone):
        return sessions
    # Spread the phones far apart on one time line, so that one order and one running maximum serve all.
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
    near = np.flatnonzero((sessions.start_s <= moments_s[-1]) & (sessions.end_s > moments_s[0]))
    # A session runs from the first moment at or after its start to the last one before its end.
    first, last = (np.searchsorted(moments_s, edge[near]) for edge in (sessions.start_s, sessions.end_s))
    runs = np.flatnonzero(first < last)
    width = len(moments_s) + 1
    row = group[sessions.phone[near[runs]]] * width
    size = (num_groups + 1) * width
    begun = np.bincount(row + first[runs], minlength=size) - np.bincount(row + last[runs], minlength=size)
    running: NDArray[np.int64] = np.cumsum(begun.reshape(-1, width), axis=1)[:num_groups, :-1]
    return running
