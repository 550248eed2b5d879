"""National identity and insurance numbers, by their published forms and, where they have them, their check digits.

Nine countries; those of others are not looked for. Numbers without any mark or letter that could as well be something
else, such as eight plain digits, are looked for only as their offices write them, with blanks or hyphens.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from client_model.text.personal.check_digits import luhn, verhoeff

_ITALIAN_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14))
        + (16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


class NationalId(NamedTuple):
    """One that is looked for."""

    country: str
    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]  # its check digits, given it in capitals, without blanks, dots and hyphens


def _spanish(number: str) -> bool:
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return len(digits) == 8 and "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[-1]


def _french(number: str) -> bool:
    digits = number.replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _italian(number: str) -> bool:
    total = sum(
        _ITALIAN_ODD[c] if place % 2 == 0 else int(c, 36) - 10 * c.isalpha() for place, c in enumerate(number[:15])
    )
    return chr(ord("A") + total % 26) == number[15]


def _singaporean(number: str) -> bool:
    total = sum(int(d) * weight for d, weight in zip(number[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    letters = "JZIHGFEDCBA" if number[0] in "ST" else "XWUTRQPNMLK"
    return letters[(total + 4 * (number[0] in "TG")) % 11] == number[8]


def _brazilian(number: str) -> bool:
    def check(digits: str) -> int:
        rest = sum(int(d) * weight for d, weight in zip(digits, range(len(digits) + 1, 1, -1), strict=True)) % 11
        return 0 if rest < 2 else 11 - rest

    return len(set(number)) > 1 and number[9:] == f"{check(number[:9])}{check(number[:10])}"


def _any(number: str) -> bool:
    return True


def _whole(pattern: str) -> re.Pattern[str]:
    """Not as a part of a word or of digits without a mark between; at each place, so that one may begin within another.

    Other numbers may stand beside it, with a blank, a dot or a hyphen between.
    """
    return re.compile(rf"(?<![^\W_])(?=(?P<whole>{pattern})(?![^\W_]))", re.IGNORECASE | re.ASCII)


NATIONAL_IDS = (
    NationalId(
        "United States",
        "social security number",
        _whole(r"(?!000|666|9)\d{3}(?P<mark>[- ])(?!00)\d\d(?P=mark)(?!0000)\d{4}"),
        _any,
    ),
    NationalId(
        "United Kingdom",
        "national insurance number",
        _whole(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]"),
        _any,
    ),
    NationalId("Spain", "DNI and NIE", _whole(r"(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]"), _spanish),
    NationalId(
        "France", "NIR", _whole(r"[12] ?\d\d ?(?:[02-9]\d|1[0-2]) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d"), _french
    ),
    NationalId("Italy", "codice fiscale", _whole(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]"), _italian),
    NationalId("Singapore", "NRIC and FIN", _whole(r"[STFG]\d{7}[A-Z]"), _singaporean),
    NationalId("Canada", "social insurance number", _whole(r"[1-79]\d\d(?P<mark>[- ])\d{3}(?P=mark)\d{3}"), luhn),
    NationalId("Brazil", "CPF", _whole(r"\d{3}\.\d{3}\.\d{3}-\d\d"), _brazilian),
    NationalId("India", "Aadhaar", _whole(r"[2-9]\d{3}(?P<mark>[- ])\d{4}(?P=mark)\d{4}"), verhoeff),
)

_MARKS = str.maketrans("", "", " .-")


def national_ids(text: str) -> list[tuple[int, int]]:
    """Where they stand: (begin, end) of each. Two may overlap.

    Args:
        text: of a message.
    """
    return [
        found.span("whole")
        for one in NATIONAL_IDS
        for found in one.pattern.finditer(text)
        if one.holds(found["whole"].upper().translate(_MARKS))
    ]
