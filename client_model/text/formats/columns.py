"""Which columns of a table hold the messages, and when a message was written."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Columns:
    """Names of the columns, or of the keys of an object."""

    user: str = "user_id"
    text: str = "text"
    time: str | None = None  # None: the messages of a phone stay in the order of the file

    @property
    def names(self) -> list[str]:
        """All that are read."""
        return [self.user, self.text] if self.time is None else [self.user, self.text, self.time]

    def __str__(self) -> str:
        *first, last = self.names
        return f"{', '.join(first)} and {last}"


USUAL = Columns()


class Moment(NamedTuple):
    """When something was written."""

    at: float  # grows with time
    is_date: bool  # in seconds since 1970; otherwise a number of a unit that only the file knows


def moment(value: Any) -> Moment | None:
    """When something was written; None: the value does not say.

    A number counts as it is, whatever its unit. A date and a time, or an ISO 8601 text of them, become seconds since
    1970; without a time zone they are in UTC.
    """
    if isinstance(value, Moment):
        return value
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return Moment((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp(), is_date=True)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return Moment(number, is_date=False) if math.isfinite(number) else None


def _from_text(text: str) -> float | datetime | None:
    for read in (float, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    return None
