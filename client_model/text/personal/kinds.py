"""Which kinds of personal data are looked for, and what is said of a place where one stands."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """A kind of personal data, by the name that reports give it."""

    EMAIL = "e-mail"
    HOST = "host"
    IBAN = "iban"
    NATIONAL_ID = "national-id"
    CARD = "card"
    BIRTH_DATE = "birth-date"
    TELEPHONE = "telephone"
    NAME = "name"


WORDS = {
    Kind.EMAIL: "e-mail addresses",
    Kind.HOST: "addresses of hosts (IPv4, IPv6, URLs)",
    Kind.IBAN: "bank accounts (IBAN with its check digits)",
    Kind.NATIONAL_ID: "national ids of nine countries",
    Kind.CARD: "payment cards (Luhn)",
    Kind.BIRTH_DATE: "dates of birth, where the text says so",
    Kind.TELEPHONE: "telephone numbers",
    Kind.NAME: "names of people that are on a list",
}

REDACTED = tuple(kind for kind in Kind if kind is not Kind.NAME)
"""What redaction takes out. A name alone is a word as others are, and lists of names both miss and mistake many."""


class Finding(NamedTuple):
    """Personal data in a text: the characters from `begin` up to `end`."""

    kind: Kind
    begin: int
    end: int
