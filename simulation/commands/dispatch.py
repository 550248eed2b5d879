"""`typefleet SUBCOMMAND`: finds the subcommand and hands it its flags; nothing else is imported."""

import difflib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import PurePath

from simulation.subcommands import PROGRAM, SUBCOMMANDS
from typefleet.errors import ConfigError, expected


def main() -> int:
    """The console script: run the subcommand that the command line names, and return its exit code."""
    from simulation.flags import run_door

    return run_door(lambda: dispatch(sys.argv[1:]))


def dispatch(argv: Sequence[str]) -> int | None:
    """Run a subcommand, or list all of them.

    Raises:
        ConfigError: there is none of that name.
    """
    name, *arguments = argv or ["--help"]
    if name in ("-h", "--help", "--help-all", "help"):
        print(overview())
        return 0
    if name == "--version":
        print(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    if name not in SUBCOMMANDS:
        meant = meant_by(name)
        hint = f"; did you mean {PROGRAM} {meant}?" if meant else ""
        raise ConfigError(expected(PROGRAM, f"a subcommand that {PROGRAM} --help lists", "none of that name") + hint)
    with _called(f"{PROGRAM} {name}", arguments):
        found: int | None = import_module(f"simulation.commands.{SUBCOMMANDS[name].module}").main(arguments)
        return found


@contextmanager
def _called(name: str, arguments: Sequence[str]) -> Iterator[None]:
    """Within, this is what a subcommand's own help calls it, and what printed commands begin with."""
    before = sys.argv
    sys.argv = [name, *arguments]
    try:
        yield
    finally:
        sys.argv = before


def meant_by(name: str) -> str | None:
    """The subcommand that a word which is none comes closest to, by its own name or by that of its script.

    Args:
        name: as it was typed: `simulate`, `scripts/simulate.py` and `fleet-dry-run` are known as scripts are.
    """
    known = {one.module: word for word, one in SUBCOMMANDS.items()}
    known |= {word.replace("-", "_"): word for word in SUBCOMMANDS}
    asked = PurePath(name).name.removesuffix(".py").replace("-", "_").lower()
    close = difflib.get_close_matches(asked, known, n=1, cutoff=0.5)
    return known[close[0]] if close else None


def overview() -> str:
    """Every subcommand in one line, or in two on a narrow terminal."""
    width = max(map(len, SUBCOMMANDS)) + 2
    columns = shutil.get_terminal_size().columns
    lines = [
        textwrap.fill(f"  {name:{width}}{one.about}", columns, subsequent_indent=" " * (width + 2))
        for name, one in SUBCOMMANDS.items()
    ]
    about = "Simulate fleets of phones that learn a keyboard's next-word model together."
    more = f"{PROGRAM} SUBCOMMAND --help tells more; {PROGRAM} --version says which this is."
    filled = (textwrap.fill(text, columns, break_on_hyphens=False) for text in (about, more))
    return "\n".join([f"usage: {PROGRAM} SUBCOMMAND ...", "", next(filled), "", *lines, "", next(filled)])
