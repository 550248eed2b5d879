"""The audit of a text as a table, as JSON, and as a page for people. None of them has a word of the text."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from client_model.text.personal.kinds import WORDS
from client_model.text.personal.national_ids import NATIONAL_IDS
from simulation.files import write_text_atomically
from simulation.studies.data_audit.audit import DataAudit
from simulation.studies.data_audit.duplicates import LEAST_SIMILARITY, LEAST_WORDS
from simulation.studies.data_audit.inequality import TOPS, Spread
from simulation.studies.pages import render
from simulation.tables import print_table
from typefleet.errors import ConfigError, unwritable

PAGE, FIGURES = "data_audit.html", "data_audit.json"


@dataclass(frozen=True)
class Section:
    """A table of the report, and what is to be known of it."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sections(audit: DataAudit) -> list[Section]:
    """All of the report, in the order in which it is read.

    Args:
        audit: what was found.
    """
    return [_personal(audit), _repeated(audit), _phones(audit), _lone(audit), _languages(audit), _not_looked_for(audit)]


def _personal(audit: DataAudit) -> Section:
    rows = tuple(
        (WORDS[one.kind], *(_count(number) for number in (one.places, one.messages, one.phones)))
        for one in audit.personal
    )
    some = audit.redactable
    countries = ", ".join(one.country for one in NATIONAL_IDS)
    regions = ", ".join(audit.regions) or "no country"
    return Section(
        "Personal data",
        ("kind", "places", "messages", "phones"),
        rows,
        (
            *sorted({f"-: {one.why}" for one in audit.personal if one.why}),
            f"--data.redact would change {some.messages:,} messages ({_share(some.message_share)}) of {some.phones:,} "
            f"phones; drop leaves them out, with {_share(some.token_share)} of all tokens. Names stay.",
            f"Telephone numbers: with a country's prefix, and without one those of {regions} (--regions). "
            f"National ids: {countries}.",
        ),
    )


def _repeated(audit: DataAudit) -> Section:
    found = audit.duplicates
    rows = (
        ("messages compared", f"{found.compared:,} of {found.long_enough:,}"),
        ("with one like it on the same phone", _share(found.on_same_phone)),
        ("with one like it on another phone", _share(found.on_another_phone)),
    )
    alike = (
        f"at least {LEAST_SIMILARITY:.0%} of the pairs of words in common, of messages of {LEAST_WORDS} tokens or more"
    )
    note = f"Alike: {alike}. At least so many: pairs are looked for by MinHash." if not found.why else found.why
    return Section("Said more than once", ("near-duplicates", "found"), rows, (note,))


def _phones(audit: DataAudit) -> Section:
    def column(of: Spread) -> list[str]:
        tops = [_share(share) for share in of.top_shares]
        return [f"{of.gini:.2f}", f"{of.median:,.0f}", f"{of.largest:,}", _share(of.largest_share), *tops]

    names = ["Gini coefficient", "of the median phone", "of the largest phone", "share of the largest phone"]
    names += [f"share of the {top:.0%} with most" for top in TOPS]
    rows = tuple(zip(names, column(audit.messages_a_phone), column(audit.tokens_a_phone), strict=True))
    return Section("How unequal phones are", ("over phones", "messages", "tokens"), rows)


def _lone(audit: DataAudit) -> Section:
    lone = audit.lone_words
    rows = (
        ("distinct words", f"{lone.distinct:,}"),
        ("that one phone alone wrote", f"{lone.lone:,}"),
        ("of all words written", _share(lone.lone_share_of_text)),
        ("phones with such words", f"{lone.phones_with_lone:,} of {audit.phones:,}"),
    )
    note = "No vocabulary should have any of them; one that is counted on phones has none (--data.min-phones-a-word)."
    return Section("Words of one phone alone", ("words", "found"), rows, (note,))


def _languages(audit: DataAudit) -> Section:
    found = audit.languages
    if found.by_language is None:
        return Section("Languages", (), (), (found.why,))
    rows = tuple((name, f"{phones:,}", _share(phones / found.phones)) for name, phones in found.by_language[:10])
    left = len(found.by_language) - len(rows)
    more = (f"{left} more languages are in {FIGURES}.",) if left else ()
    of = f"Of {found.phones:,} phones with enough text, each by the first of what it wrote"
    note = f"{of}; short texts are often mistaken."
    return Section("Languages", ("language", "phones", "share"), rows, (note, *more))


def _not_looked_for(audit: DataAudit) -> Section:
    return Section(
        "Not looked for",
        (),
        (),
        (
            f"Toxic words: {audit.toxic_words_why.partition(': ')[2]}.",
            "Addresses of homes, health, beliefs, and all that only its meaning makes personal. Names that are on no "
            "list or written small. National ids of other countries. docs/data_protection.md has all limits of the "
            "scanner.",
        ),
    )


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _share(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"


def headline(audit: DataAudit) -> str:
    """What was read, in one sentence."""
    skipped = f", {audit.skipped_lines:,} bad lines left out" if audit.skipped_lines else ""
    dated = "the file says when each was written" if audit.is_dated else "the file does not say when they were written"
    return (
        f"{audit.messages:,} messages of {audit.phones:,} phones, {audit.tokens:,} tokens{skipped}; {dated}. "
        f"Read and scanned in {audit.reading_s:,.1f} s: {audit.seconds_a_million_messages:,.0f} s a million messages."
    )


def print_report(console: Console, audit: DataAudit) -> None:
    """Print all of it, one table below the other.

    Args:
        console: where to.
        audit: what was found.
    """
    console.print(f"{audit.source}\n{headline(audit)}")
    for section in sections(audit):
        if section.rows:
            print_table(console, section.headings, section.rows)
        else:
            console.print(f"\n{section.title}")
        for note in section.notes:
            console.print(note)


def write_report(folder: Path, audit: DataAudit) -> list[Path]:
    """Write the page and the figures, readable by their owner alone.

    Args:
        folder: where to, made if it is not there.
        audit: what was found.

    Raises:
        ConfigError: the folder cannot be written.
    """
    figures, page = folder / FIGURES, folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(figures, json.dumps(asdict(audit), indent=2) + "\n", private=True)
        write_text_atomically(page, _page(audit, sections(audit)), private=True)
    except OSError as error:
        raise ConfigError(f"--report-dir: {unwritable(folder, error)}") from error
    return [page, figures]


def _page(audit: DataAudit, parts: Sequence[Section]) -> str:
    return render(
        "data_audit.html", source=audit.source, headline=headline(audit), sections=parts, version=version("typefleet")
    )
