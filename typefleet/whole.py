"""What is a whole number here, and which ones phones have."""

from numbers import Integral

from typefleet.errors import expected

LARGEST_PHONE = (1 << 32) - 2
"""A number has 32 bits in a message, and the last one is the server's."""


def is_whole(value: object, least: int, most: int | None = None) -> bool:
    """Whether a value is a whole number within bounds; 2.0 and True are none."""
    is_number = isinstance(value, Integral) and not isinstance(value, bool)
    return is_number and least <= int(value) and (most is None or int(value) <= most)  # type: ignore[call-overload]


def check_phone(number: int) -> int:
    """The number of a phone, if it may be one.

    Raises:
        ValueError: it is none.
    """
    if not is_whole(number, 0, LARGEST_PHONE):
        raise ValueError(expected("the number of a phone", "a whole number from 0 to 2^32 - 2", number))
    return number
