"""An assessment on the terminal, as a page, and in its three files."""

import json
import textwrap
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from simulation.files import clear_drafts, write_text_atomically
from simulation.run.lock import only_writer
from simulation.studies.assessment import markdown, scale, words
from simulation.studies.assessment.assessment import BASIS_OPEN, NOTICE, SIMULATION, TRANSFERS_OPEN, Assessment
from simulation.studies.assessment.drawing import as_svg
from simulation.studies.assessment.parts import Risk
from simulation.studies.pages import render
from simulation.tables import print_named, print_table
from typefleet.errors import ConfigError, unwritable

PAGE, TEXT, FIGURES = "assessment.html", "assessment.md", "assessment.json"
_SCORES = 27  # columns of the table of risks beside their names


def page_of(found: Assessment) -> str:
    """The page, as HTML; it needs nothing else, and runs no script.

    Args:
        found: what is said of the run.
    """
    return render(
        "assessment.html",
        found=found,
        notice=NOTICE,
        simulation=SIMULATION,
        basis=BASIS_OPEN,
        transfers=TRANSFERS_OPEN,
        drawing=as_svg(found.way),
        scale=scale,
        words=words,
    )


def write_assessment(folder: Path, found: Assessment) -> list[Path]:
    """Write all three files, each whole or not at all; their owner alone reads them.

    Args:
        folder: of a run, which nobody else may be writing to, or any; made if it is not there.
        found: what is said of the run.

    Raises:
        ConfigError: one cannot be written.
        RunInUseError: a process is working on the run.
    """
    contents = {
        TEXT: markdown.page(found),
        PAGE: page_of(found),
        FIGURES: json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(folder) if (folder / "config.toml").is_file() else nullcontext():
            for name, content in contents.items():
                clear_drafts(folder / name)
                write_text_atomically(folder / name, content, private=True)
    except OSError as error:
        raise ConfigError(unwritable(folder, error)) from error
    return [folder / name for name in contents]


def print_assessment(console: Console, found: Assessment) -> None:
    """What is to be decided first, then the risks and what is not there.

    Args:
        console: where to.
        found: what is said of the run.
    """
    print_named(console, NOTICE)
    console.print(f"\n{len(found.decisions)} decisions are open")
    for decision in found.decisions:
        _print_item(console, f"{decision.question} ({decision.by})")
    room = max(console.width - _SCORES, 20)
    rows = [("\n".join(textwrap.wrap(one.name, room)), _product(one), scale.band(one.score)) for one in found.risks]
    print_table(console, ("residual risk", "score", ""), rows, left=(0, 2))
    print_named(console, words.sentence(scale.FORMULA))
    console.print(f"\n{len(found.absent)} of {len(found.safeguards)} safeguards are not there")
    for one in found.absent:
        _print_item(console, f"{one.name}: {one.why}")
    console.print()


def _product(one: Risk) -> str:
    return f"{one.likelihood.level} x {one.severity.level} = {one.score:>2}"


def _print_item(console: Console, text: str) -> None:
    lines = textwrap.wrap(text, max(console.width - 4, 20), break_long_words=False, break_on_hyphens=False)
    console.print("\n".join(f"{'    ' if at else '  - '}{line}" for at, line in enumerate(lines)), soft_wrap=True)
