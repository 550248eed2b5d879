"""Availability as recorded: the phones of a simulated fleet live the days of a trace's devices.

The trace tiles time by whole days, so that a Tuesday's night stays a night. Each phone follows one
device, all devices being used equally often, and starts its cycle on a day of its own: a small trace
spreads over a large fleet without all copies doing the same at once.

What to do where a device was not observed is an explicit rule:

* `tile`: the device's own observed days are repeated; a device observed for less than a day is left out;
* `exclude`: the cycle is that of the whole trace, and the phone cannot check in while its device was
  not observed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator, hash_uint64, purpose_key
from simulation.clock import DAY_S, HOUR_S
from simulation.world.availability.base import Availability, WorldFacts
from simulation.world.sessions import Sessions
from simulation.world.traces.reader import coverage_beside, read_trace
from simulation.world.traces.trace import Trace, TraceError
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from simulation.world.config import FleetConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TraceSettings(KindSettings):
    """Which trace the phones follow, and how."""

    trace: Path | None = None
    """Recorded availability instead of the built-in model: intervals (.csv, .parquet), FLASH events (.json)
    or a FedScale pickle (.pkl)."""
    trace_coverage: Path | None = None
    """When each device of an interval file was observed (.csv, .parquet)."""
    trace_devices: Path | None = None
    """What is known of the trace's devices: speeds, memory, time zone (.csv, .parquet), or a FedScale
    capacity pickle."""
    unobserved: Literal["tile", "exclude"] = "tile"
    """Where a device was not observed: repeat its own observed days, or keep the phone away."""
    trace_times: Literal["utc", "local"] = "utc"
    """Whether the trace's times are one clock for all, or each device's own."""
    trace_idle: Literal["screen-off", "locked", "either"] = "screen-off"
    """When a phone of FLASH events counts as idle."""

    def check(self, flag: Callable[[str], str]) -> None:
        """There is a trace."""
        if self.trace is None:
            raise ConfigError(expected(flag("trace"), "a file, as --fleet.availability recorded needs one", "none"))

    def unused(self, flag: Callable[[str], str]) -> dict[str, str]:
        """What the trace leaves no room for."""
        only = {}
        if self.trace is not None and self.trace.suffix.lower() != ".json":
            only["trace_idle"] = f"with events of FLASH (.json) as {flag('trace')}"
        if self.trace_times == "utc" and self.trace_devices is None:
            zones = f"with {flag('trace_times')} local or {flag('trace_devices')}"
            only |= {"utc_offsets_h": zones, "utc_offset_weights": zones}
        return only

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is read: the trace, its coverage file, the file of its devices."""
        if self.trace is None:
            return ()
        coverage = self.trace_coverage or coverage_beside(self.trace)
        return tuple(path for path in (self.trace, coverage, self.trace_devices) if path is not None)


class RecordedAvailability(Availability):
    """Eligible sessions of a fleet that follows a trace.

    Attributes:
        device: int64 [phones], the device that each phone follows.
        eligible_share: float64 [phones], share of its observed time that the device was eligible.
    """

    def __init__(self, trace: Trace, settings: TraceSettings, facts: WorldFacts) -> None:
        """Set up the fleet.

        Args:
            trace: what was recorded.
            settings: how it is followed; the files that they name are not read.
            facts: the fleet that is to follow it.

        Raises:
            TraceError: no device was observed for a whole day.
            ConfigError: time zones are given, and the trace leaves none open.
        """
        super().__init__(facts.num_phones)
        seed = facts.seed
        begin_s, end_s = trace.observed_from_s, trace.observed_to_s
        if settings.unobserved == "exclude":
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
        phones = np.arange(facts.num_phones)
        self.device = order[phones % len(order)]
        self.left_out = len(days) - len(usable)
        self.eligible_share = trace.eligible_share[self.device]
        self._cycle = days[self.device]  # [phones], days
        offsets = hash_uint64(purpose_key(seed, "first day of the trace"), phones) % self._cycle.astype(np.uint64)
        self._offset = offsets.astype(np.int64)  # [phones], days
        local = settings.trace_times == "local"
        self._refuse_unused_zones(trace, facts.config, local)
        self.utc_offset_h = self._clocks(trace, facts.drawn_utc_offset_h(), local)
        self._shift_s = self.utc_offset_h * HOUR_S if local else np.zeros(facts.num_phones)
        self._first, self._count, self._begin_s, self._end_s = _by_day(trace, begin_s, days)
        self._row_of_device = np.concatenate([[0], np.cumsum(days)])[:-1]
        self.known_hardware = self._hardware(trace, facts.config.train_s_per_token_median)
        too_short = f" ({self.left_out:,} more were observed for too short)" if self.left_out else ""
        self.origin = f"{len(usable):,} devices of {trace.source}{too_short}"

    def _clocks(self, trace: Trace, drawn: Floats, local: bool) -> Floats:
        """The devices' own time zones where the trace knows them; else those drawn, if its times are local."""
        known = trace.properties.get("utc_offset_h")
        if known is None:
            return drawn if local else np.zeros(self.num_phones)
        own = known[self.device]
        return np.where(np.isnan(own), drawn, own)

    @staticmethod
    def _refuse_unused_zones(trace: Trace, config: "FleetConfig", local: bool) -> None:
        known = trace.properties.get("utc_offset_h")
        if local if known is None else np.isnan(known).any():
            return  # some phones draw theirs
        for name in ("utc_offsets_h", "utc_offset_weights"):
            if getattr(config, name) != getattr(type(config), name):  # the default
                found = "it beside a trace that knows every one" if known is not None else "it beside one clock for all"
                where = f"--fleet.{name.replace('_', '-')}"
                raise ConfigError(expected(where, "only where a trace leaves time zones open", found))

    def _hardware(self, trace: Trace, median_s_per_token: float) -> dict[str, Floats]:
        """What the trace knows of the phones' devices; of relative speeds the median is taken for the setting."""
        known = dict(trace.properties)
        if "relative_train_s" in known and "train_s_per_token" not in known:
            relative = known["relative_train_s"]
            known["train_s_per_token"] = median_s_per_token * relative / np.nanmedian(relative)
        found = {name: known[name][self.device] for name in ("train_s_per_token", "memory_gb") if name in known}
        for way in ("download", "upload"):
            if f"{way}_kbytes_per_s" in known:
                found[f"{way}_bytes_per_s"] = known[f"{way}_kbytes_per_s"][self.device] * 1e3
        return found

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


def _read(settings: TraceSettings, facts: WorldFacts) -> RecordedAvailability:
    """Read the trace that the settings name.

    Raises:
        ConfigError, TraceError: they name none, or one that cannot be used.
    """
    if settings.trace is None:
        raise ConfigError(expected("TraceSettings.trace", "a file", "none"))
    trace = read_trace(settings.trace, settings.trace_coverage, settings.trace_devices, settings.trace_idle)
    recorded = RecordedAvailability(trace, settings, facts)
    recorded.files = settings.files
    return recorded


KIND = Kind("recorded", "recorded phones", make=_read, settings=TraceSettings)
