"""Print a script with which a shell completes subcommands, flags and their values: typefleet completion bash

    eval "$(typefleet completion bash)"    in ~/.bashrc
    eval "$(typefleet completion zsh)"     in ~/.zshrc, after compinit

The script knows the flags of every kind that is there when it is made, and offers those of the kinds that the command
line chooses; it asks nothing of Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags:
    """Print a script that completes subcommands, flags and values in a shell."""

    shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional]
    """Which; bash takes it by eval "$(typefleet completion bash)"."""


def main(argv: Sequence[str]) -> None:
    """Print the script."""
    print(completion_script(parse_with_tyro(Flags, argv).shell), end="")


def completion_script(shell: str) -> str:
    """What a shell is to read.

    Args:
        shell: `bash` or `zsh`.
    """
    from simulation.commands.completion_options import completed_commands  # which look at every kind
    from simulation.commands.completion_scripts import bash_script, zsh_script

    return (bash_script if shell == "bash" else zsh_script)(completed_commands())
