"""Simulated time: seconds since midnight UTC of the first simulated day."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from typefleet.errors import ConfigError, expected

DAY_S = 86_400.0
HOUR_S = 3_600.0


def local_hour(now_s: ArrayLike, utc_offset_h: ArrayLike) -> NDArray[np.float64]:
    """Hour of the day in [0, 24) where the phone is."""
    hour: NDArray[np.float64] = (np.asarray(now_s) / HOUR_S + np.asarray(utc_offset_h)) % 24
    return hour


def first_day_s(start_date: str) -> float:
    """When the simulation begins: seconds since 1970.

    Args:
        start_date: the first simulated day, YYYY-MM-DD.
    """
    return datetime.fromisoformat(start_date).replace(tzinfo=UTC).timestamp()


def simulated_date(start_date: str, now_s: float) -> str:
    """Calendar date and time in UTC, to the second.

    Raises:
        ConfigError: the calendar, which has the years to 9999, ends before.
    """
    start = datetime.fromisoformat(start_date).replace(tzinfo=UTC)
    try:
        now = start + timedelta(seconds=round(now_s))
    except OverflowError as error:
        what = "a day from which all rounds are over by the year 9999"
        raise ConfigError(expected("--fleet.start-date", what, start_date)) from error
    return now.isoformat().replace("+00:00", "Z")
