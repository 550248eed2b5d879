"""Availability as recorded: the phones of a simulated fleet live the days of a trace's devices.

The trace tiles time by whole days, so that a Tuesday's night stays a night. Each phone follows one
device, all devices being used equally often, and starts its cycle on a day of its own: a small trace
spreads over a large fleet without all copies doing the same at once.

What to do where a device was not observed is an explicit rule:

* `tile`: the device's own observed days are repeated; a device observed for less than a day is left out;
* `exclude`: the cycle is that of the whole trace, and the phone cannot check in while its device was
  not observed.
"""

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator, hash_uint64, purpose_key, weighted_choice
from simulation.clock import DAY_S, HOUR_S
from simulation.world.config import FleetConfig
from simulation.world.sessions import Availability, Sessions
from simulation.world.traces.trace import Trace, TraceError

Floats = NDArray[np.float64]


class RecordedAvailability(Availability):
    """Eligible sessions of a fleet that follows a trace.

    Attributes:
        device: int64 [phones], the device that each phone follows.
        utc_offset_h: float64 [phones], the local clock.
        eligible_share: float64 [phones], share of its observed time that the device was eligible.
    """

    def __init__(self, trace: Trace, config: FleetConfig, num_phones: int, seed: int) -> None:
        """Set up the fleet.

        Raises:
            TraceError: no device was observed for a whole day.
        """
        super().__init__(num_phones)
        begin_s, end_s = trace.observed_from_s, trace.observed_to_s
        if config.unobserved == "exclude":
            begin_s, end_s = np.full_like(begin_s, begin_s.min()), np.full_like(end_s, end_s.max())
        span_s = end_s - begin_s
        days = (span_s // DAY_S).astype(np.int64)  # [devices], length of each one's cycle
        usable = np.flatnonzero(days)
        if not len(usable):
            raise TraceError(
                f"{trace.source}: expected a device observed for a day or longer, found at most "
                f"{span_s.max() / HOUR_S:.1f} hours"
            )
        order = generator(seed, "order of the devices").permutation(usable)
        phones = np.arange(num_phones)
        self.device = order[phones % len(order)]
        self.left_out = len(days) - len(usable)
        self.eligible_share = trace.eligible_share[self.device]
        self._cycle = days[self.device]  # [phones], days
        offsets = hash_uint64(purpose_key(seed, "first day of the trace"), phones) % self._cycle.astype(np.uint64)
        self._offset = offsets.astype(np.int64)  # [phones], days
        self.utc_offset_h = self._clocks(trace, config, seed)
        self._shift_s = self.utc_offset_h * HOUR_S if config.trace_times == "local" else np.zeros(num_phones)
        self._first, self._count, self._begin_s, self._end_s = _by_day(trace, begin_s, days)
        self._row_of_device = np.concatenate([[0], np.cumsum(days)])[:-1]

    def _clocks(self, trace: Trace, config: FleetConfig, seed: int) -> Floats:
        """The devices' own time zones where the trace knows them, else those of the settings."""
        zones = (config.utc_offsets_h, config.utc_offset_weights)
        drawn = weighted_choice(purpose_key(seed, "time zone"), *zones, np.arange(self.num_phones))
        known = trace.properties.get("utc_offset_h")
        if known is None:
            return drawn if config.trace_times == "local" else np.zeros(self.num_phones)
        own = known[self.device]
        return np.where(np.isnan(own), drawn, own)

    def day_starts(self, day: int) -> Sessions:
        """The pieces of the devices' sessions that lie in one day of their cycles."""
        row = self._row_of_device[self.device] + (day + self._offset) % self._cycle  # [phones]
        count = self._count[row]
        phone = np.repeat(np.arange(self.num_phones), count)  # [pieces]
        nth = np.arange(len(phone)) - np.repeat(np.cumsum(count) - count, count)
        piece = np.repeat(self._first[row], count) + nth
        midnight_s = day * DAY_S - self._shift_s[phone]
        return Sessions(phone, midnight_s + self._begin_s[piece], midnight_s + self._end_s[piece])


def _by_day(
    trace: Trace, begin_s: Floats, days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """Sessions cut at midnight and put in order by (device, day of its cycle).

    Only whole days from the cycle's begin are repeated; the rest of a day would not fit.

    Args:
        trace: the sessions.
        begin_s, days: [devices], where each device's cycle begins and how long it is.

    Returns:
        (first piece, number of pieces) of each day, [sum of days];
        (begin, end) of each piece in seconds since its midnight, [pieces].
    """
    first_row = np.cumsum(days) - days
    device, start_s = trace.device, trace.start_s
    end_s = np.minimum(trace.end_s, (begin_s + days * DAY_S)[device])
    more = end_s > start_s
    rows, begins, ends = [], [], []
    while more.any():
        device, start_s, end_s = device[more], start_s[more], end_s[more]
        day = (start_s // DAY_S).astype(np.int64)
        cut = np.minimum(end_s, (day + 1) * DAY_S)
        rows.append(first_row[device] + day % days[device])
        begins.append(start_s - day * DAY_S)
        ends.append(cut - day * DAY_S)
        start_s, more = cut, end_s > cut
    row = np.concatenate([np.zeros(0, np.int64), *rows])
    order = np.argsort(row, kind="stable")
    count = np.bincount(row, minlength=int(days.sum()))
    empty = np.zeros(0)
    return (
        np.cumsum(count) - count,
        count,
        np.concatenate([empty, *begins])[order],
        np.concatenate([empty, *ends])[order],
    )
