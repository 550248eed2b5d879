"""Print a script with which a shell completes subcommands and flags: typefleet completion bash

    eval "$(typefleet completion bash)"    in ~/.bashrc
    eval "$(typefleet completion zsh)"     in ~/.zshrc, after compinit

The script knows the flags of the default kinds; it asks python3 and imports nothing of Typefleet.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from typing import Annotated, Any, Literal, Union, get_type_hints

import tyro

from simulation.config import RunConfig
from simulation.flags import parse_with_tyro
from simulation.settings import choose
from simulation.subcommands import PROGRAM, SUBCOMMANDS

# What tyro has nothing to say of, such as the folder of a run, is completed as a file.
_FILES_IN_BASH = f"""
_{PROGRAM}() {{
  _tyro_{PROGRAM}
  [[ -n "${{COMPREPLY[*]}}" ]] || COMPREPLY=()
}}
complete -o default -F _{PROGRAM} {PROGRAM}
"""


@dataclass(frozen=True)
class Flags:
    """Print a script that completes subcommands and flags in a shell."""

    shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional]
    """Which; bash takes it by eval "$(typefleet completion bash)"."""


def main(argv: Sequence[str]) -> None:
    """Print the script."""
    print(completion_script(parse_with_tyro(Flags, argv).shell), end="")


def completion_script(shell: str) -> str:
    """What tyro makes of all subcommands at once.

    Args:
        shell: `bash` or `zsh`.
    """
    subcommands: Any = Union[tuple(_annotated(name) for name in SUBCOMMANDS)]  # noqa: UP007  made as it runs
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        tyro.cli(subcommands, prog=PROGRAM, args=["--tyro-print-completion", shell])
    return printed.getvalue() + (_FILES_IN_BASH if shell == "bash" else "")


def _annotated(name: str) -> Any:
    """The flags of a subcommand under its name, with the settings of the default kinds."""
    one = SUBCOMMANDS[name]
    kind = import_module(f"simulation.commands.{one.module}").Flags
    hints = get_type_hints(kind)
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if [hints[field] for field in needed] == [RunConfig]:
        marks = tyro.conf.subcommand(name, description=one.about, default=kind(choose(RunConfig(), {})))
    else:
        marks = tyro.conf.subcommand(name, description=one.about)
    return Annotated[kind, marks]
