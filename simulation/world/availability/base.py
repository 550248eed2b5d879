"""What a source of availability is.

A source only says which sessions start on one day of each phone (`Availability.day_starts`). Here they are joined
across days, and asked for by moment.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, weighted_choice
from simulation.clock import DAY_S
from simulation.world.config import FleetConfig
from simulation.world.sessions import Sessions, by_phone, merge_lists, require_sessions
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling

_LONGEST_DAYS = 3  # from the start of the day on which a session starts


@dataclass(frozen=True)
class WorldFacts:
    """What a source is told of the fleet that it is for."""

    num_phones: int
    seed: int  # key of everything random
    config: FleetConfig = field(default_factory=FleetConfig)

    def drawn_utc_offset_h(self) -> NDArray[np.float64]:
        """float64 [num_phones]: a time zone for each phone, drawn with the shares of the settings."""
        zones = (self.config.utc_offsets_h, self.config.utc_offset_weights)
        return weighted_choice(purpose_key(self.seed, "time zone"), *zones, np.arange(self.num_phones))


class Availability(ABC):
    """When the phones of a fleet are eligible: idle, charging and on unmetered Wi-Fi.

    Attributes:
        num_phones: phones in the fleet.
        utc_offset_h: float64 [phones], the local clock.
        eligible_share: float64 [phones], long-run share of time eligible.
        origin: where it comes from, for a reader; if empty, the kind's description or the name of the class.
        files: what it was read from; a run is resumed only while they are unchanged.
        known_hardware: what it knows of the phones' hardware, by field of `devices.Devices`: float64 [phones], NaN
            where it knows nothing. What it does not know is drawn.
    """

    utc_offset_h: NDArray[np.float64]
    eligible_share: NDArray[np.float64]
    origin: str = ""
    files: tuple[Path, ...] = ()
    known_hardware: Mapping[str, NDArray[np.float64]] = MappingProxyType({})

    def __init__(self, num_phones: int) -> None:
        self.num_phones = num_phones
        self._days: dict[int, Sessions] = {}
        self._cached_day: tuple[int, Sessions] | None = None

    @abstractmethod
    def day_starts(self, day: int) -> Sessions:
        """Sessions that start on one day of each phone's own calendar; they may overlap.

        They end within three days of the start of that day in UTC, whatever the time zone: a longer one is several, a
        day each, which are joined. The same day gives the same sessions whenever it is asked for.

        Args:
            day: 0 is the first simulated one; the two before it are asked for as well.
        """

    def sessions_of_day(self, day: int) -> Sessions:
        """What `day_starts` gives, held to what joining and asking by moment rest on.

        Args:
            day: of each phone's own calendar; those before the first simulated day are asked for as well, from -2 on.

        Raises:
            ConfigError: it is something else, or of phones or times that are none of this fleet and day.
        """
        found = self.day_starts(day)
        where = f"availability {type(self).__name__}"
        require_sessions(where, found, self.num_phones)
        if len(found.end_s) and found.end_s.max() > (day + _LONGEST_DAYS) * DAY_S:
            what = f"sessions of day {day} that end by day {day + _LONGEST_DAYS}, in UTC"
            raise ConfigError(expected(where, what, f"one that ends on day {found.end_s.max() / DAY_S:.2f}"))
        return found

    def sessions_around(self, day: int) -> Sessions:
        """Disjoint sessions that end after a UTC day's start, with those that may continue them."""
        if self._cached_day is None or self._cached_day[0] != day:
            if self._cached_day is not None and day < self._cached_day[0]:
                self._days.clear()  # what is over is dropped, so going back needs all anew
            self._cached_day = None
            # A UTC day overlaps up to three local days, and sessions may chain. Those that start on the third day
            # before it are over when it begins.
            kept = {d: self._days.pop(d, None) for d in range(day - 2, day + 3)}
            self._days = {}
            for d in list(kept):
                sessions = kept.pop(d) or by_phone(self.sessions_of_day(d))
                lasting = sessions.end_s > day * DAY_S
                everything = lasting.all()
                self._days[d] = sessions if everything else sessions.pick(lasting)
            self._cached_day = (day, merge_lists(list(self._days.values())))
        return self._cached_day[1]

    def eligible_until(self, now_s: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(phones eligible now, sorted; the time each stops being so)."""
        sessions = self.sessions_around(int(now_s // DAY_S))
        running = (sessions.start_s <= now_s) & (now_s < sessions.end_s)
        return sessions.phone[running], sessions.end_s[running]


def check_availability(availability: Availability) -> None:
    """Ask somebody's source twice for a day: a run that goes on needs the same phones again.

    Raises:
        ConfigError: it raises, gives other sessions the second time, or none that can be used.
    """
    where = f"availability {type(availability).__name__}"
    with calling(where, "the sessions of day 0"):
        asked_twice = (availability.sessions_of_day(0), availability.sessions_of_day(0))
    first, second = (sessions.pick(np.lexsort(sessions)) for sessions in asked_twice)  # in whatever order they came
    if not all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)):
        what = "the same sessions of a day whenever it is asked for (drawn by WorldFacts.seed and the day)"
        raise ConfigError(expected(where, what, "others the second time"))
