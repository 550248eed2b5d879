"""An assessment as Markdown, every text from outside escaped; it is read as it is, too."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from simulation.studies.assessment import scale
from simulation.studies.assessment.assessment import BASIS_OPEN, NOTICE, SIMULATION, TRANSFERS_OPEN, Assessment
from simulation.studies.assessment.flows import as_text
from simulation.studies.assessment.parts import Figure, Row
from simulation.studies.assessment.words import figure_shown, provision_shown, sentence, size_shown, time_shown
from typefleet.errors import printable

_WIDTH = 100
_MARKUP = re.compile(r"([\\`*\[\]|#~])")


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, in a line or a cell.

    Example:
        >>> escaped("a|b <script>*x*")
        'a\\\\|b &lt;script&gt;\\\\*x\\\\*'
    """
    marked = _MARKUP.sub(r"\\\1", printable(text).replace("\n", " "))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def page(found: Assessment) -> str:
    """The whole page.

    Args:
        found: what is said of the run.
    """
    parts = (_head(found), _decisions(found), _record(found), _flows(found), _safeguards(found), _risks(found))
    lines = [line for part in (*parts, _law(found)) for line in part]
    return "\n".join(lines).rstrip("\n") + "\n"


def _paragraph(text: str) -> list[str]:
    return [*textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False), ""]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[escaped(cell) for cell in row] for row in rows]
    bodies = [f"| {' | '.join(row)} |" for row in cells]
    return [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", *bodies, ""]


def _figures(figures: Sequence[Figure], heading: str = "figure") -> list[str]:
    rows = [(one.name, figure_shown(one), one.source) for one in figures]
    return _table((heading, "value", "from"), rows)


def _head(found: Assessment) -> Iterator[str]:
    bands = ", ".join(f"{number} {name}" for name, number in reversed(found.by_band().items()) if number)
    yield from ("# Data protection impact assessment, and record of processing", "")
    yield from _paragraph(f"**{NOTICE}**")
    yield from (
        f"- **Open decisions: {len(found.decisions)}.** Each is marked `OPEN`.",
        f"- Residual risks: {bands}.",
        f"- Safeguards that are not there: {len(found.absent)} of {len(found.safeguards)}.",
        "",
    )
    yield from _paragraph(SIMULATION)
    yield from _paragraph(f"Written by Typefleet {found.version} on {found.written_on}, from the run's own files.")
    yield from _figures(found.run, "run")


def _decisions(found: Assessment) -> Iterator[str]:
    yield from ("## What must still be decided", "")
    for number, one in enumerate(found.decisions, start=1):
        yield f"{number}. **OPEN: {escaped(one.question)}**  "
        see = ", ".join(map(provision_shown, one.provisions))
        yield f"   To be decided by: {one.by}. Known: {escaped(one.known)}. See {see}.  "
        yield "   Decision: ______________________  Name and date: ______________________"
    yield ""


def _record(found: Assessment) -> Iterator[str]:
    yield from ("## Record of processing", "")
    yield from _table(
        ("what", "said"),
        [
            ("purpose", found.purpose),
            ("legal basis", f"OPEN: {BASIS_OPEN}"),
            ("transfers to other countries", f"OPEN: {TRANSFERS_OPEN}"),
        ],
    )
    yield from ("### People whose phones these are", "")
    yield from _figures(found.subjects)
    yield from ("### Kinds of data", "")
    yield from _rows(found.categories)
    yield from ("### Recipients", "")
    yield from _rows(found.recipients)
    yield from ("### Storage on this machine", "")
    yield from _paragraph(
        "By the table of what a run leaves; `not covered` is outside the privacy guarantee. The cache of tokenised "
        "text and the file of messages lie elsewhere and were not looked at. Files in the folder that no table names: "
        f"{found.unlisted}."
    )
    yield from _table(
        ("what", "holds", "guarantee", "size", "encrypted", "age, days", "kept"),
        [
            (
                one.what,
                one.holds,
                one.tells,
                size_shown(one),
                "yes" if one.encrypted else "no",
                f"{one.age_days:.1f}",
                time_shown(one),
            )
            for one in found.kept
        ],
    )


def _rows(rows: Sequence[Row]) -> Iterator[str]:
    for one in rows:
        yield f"- **{escaped(one.name)}**: {escaped(one.said)}"
        yield from (f"    - {escaped(each.name)}: {escaped(figure_shown(each))}" for each in one.figures)
    yield ""


def _flows(found: Assessment) -> Iterator[str]:
    yield from ("## The way of the data", "")
    yield from ("`[x]` is on, `[ ]` is off, `[?]` is not known.", "")
    yield from ("```text", *printable(as_text(found.way), "\n").replace("```", "'''").splitlines(), "```", "")


def _safeguards(found: Assessment) -> Iterator[str]:
    yield from ("## Safeguards, and how strong they are", "")
    for one in found.safeguards:
        yield from (f"### {escaped(one.name)}: {one.state}", "")
        if one.why:
            yield from _paragraph(escaped(sentence(one.why)))
        yield from _paragraph(f"Covers: {escaped(one.covers)}. Shown by: {escaped(one.shown_by)}.")
        if one.figures:
            yield from _figures(one.figures)


def _risks(found: Assessment) -> Iterator[str]:
    yield from ("## Residual risks", "")
    bands = ", ".join(f"{name} {least}-{most}" for name, least, most in scale.BANDS)
    yield from _paragraph(f"{sentence(scale.FORMULA)} Bands: {bands}.")
    for heading, levels in (("likelihood", scale.LIKELIHOOD), ("severity", scale.SEVERITY)):
        rows = [(f"{level} {name}", means) for level, (name, means) in levels.items()]
        yield from _table((heading, "means"), rows)
    for one in found.risks:
        yield from (f"### {escaped(one.name)}: {scale.band(one.score)}, {one.score}", "")
        yield f"- Likelihood {one.likelihood.level}: {escaped(one.likelihood.because)}."
        yield f"- Severity {one.severity.level}: {escaped(one.severity.because)}."
        yield f"- Of {one.about}. Safeguards not there: {escaped(found.absent_of(one))}."
        yield ""


def _law(found: Assessment) -> Iterator[str]:
    yield from ("## Which file or command speaks to which provision", "")
    yield from _paragraph(
        "GDPR: Regulation (EU) 2016/679; CCPA: California Civil Code from 1798.100 on. What each is about is told in "
        "short and in other words than the law's; to speak to a provision is not to fulfil it."
    )
    yield from _table(
        ("provision", "about", "answered", "where", "left open"),
        [
            (
                provision_shown(f"{one.law} {one.number}"),
                one.about,
                str(one.answer),
                ", ".join(one.where) or "nowhere",
                one.left,
            )
            for one in found.provisions
        ],
    )
