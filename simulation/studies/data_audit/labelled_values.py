"""Made-up personal data of every kind that is looked for, written as people write it, for the labelled sample.

Nothing here uses the scanner's own patterns. A part of it is made to be missed: forms that people use and the scanner
does not know are there as often as it seems they are, so that what is measured is not what was built in. Telephone
numbers are of the ranges that regulators keep for fiction, or begin as the numbering plans' own examples do.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from client_model.text.personal.kinds import Kind

Draw = np.random.Generator

# From lists of no package: given names common in several languages, half of them hardly ever on English lists.
_GIVEN = re.findall(
    r"\S+",
    "Anna Ben Chloe Daniel Emma Fatima George Hannah Isaac Julia Kofi Laura Mohammed Nadia Oliver Priya "
    "Quentin Rosa Samuel Tariq Ulla Valentina Wei Xin Yusuf Zoe Aoife Bjorn Chiara Dmitri Eszter Femi "
    "Giulia Hiroshi Ingrid Jamal Katarzyna Lars Mei Ngozi Olga Pablo Rahul Siobhan Thabo Uche Vikram Will "
    "Mark Grace Yan Zainab Amelia Jack Sophie Tom ",
)
_FAMILY = re.findall(
    r"\S+",
    "Smith Jones Garcia Müller Rossi Patel Okafor Nguyen Kowalski Dubois Silva Tanaka Murphy Andersson Khan Wong ",
)
_WORDS = re.findall(
    r"\S+",
    "blue river happy tiger solar mango winter cloud pixel rocket ",
)
_MONTHS = re.findall(
    r"\S+",
    "January February March April May June July August September October November December ",
)

_NO_BREAK = "\N{NO-BREAK SPACE}"  # as web pages put it between groups of digits


def one_of(rng: Draw, of: Sequence[str]) -> str:
    """One of some texts, each as likely."""
    return of[int(rng.integers(len(of)))]


def digits_of(rng: Draw, number: int) -> str:
    """So many digits, each as likely."""
    return "".join(map(str, rng.integers(0, 10, number)))


def _with_check(digits: str, holds: Callable[[str], bool]) -> str:
    """The digits with the one last digit that a rule accepts."""
    return next(f"{digits}{check}" for check in range(10) if holds(f"{digits}{check}"))


def _sums_to_ten(number: str) -> bool:
    """Luhn's rule, as one sees it in a table: every second digit from the right counts as its double's digits do."""
    table = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    return sum(table[int(d)] if place % 2 else int(d) for place, d in enumerate(number[::-1])) % 10 == 0


def _email(rng: Draw) -> str:
    user = rng.choice(
        [
            one_of(rng, _WORDS),
            f"{one_of(rng, _GIVEN)}.{one_of(rng, _WORDS)}",
            f"{one_of(rng, _WORDS)}{digits_of(rng, 2)}",
        ]
    )
    host = rng.choice(["example.com", "mail.example.org", "example.co.uk", "example.net"])
    forms = [f"{user}@{host}"] * 8 + [f"{user}@{host}".upper(), f"{user} at {host.replace('.', ' dot ')}"]
    return one_of(rng, forms)


def _host(rng: Draw) -> str:
    word, byte = one_of(rng, _WORDS), rng.integers(1, 255, 4)
    forms = [
        *(f"http://{word}.example.com/{digits_of(rng, 3)}?q={word}", f"https://www.{word}.org", f"www.{word}.com"),
        *(f"{word}.com", f"{word}{one_of(rng, _WORDS)}.co.uk/{word}", ".".join(map(str, byte))),
        *(f"2001:db8::{digits_of(rng, 4)}", f"{word}.ly/{digits_of(rng, 4)}", f"{word} dot com"),
        *(f"https://{word}.example.com/reset?email={word}@example.org&code=1", f"https://{word}:pw@db.example.com/x"),
    ]
    return one_of(rng, forms)


def _iban(rng: Draw) -> str:
    country, length = (("DE", 22), ("FR", 27), ("ES", 24), ("NL", 18), ("GB", 22))[int(rng.integers(5))]
    letters = {"GB": "WEST", "NL": "ABNA"}.get(country, "")
    account = letters + digits_of(rng, length - 4 - len(letters))
    number = "".join(str(ord(c) - 55) if c.isalpha() else c for c in f"{account}{country}00")
    whole = f"{country}{98 - int(number) % 97:02}{account}"
    grouped = " ".join(whole[i : i + 4] for i in range(0, length, 4))
    return one_of(
        rng, [whole, grouped, grouped, grouped.lower(), grouped.replace(" ", "-"), grouped.replace(" ", _NO_BREAK)]
    )


def _card(rng: Draw) -> str:
    first, length = (("4", 16), ("51", 16), ("37", 15), ("4", 16))[int(rng.integers(4))]
    whole = _with_check(first + digits_of(rng, length - 1 - len(first)), _sums_to_ten)
    grouped = " ".join(whole[i : i + 4] for i in range(0, length, 4))
    return one_of(
        rng,
        [
            whole,
            grouped,
            grouped,
            grouped.replace(" ", "-"),
            grouped.replace(" ", "."),
            grouped.replace(" ", _NO_BREAK),
        ],
    )


def _national_id(rng: Draw) -> str:
    digits, eight = digits_of(rng, 6), f"{rng.integers(10**7, 10**8)}"
    sin = _with_check(f"1{digits_of(rng, 7)}", _sums_to_ten)
    area, group, serial = rng.integers(1, 600), rng.integers(10, 99), rng.integers(1000, 9999)
    spanish = f"{eight}{'TRWAGMYFPDXBNJZSQVHLCKE'[int(eight) % 23]}"
    forms = [
        *(f"{area:03}-{group}-{serial}", f"AB{digits}C", f"JK {digits[:2]} {digits[2:4]} {digits[4:]} A", spanish),
        *(f"{sin[:3]} {sin[3:6]} {sin[6:]}", f"{area:03}{group}{serial}"),  # the last without hyphens
    ]
    return one_of(rng, forms)


def _birth_date(rng: Draw) -> str:
    year, month, day = rng.integers(1940, 2010), int(rng.integers(1, 13)), rng.integers(1, 29)
    name = _MONTHS[month - 1]
    forms = [
        *(f"{day}/{month}/{year}", f"{year}-{month:02}-{day:02}", f"{day} {name} {year}", f"{name} {day}, {year}"),
        *(f"{day}.{month}.{year % 100:02}", f"{day}th of {name}", f"{name[:3]} {day}", f"the {day}th"),
    ]
    return one_of(rng, forms)


def _telephone(rng: Draw) -> str:
    area, line, rest = one_of(rng, ("212", "415", "617", "206")), f"01{digits_of(rng, 2)}", digits_of(rng, 3)
    forms = [
        *(f"({area}) 555-{line}", f"{area}-555-{line}", f"+1 {area} 555 {line}", f"{area}.555.{line}"),
        *(f"{area}555{line}", f"020 7946 0{rest}", f"07400 123{rest}", f"07400123{rest}", f"+44 7400 123{rest}"),
        *(f"+33 6 12 34 {rest[:2]} {digits_of(rng, 2)}", f"+65 8{digits_of(rng, 3)} {digits_of(rng, 4)}"),
        *(f"06 12 34 {rest[:2]} {digits_of(rng, 2)}", f"555-{line}"),  # of another country; without an area
    ]
    return one_of(rng, forms)


def _name(rng: Draw) -> str:
    given, family = one_of(rng, _GIVEN), one_of(rng, _FAMILY)
    return one_of(rng, [given, given, given, f"{given} {family}", given.lower()])


VALUES: dict[Kind, Callable[[Draw], str]] = {
    Kind.EMAIL: _email,
    Kind.HOST: _host,
    Kind.IBAN: _iban,
    Kind.NATIONAL_ID: _national_id,
    Kind.CARD: _card,
    Kind.BIRTH_DATE: _birth_date,
    Kind.TELEPHONE: _telephone,
    Kind.NAME: _name,
}
"""What makes one of each kind."""
