"""What the server remembers of each phone: when it may check in again, and its attempts today."""

import numpy as np
from numpy.typing import NDArray

from server_strategy.state import State, leaf
from simulation.clock import DAY_S, HOUR_S


class PhoneDiary:
    """When each phone may check in again.

    Attributes:
        free_from_s: float64 [phones]; before, it trains or was told to stay away. `stay_away` and `forget`
            change it, and nobody else.
        local_day: int32 [phones], the day of its last attempt where it is.
        attempts_today: int16 [phones], attempts on that day.
    """

    def __init__(self, num_phones: int) -> None:
        self.free_from_s = np.zeros(num_phones)
        # Who may be away still. It is an eighth of `free_from_s`, which most phones need not be looked up in.
        self._maybe_away, self._asked_s = np.zeros(num_phones, bool), 0.0
        self.local_day = np.full(num_phones, -1, np.int32)
        self.attempts_today = np.zeros(num_phones, np.int16)

    def stay_away(self, phone: NDArray[np.int64], until_s: NDArray[np.float64]) -> None:
        """These phones do not check in before these moments.

        Args:
            phone: int64 [any number], each phone once.
            until_s: float64, one of each.
        """
        self.free_from_s[phone] = until_s
        self._maybe_away[phone] = True

    def is_free(self, phone: NDArray[np.int64], now_s: float) -> NDArray[np.bool_]:
        """bool [len(phone)]: which of some phones may check in."""
        if now_s < self._asked_s:  # who was back then may be away now
            self._maybe_away = self.free_from_s > now_s
        self._asked_s = now_s
        away = self._maybe_away.take(phone)
        unsure = np.flatnonzero(away)
        back = unsure[self.free_from_s[phone[unsure]] <= now_s]
        self._maybe_away[phone[back]] = False
        away[back] = False
        return ~away

    def attempts_begin(self, phone: NDArray[np.int64], now_s: float, utc_offset_h: NDArray[np.float64]) -> None:
        """Count these phones' attempts.

        Args:
            phone: int64 [attempts], each phone once.
            now_s: when they begin.
            utc_offset_h: float64 [phones], the clocks of all phones.
        """
        today = np.floor((now_s + utc_offset_h[phone] * HOUR_S) / DAY_S).astype(np.int32)
        new_day = self.local_day[phone] != today
        self.attempts_today[phone] = np.where(new_day, 0, self.attempts_today[phone]) + 1
        self.local_day[phone] = today

    def day_ends_s(self, phone: NDArray[np.int64], utc_offset_h: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [len(phone)]: the end of the day of each one's last attempt, in simulated time."""
        return (self.local_day[phone] + 1) * DAY_S - utc_offset_h[phone] * HOUR_S

    def forget(self, phone: NDArray[np.int64]) -> None:
        """Remember no more of these phones than of any that was never there."""
        self.free_from_s[phone], self.local_day[phone], self.attempts_today[phone] = 0.0, -1, 0

    def state(self) -> State:
        """What a checkpoint keeps: the three attributes."""
        return {
            "free_from_s": self.free_from_s,
            "local_day": self.local_day,
            "attempts_today": self.attempts_today,
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        self.free_from_s = leaf(state, "free_from_s")
        self._maybe_away = np.ones(len(self.free_from_s), bool)
        self.local_day = leaf(state, "local_day")
        self.attempts_today = leaf(state, "attempts_today")
