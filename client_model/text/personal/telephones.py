"""Telephone numbers, by the numbering plans that the package phonenumbers knows (a port of Google's libphonenumber)."""

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from typefleet.errors import ConfigError, expected

PACKAGE = "phonenumbers"
EXTRA = "data-audit"
_DIGITS = re.compile(r"(?:\d[^\d\n]{0,4}){6}\d", re.ASCII)  # fewer make no number that can be dialled from elsewhere

Find = Callable[[str], Iterator[tuple[int, int]]]


def telephones(regions: Sequence[str]) -> Find | None:
    """What finds them in a text; None without the package.

    Args:
        regions: two letters each (ISO 3166-1), in which a number without a country's prefix may be dialled. With a
            prefix it is found wherever it is from.

    Raises:
        ConfigError: a region that has no numbering plan.
    """
    try:
        from phonenumbers import SUPPORTED_REGIONS, PhoneNumberMatcher
    except ImportError:
        return None
    for region in regions:
        if region not in SUPPORTED_REGIONS:
            known = "two capital letters of a country with telephones, such as GB"
            raise ConfigError(expected("regions of telephone numbers", known, repr(region)))

    def find(text: str) -> Iterator[tuple[int, int]]:
        if _DIGITS.search(text) is None:
            return
        for region in regions or (None,):
            for found in PhoneNumberMatcher(text, region):
                yield found.start, found.end

    return find


def identity() -> str:
    """Which numbering plans they are: another release of the package may find others."""
    return f"{PACKAGE} {version(PACKAGE)}"
