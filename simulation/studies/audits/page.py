"""The page of an audit, for a reader who signs: the verdict first, then each attack in plain words, in one file."""

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from simulation.files import write_text_atomically
from simulation.studies.audits.attack import Attack
from simulation.studies.audits.audit import (
    A_BOUND_FELL,
    PAGE_NAME,
    PASSED_PROVES_NOTHING,
    Audit,
    bound_shown,
    number,
    shown,
    verdict,
    whose_claim,
)
from simulation.studies.audits.table import ATTACKS, family_of
from simulation.studies.pages import render

Told: TypeAlias = tuple[tuple[str, str], ...]
"""Names and texts."""

_ROOM = 1.08  # of a bar, beyond the largest that it shows
_MEANS = {
    True: "its bound: what this attack came to contradicts no claim.",
    False: "its bound: not even the low end is within it. Something is other than is claimed.",
    None: "to be held to; it is for the reader to judge.",
}
_ABOVE_BY_ITSELF = (
    "its bound by its low end alone: the estimate itself is above it, which chance can do. A whole audit with another "
    "seed has more to say."
)


@dataclass(frozen=True)
class Bar:
    """A figure as a bar, with places in percent of its length."""

    low: float | None
    value: float
    high: float | None
    bound: float | None

    @classmethod
    def of(cls, one: Attack) -> "Bar | None":
        """Of a figure from 0 on; None without a value.

        Args:
            one: the figure.
        """
        if one.value is None:
            return None
        ends = [max(end, 0.0) for end in (one.low, one.value, one.high, one.bound) if end is not None]
        largest = max(ends) or 1.0

        def place(end: float) -> float:
            return round(max(end, 0.0) / largest * 100 / _ROOM, 2)

        low, high, bound = (None if end is None else place(end) for end in (one.low, one.high, one.bound))
        return cls(low, place(one.value), high, bound)

    @property
    def begin(self) -> float:
        """Of the interval; the value where it has no low end."""
        return self.value if self.low is None else self.low

    @property
    def width(self) -> float:
        """Of the interval."""
        return (self.value if self.high is None else self.high) - self.begin


@dataclass(frozen=True)
class Figure:
    """A figure in words."""

    name: str
    quantity: str
    shown: str
    interval: str  # its confidence; empty where it has none
    bound: str
    verdict: str
    means: str
    why: str
    bar: Bar | None
    alternative: str
    told: Told  # of this figure and not of most of its attack

    @classmethod
    def of(cls, one: Attack, common: Told = ()) -> "Figure":
        """As the page has it.

        Args:
            one: the figure.
            common: what is told elsewhere.
        """
        verdict = {True: "within", False: "above", None: "no bound"}[one.holds]
        interval = "" if one.confidence is None or one.low is None else f"{100 * one.confidence:g} % interval"
        bound = "" if one.bound is None else f", bound {bound_shown(one.bound)}"
        return cls(
            name=one.name.partition(": ")[2] or one.name,
            quantity=one.quantity,
            shown=shown(one),
            interval=interval,
            bound=bound_shown(one.bound),
            verdict=verdict if one.value is not None else "not measured",
            means=_means(one),
            why=one.why,
            bar=Bar.of(one),
            alternative=f"{one.quantity}: {shown(one)}{bound}",
            told=tuple(pair for pair in _told(one) if pair not in common),
        )


@dataclass(frozen=True)
class Family:
    """The figures of one attack."""

    name: str
    about: str
    means: str
    told: Told  # of most figures alike
    figures: Sequence[Figure]
    picture: str | None  # as an address that holds it

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"attack-{self.name.replace(' ', '-')}"


