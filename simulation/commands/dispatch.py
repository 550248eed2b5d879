"""`typefleet SUBCOMMAND`: finds the subcommand and hands it its flags; nothing else is imported."""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

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
        close = difflib.get_close_matches(name, SUBCOMMANDS, n=1, cutoff=0.5)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(expected(PROGRAM, f"a subcommand that {PROGRAM} --help lists", "none of that name") + meant)
    sys.argv = [f"{PROGRAM} {name}", *arguments]  # what a subcommand's own help calls it
    found: int | None = import_module(f"simulation.commands.{SUBCOMMANDS[name].module}").main(arguments)
    return found


def overview() -> str:
    """Every subcommand in one line."""
    width = max(map(len, SUBCOMMANDS)) + 2
    lines = [f"  {name:{width}}{one.about}" for name, one in SUBCOMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} SUBCOMMAND ...",
            "",
            "Simulate fleets of phones that learn a keyboard's next-word model together.",
            "",
            *lines,
            "",
            f"{PROGRAM} SUBCOMMAND --help tells more; {PROGRAM} --version says which this is.",
        ]
    )
