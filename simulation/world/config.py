"""Settings of the simulated world: the phones and their owners' habits."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from simulation.settings import flag_name
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class FleetConfig:
    """The simulated phones and their owners' habits."""

    size: Annotated[int | None, Ge(2)] = None
    """Phones in the fleet, held-out ones included; by default 5,000, or as many as the file has."""
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
    start_date: str = "2026-01-05"
    """First day of the simulated calendar (UTC midnight)."""
    utc_offsets_h: tuple[float, ...] = (-8.0, -5.0, 0.0, 1.0, 5.5, 8.0)
    """Time zones, as hours ahead of UTC."""
    utc_offset_weights: tuple[float, ...] = (0.15, 0.25, 0.1, 0.2, 0.2, 0.1)
    """Share of the phones in each time zone; scaled to sum to 1."""
    eligible_share_alpha: Annotated[float, Gt(0)] = 0.45
    """A phone's long-run share of time eligible is Beta(alpha, beta) ..."""
    eligible_share_beta: Annotated[float, Gt(0)] = 5.1
    """... whose mean with the default numbers is 8.1 %."""
    never_eligible_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the phones that are never eligible, on top of those whose share is close to 0."""
    night_day_ratio: Annotated[float, Ge(1)] = 4.0
    """Eligible phones at the best local hour over those at the worst."""
    best_local_hour: Annotated[float, Ge(0), Lt(24)] = 3.0
    """Local hour at which most phones are idle, charging and on unmetered Wi-Fi."""
    other_best_local_hours: tuple[float, ...] = ()
    """Best hours of the other clusters of phones, such as those that charge at the office."""
    other_best_local_hour_shares: tuple[float, ...] = ()
    """Share of the phones in each of those clusters; all others have --fleet.best-local-hour."""
    session_median_h: Annotated[float, Gt(0)] = 1.0
    """Median length of one eligible session."""
    session_mean_h: Annotated[float, Gt(0), Le(8)] = 2.0
    """Mean length of one eligible session; at least the median."""
    long_session_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of sessions that are of another kind: a whole night on the charger."""
    long_session_median_h: Annotated[float, Gt(0), Le(24)] = 7.0
    """Median length of those."""
    reentry_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """After a session, the chance that the next one follows soon; 0: sessions are independent."""
    reentry_gap_mean_h: Annotated[float, Gt(0)] = 0.5
    """Mean gap before such a session."""
    train_s_per_token_median: Annotated[float, Gt(0)] = 0.007
    """Seconds a phone needs to train on one token: median over phones."""
    speed_spread: Literal["measured", "log-normal"] = "measured"
    """Spread of it over phones: as measured on 403 phone models, or log-normal."""
    train_s_per_token_log_std: Annotated[float, Ge(0)] = 0.7
    """Standard deviation of the logarithm, if log-normal."""
    download_kbytes_per_s_median: Annotated[float, Gt(0)] = 4300.0
    """Download speed: median over phones, kilobytes a second."""
    upload_kbytes_per_s_median: Annotated[float, Gt(0)] = 3200.0
    """Upload speed: median over phones, kilobytes a second."""
    network_log_std: Annotated[float, Ge(0)] = 0.5
    """Spread of both over phones: standard deviation of the logarithm."""
    tier_network_correlation: Annotated[float, Ge(0), Le(1)] = 0.3
    """How far faster devices have faster networks: correlation of the ranks. An assumption."""
    memory_floor_gb: Annotated[float, Ge(0)] = 2.0
    """Phones with less memory are never invited."""
    failure_share: Annotated[float, Ge(0), Lt(1)] = 0.03
    """Share of invitations whose training fails on the phone."""
    upload_failure_share: Annotated[float, Ge(0), Lt(1)] = 0.02
    """Share of uploads that break off."""
    upload_tries: Annotated[int, Ge(1)] = 3
    """Uploads a phone tries, each taking its full time, before it gives up."""


def check_fleet(fleet: FleetConfig) -> None:
    """Check the rules between the settings of the fleet.

    Raises:
        ConfigError: a rule is broken; names the flag.
    """
    if fleet.session_mean_h < fleet.session_median_h:
        least = f"a number >= --fleet.session-median-h = {fleet.session_median_h:g}"
        raise ConfigError(expected("--fleet.session-mean-h", least, f"{fleet.session_mean_h:g}"))
    others, shares = fleet.other_best_local_hours, fleet.other_best_local_hour_shares
    if len(others) != len(shares) or min(shares, default=0.0) < 0 or sum(shares) > 1:
        what = f"{len(others)} numbers >= 0, one an hour, that add up to at most 1"
        raise ConfigError(expected("--fleet.other-best-local-hour-shares", what, list(shares)))
    if len(fleet.utc_offsets_h) != len(fleet.utc_offset_weights):
        what = f"{len(fleet.utc_offsets_h)} numbers, one a time zone"
        raise ConfigError(expected("--fleet.utc-offset-weights", what, len(fleet.utc_offset_weights)))
    for name in ("trace_coverage", "trace_devices"):
        if fleet.trace is None and getattr(fleet, name) is not None:
            raise ConfigError(expected(flag_name(("fleet", name)), "only with --fleet.trace", "it without"))
    try:
        datetime.fromisoformat(fleet.start_date)
    except ValueError as error:
        raise ConfigError(expected("--fleet.start-date", "YYYY-MM-DD", repr(fleet.start_date))) from error
    if min(fleet.utc_offset_weights) < 0 or sum(fleet.utc_offset_weights) <= 0:
        found = list(fleet.utc_offset_weights)
        raise ConfigError(expected("--fleet.utc-offset-weights", "numbers >= 0 that are not all 0", found))