def families(audit: Audit, pictures: Mapping[str, Path]) -> Iterator[Family]:
    """The attacks that were carried out, in the order of the table.

    Args:
        audit: what was found.
        pictures: what was drawn, by its file's name.
    """
    for name in dict.fromkeys(family_of(one) for one in audit.attacks):
        own, known = (
            [one for one in audit.attacks if family_of(one) == name and one.value is not None],
            ATTACKS.get(name),
        )
        common = _common(own)
        picture = None if known is None or known.figure is None else pictures.get(known.figure.file_name)
        yield Family(
            name=name,
            about="" if known is None else known.about,
            means="" if known is None else known.means,
            told=_headed(common, own),
            figures=[Figure.of(one, common) for one in own],
            picture=None if picture is None else _inline(picture),
        )


def _means(one: Attack) -> str:
    """What its verdict is worth, to stand behind it."""
    if one.value is None:
        return ""
    above = one.holds is True and one.bound is not None and one.value > one.bound
    return _ABOVE_BY_ITSELF if above else _MEANS[one.holds]


def _told(one: Attack) -> Told:
    """What a reader has to know of a figure before the figure."""
    return (
        ("who attacks", one.attacker),
        ("what they see", one.sees),
        ("what is assumed", one.assumes),
        ("where the bound comes from", one.bound_is),
    )


def _common(attacks: Sequence[Attack]) -> Told:
    """What is to be told of most of them alike; the others say what holds for them."""
    times = Counter(pair for one in attacks for pair in _told(one))
    return tuple(pair for pair, number in times.items() if 2 * number > len(attacks))


def _headed(common: Told, attacks: Sequence[Attack]) -> Told:
    """The same as it stands above all figures."""
    everywhere = [pair for pair in common if all(pair in _told(one) for one in attacks)]
    return tuple(
        (name if (name, text) in everywhere else f"{name}, unless a figure says otherwise", text)
        for name, text in common
    )


def _inline(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def not_measured(audit: Audit) -> list[tuple[str, str]]:
    """(what was not measured, why), attacks that were not carried out last.

    Args:
        audit: what was found.
    """
    without = [(one.name, one.why or "no reason is told") for one in audit.attacks if one.value is None]
    found = {family_of(one) for one in audit.attacks}
    reason = "not carried out in this audit"
    settings = "it needs a finished run, and settings alone were attacked"
    left = [
        (name, f"{known.about}: {settings if known.needs_run and audit.weights_sha256 is None else reason}")
        for name, known in ATTACKS.items()
        if name not in found
    ]
    return [*without, *left]


def page_of(audit: Audit, pictures: Mapping[str, Path]) -> str:
    """The page, as HTML; it needs nothing else, and runs no script.

    Args:
        audit: what was found.
        pictures: what was drawn, by its file's name.
    """
    fell, said = verdict(audit)
    rows = [(one, Figure.of(one)) for one in audit.attacks if one.holds is not None]
    return render(
        "audit.html",
        audit=audit,
        fell=fell,
        said=said,
        whose=whose_claim(audit),
        held=[(one.name, figure) for one, figure in sorted(rows, key=lambda row: row[0].holds is True)],
        unheld=sum(one.holds is None and one.value is not None for one in audit.attacks),
        families=list(families(audit, pictures)),
        lacking=not_measured(audit),
        proves=PASSED_PROVES_NOTHING,
        to_do=A_BOUND_FELL,
        version=version("typefleet"),
        number=number,
    )


def write_page(folder: Path, audit: Audit) -> Path:
    """Write audit.html beside audit.json, with the pictures that lie there; returns its path.

    Args:
        folder: that is there.
        audit: what was found.
    """
    names = [known.figure.file_name for known in ATTACKS.values() if known.figure is not None]
    drawn = {one for one in names if _is_of(audit, one)}
    pictures = {name: folder / name for name in drawn if (folder / name).is_file()}
    write_text_atomically(folder / PAGE_NAME, page_of(audit, pictures), private=True)
    return folder / PAGE_NAME


def _is_of(audit: Audit, picture: str) -> bool:
    """Whether a picture in the folder is of this audit: it has what is drawn in it."""
    figures = [known.figure for known in ATTACKS.values() if known.figure is not None]
    of = next(figure.of for figure in figures if figure.file_name == picture)
    return any(of in one.details for one in audit.attacks)
