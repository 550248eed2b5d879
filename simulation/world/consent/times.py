"""From when until when consent holds: half-open intervals of simulated time for each phone and purpose.

Consent that is given at a moment holds from it on, and consent that is withdrawn at a moment does not hold at it any
more. All arrays are of whole fleets, so that a million phones are asked for at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulation.world.consent.config import PURPOSES
from typefleet.errors import expected

HOLDS, WITHDRAWN, NEVER_GIVEN = range(3)
STATES = ("given", "withdrawn", "never given")

Floats = NDArray[np.float64]
_Of: TypeAlias = Callable[[Floats, Floats], NDArray[np.bool_]]  # of begins and ends of intervals


class ConsentTimes:
    """When consent for one purpose holds on each phone.

    Attributes:
        num_phones: phones in the fleet.
    """

    def __init__(
        self, from_s: Floats, until_s: Floats, phone: NDArray[np.int64] | None = None, phones: int = 0
    ) -> None:
        """Set up the intervals.

        Args:
            from_s, until_s: float64 [intervals], disjoint on each phone; until_s inf where consent is never withdrawn.
            phone: int64 [intervals], sorted, whose each is; None: interval i is that of phone i, and empty intervals
                (until_s <= from_s) are those of phones without consent.
            phones: in the fleet, where `phone` is given.

        Raises:
            ValueError: the arrays are not of the same length.
        """
        if len(from_s) != len(until_s) or (phone is not None and len(phone) != len(from_s)):
            raise ValueError(expected("intervals", "a phone, a begin and an end of each", "other lengths"))
        self._from_s, self._until_s, self._first = from_s, until_s, None
        self.num_phones = len(from_s)
        if phone is not None:
            self.num_phones = phones
            self._first = np.searchsorted(phone, np.arange(phones + 1))  # [phones + 1], of each phone's intervals

    def until_s(self, phones: NDArray[np.int64], now_s: float | Floats) -> Floats:
        """float64 [len(phones)]: when the consent that holds now is withdrawn; inf: never, -inf: it does not hold.

        Args:
            phones: ids.
            now_s: the moment, or that of each phone.
        """
        rows, owner = self._rows(phones)
        now = np.asarray(now_s)
        then = now if owner is None or not now.ndim else now[owner]
        holds = (self._from_s[rows] <= then) & (then < self._until_s[rows])  # [intervals of these phones]
        if owner is None:
            return np.where(holds, self._until_s[rows], -np.inf)
        found = np.full(len(phones), -np.inf)
        found[owner[holds]] = self._until_s[rows[holds]]  # at most one each: they are disjoint
        return found

    def state(self, phones: NDArray[np.int64], now_s: float) -> NDArray[np.int64]:
        """int64 [len(phones)]: HOLDS, WITHDRAWN, or NEVER_GIVEN up to now."""
        began = self._any(phones, lambda begin, end: (begin <= now_s) & (begin < end))
        holds = self.until_s(phones, now_s) > -np.inf
        return np.where(holds, HOLDS, np.where(began, WITHDRAWN, NEVER_GIVEN))

    def holds_from(self, phones: NDArray[np.int64], now_s: float) -> NDArray[np.bool_]:
        """bool [len(phones)]: whether consent holds now or at any later moment."""
        return self._any(phones, lambda begin, end: (end > now_s) & (begin < end))

    def _any(self, phones: NDArray[np.int64], of: _Of) -> NDArray[np.bool_]:
        rows, owner = self._rows(phones)
        true = of(self._from_s[rows], self._until_s[rows])
        if owner is None:
            return true
        found = np.zeros(len(phones), bool)
        found[owner[true]] = True
        return found

    def _rows(self, phones: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """(intervals of these phones, place among `phones` of whose each is; None: one each, in their order)."""
        if self._first is None:
            return phones, None
        first = self._first[phones]
        count = self._first[phones + 1] - first
        owner = np.repeat(np.arange(len(phones)), count)
        nth = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(first, count) + nth, owner


@dataclass(frozen=True)
class Consents:
    """What the owners of a fleet agree to over time.

    Attributes:
        times: by purpose; every one of `PURPOSES`.
        origin: where it comes from, for a reader.
        files: what it was read from; a run is resumed only while they are unchanged.
    """

    times: Mapping[str, ConsentTimes]
    origin: str
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if set(self.times) != set(PURPOSES):
            raise ValueError(expected("times", f"those of {', '.join(PURPOSES)}", ", ".join(self.times) or "none"))

    def until_s(self, purpose: str, phones: NDArray[np.int64], now_s: float | Floats) -> Floats:
        """When consent is withdrawn that holds now, see `ConsentTimes.until_s`; for one purpose."""
        return self.times[purpose].until_s(phones, now_s)

    def holds(self, purpose: str, phones: NDArray[np.int64], now_s: float) -> NDArray[np.bool_]:
        """bool [len(phones)]: whether consent for the purpose holds now."""
        return self.until_s(purpose, phones, now_s) > -np.inf
