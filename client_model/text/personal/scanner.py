"""Finds personal data in a text. It runs before anything of the text is kept, and needs no more than the text.

What it finds is by form and check digit; what it does not find is said in docs/data_protection.md. Two kinds need a
package of the extra data-audit: without it they are not looked for, which is said, and never counted as none.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from client_model.text.personal import names, telephones
from client_model.text.personal.kinds import REDACTED, Finding, Kind
from client_model.text.personal.national_ids import national_ids
from client_model.text.personal.patterns import birth_dates, cards, emails, hosts, ibans
from typefleet.errors import ConfigError, expected

_RULES = 2  # raise when what is found of the same text changes, so that text redacted before is not taken for the same

# Blanks and hyphens that keyboards and web pages put between digits: one character each, so that places stay.
_PLAIN = str.maketrans(
    dict.fromkeys("\N{NO-BREAK SPACE}\N{FIGURE SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}", " ")
    | dict.fromkeys("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{FIGURE DASH}\N{EN DASH}\N{MINUS SIGN}", "-")
)

Find = Callable[[str], Iterable[tuple[int, int]]]


class Scanner:
    """Looks for every kind that it can.

    Attributes:
        missing: why a kind is not looked for, by kind; empty with the packages of the extra data-audit.
    """

    def __init__(self, regions: Sequence[str], kinds: Iterable[Kind] = Kind) -> None:
        """Load what is needed for some kinds.

        Args:
            regions: whose national telephone numbers are looked for, see `telephones`.
            kinds: what to look for.

        Raises:
            ConfigError: a region without numbering plan.
        """
        made: dict[Kind, Find | None] = {
            Kind.EMAIL: emails,
            Kind.HOST: hosts,
            Kind.IBAN: ibans,
            Kind.NATIONAL_ID: national_ids,
            Kind.CARD: cards,
            Kind.BIRTH_DATE: birth_dates,
            Kind.TELEPHONE: telephones.telephones(regions),
            Kind.NAME: names.names(),
        }
        packages = {Kind.TELEPHONE: telephones.PACKAGE, Kind.NAME: names.PACKAGE}
        wanted = [(kind, made[kind]) for kind in made if kind in set(kinds)]
        self.missing = {
            kind: f"not looked for: the package {packages[kind]} is not installed (extra {telephones.EXTRA})"
            for kind, find in wanted
            if find is None
        }
        self._finders = [(kind, find) for kind, find in wanted if find is not None]

    def find(self, text: str) -> list[Finding]:
        """All findings, in the order of the text; what overlaps is one, so that no character of any is left.

        Its kind is that of the longest; of two as long, the one with the stricter form.
        """
        plain = text.translate(_PLAIN)
        return _united([Finding(kind, *span) for kind, find in self._finders for span in find(plain)])


def _united(findings: list[Finding]) -> list[Finding]:
    united: list[Finding] = []
    for one in sorted(findings, key=lambda finding: (finding.begin, -finding.end)):
        last = united[-1] if united else None
        if last is None or last.end <= one.begin:
            united.append(one)
        else:
            kind = one.kind if one.end - one.begin > last.end - last.begin else last.kind
            united[-1] = Finding(kind, last.begin, max(last.end, one.end))
    return united


def redacting_scanner(regions: Sequence[str]) -> Scanner:
    """A scanner for all that redaction takes out.

    Raises:
        ConfigError: it could not look for all of it, or a region has no numbering plan.
    """
    scanner = Scanner(regions, REDACTED)
    if scanner.missing:
        needed = (
            f"the package {telephones.PACKAGE} (pip install 'typefleet[{telephones.EXTRA}]'), to know telephone numbers"
        )
        raise ConfigError(expected("--data.redact", needed, "none"))
    return scanner


def redaction_identity(regions: Sequence[str]) -> str:
    """Eight hexadecimal digits of all that decides what is taken out of a text."""
    said = repr((_RULES, sorted(regions), telephones.identity()))
    return hashlib.sha256(said.encode()).hexdigest()[:8]
