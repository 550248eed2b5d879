"""Settings of the simulated world: the phones."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from simulation.world.availability.door import AVAILABILITY
from typefleet.doors import FLAT, KindSettings, SettingsOf
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class FleetConfig:
    """The simulated phones."""

    size: Annotated[int | None, Ge(2), Le(100_000_000)] = None
    """Phones in the fleet, held-out ones included; by default as many as there are people in
    the text; 5,000 of made-up text."""
    availability: Annotated[str, AVAILABILITY.choice] = "model"
    """When phones are eligible: by the built-in model, or as recorded in --fleet.trace, which alone selects it."""
    availability_settings: Annotated[
        KindSettings, SettingsOf("availability", AVAILABILITY, implied_by=(("trace", "recorded"),)), FLAT
    ] = KindSettings()
    """Of the source itself."""
    start_date: str = "2026-01-05"
    """First day of the simulated calendar (UTC midnight)."""
    utc_offsets_h: Annotated[tuple[float, ...], Ge(-12), Le(14)] = (-8.0, -5.0, 0.0, 1.0, 5.5, 8.0)
    """Time zones, as hours ahead of UTC."""
    utc_offset_weights: Annotated[tuple[float, ...], Ge(0)] = (0.15, 0.25, 0.1, 0.2, 0.2, 0.1)
    """Share of the phones in each time zone; scaled to sum to 1."""
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
    """How far faster phones have faster networks: correlation of the ranks. An assumption."""
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
    offsets, weights = fleet.utc_offsets_h, fleet.utc_offset_weights
    if not offsets:
        raise ConfigError(expected("--fleet.utc-offsets-h", "at least one number", "none"))
    if len(offsets) != len(weights):
        what = f"{len(offsets)} numbers, one a time zone"
        raise ConfigError(expected("--fleet.utc-offset-weights", what, len(weights)))
    if not _is_first_day(fleet.start_date):
        day = "YYYY-MM-DD, from 1970-01-01 to 2999-12-31"  # the calendar ends with the year 9999
        raise ConfigError(expected("--fleet.start-date", day, repr(fleet.start_date)))
    if sum(weights) == 0:
        what = "numbers >= 0 that are not all 0"
        raise ConfigError(expected("--fleet.utc-offset-weights", what, " ".join(map(str, weights))))


def _is_first_day(text: str) -> bool:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return False
    return day.isoformat() == text and 1970 <= day.year <= 2999
