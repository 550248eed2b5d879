"""Simulated time: seconds since midnight UTC of the first simulated day."""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

DAY_S = 86_400.0
HOUR_S = 3_600.0


def local_hour(now_s: ArrayLike, utc_offset_h: ArrayLike) -> NDArray[np.float64]:
    """Hour of the day in [0, 24) where the phone is."""
    hour: NDArray[np.float64] = (np.asarray(now_s) / HOUR_S + np.asarray(utc_offset_h)) % 24
    return hour


def simulated_date(start_date: str, now_s: float) -> str:
    """Calendar date and time in UTC, to the second."""
    start = datetime.fromisoformat(start_date).replace(tzinfo=UTC)
    return (start + timedelta(seconds=round(now_s))).isoformat().replace("+00:00", "Z")
