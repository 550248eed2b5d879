"""The subcommands of `typefleet`, and how a command is written down for somebody to run it.

Each subcommand is a script of the checkout as well; which of the two a message names depends on what is there.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAM = "typefleet"


class Subcommand(NamedTuple):
    """One of `typefleet`'s."""

    module: str  # in simulation.commands; its script has the same name
    about: str  # in one line


# A subcommand more is a line more here, a module in simulation/commands/ and, for a checkout, a script.
SUBCOMMANDS = {
    "run": Subcommand("simulate", "simulate a fleet of phones that learn a keyboard model together"),
    "sweep": Subcommand("sweep", "try many settings, each over several seeds"),
    "compare": Subcommand("compare_runs", "compare finished runs, with intervals"),
    "report": Subcommand("report", "write the report of a run: one page of all that it came to"),
    "dry-run": Subcommand("fleet_dry_run", "play weeks of rounds of a fleet without training"),
    "budget": Subcommand("privacy_budget", "plan a private run: give what you know, get the rest"),
    "check": Subcommand("check_privacy", "recompute a run's epsilon, and hold its privacy statement to it"),
    "trail": Subcommand("check_trail", "show who gave which command on a run, and check that record"),
    "audit": Subcommand("audit", "attack a run, and hold what comes of it to what it claims"),
    "explain": Subcommand("explain_phone", "tell the owner of a phone what left it"),
    "assess": Subcommand("assess", "write the regulator's file of a run"),
    "audit-data": Subcommand("audit_data", "look at a text before anything is trained on it"),
    "account": Subcommand("account", "show what all runs on an account cost each phone together"),
    "export": Subcommand("export_model", "export a run's model for phones"),
    "sign-off": Subcommand("sign_off", "sign a run for release, in a role"),
    "verify": Subcommand("verify_model", "verify the digests and the signatures of exported files"),
    "publish": Subcommand("publish", "copy out what a run's guarantee covers, and nothing else"),
    "type": Subcommand("type_sentences", "type everyday sentences on an exported keyboard"),
    "demo": Subcommand("keyboard_demo", "type on an exported keyboard, in the browser"),
    "personalise": Subcommand("personalise", "fine-tune held-out phones with the exported training file"),
    "additions": Subcommand("measure_additions", "measure what a person's own words add to the suggestions"),
    "central": Subcommand("compare_central", "train in one place what a run trained on its phones"),
    "mechanisms": Subcommand("compare_mechanisms", "compare the privacy mechanisms at equal epsilon"),
    "fit": Subcommand("fit_fleet", "fit the built-in model of availability to a trace"),
    "population": Subcommand("describe_population", "compare the synthetic population with real messages"),
    "vocabulary": Subcommand("price_vocabulary", "show what it costs to choose words with noise"),
    "less-text": Subcommand("price_minimisation", "show what it costs that phones keep less text"),
    "forgetting": Subcommand("price_forgetting", "show what it costs to forget phones, and what is left without"),
    "phone-noise": Subcommand(
        "measure_distributed_noise", "measure what it costs that phones add the noise themselves"
    ),
    "aggregation": Subcommand("price_aggregation", "show what it costs that the server sees no single update"),
    "cache": Subcommand("show_cache", "show what is kept of files of messages, and empty it"),
    "forget": Subcommand("forget", "take phones out of a run, as if they had never come"),
    "rotate-key": Subcommand("rotate_key", "wrap the keys of encrypted runs by another storage key"),
    "shred": Subcommand("shred", "erase the key of an encrypted run, and the run with it"),
    "retain": Subcommand("retain", "delete what has been kept for as long as a policy says"),
    "keys": Subcommand("make_keys", "make certificates and keys of a deployment, and keys of who signs"),
    "completion": Subcommand("completion", "print a script that completes subcommands and flags in a shell"),
}


def scripts_folder() -> Path | None:
    """`scripts/` of the checkout that this package is imported from; None where it is installed without one.

    `flwr run` imports from a copy of the checkout, which is Flower's and goes away: nobody is sent there.
    """
    folder = Path(__file__).resolve().parents[1] / "scripts"
    is_flowers = folder.is_relative_to(Path(os.environ.get("FLWR_HOME") or Path.home() / ".flwr").resolve() / "apps")
    return folder if (folder / "simulate.py").is_file() and not is_flowers else None


def command(script: str, *arguments: object) -> str:
    """A command line that works in the working directory, whether an environment is activated or not.

    Args:
        script: a script as the checkout has it, `scripts/simulate.py`, or a module to run, `-m tensorboard.main`.
        arguments: what follows; quoted for a shell where need be.

    Returns:
        The script under the Python that runs now; where there is no checkout, or where this process was called by the
        name of `typefleet`, its subcommand.
    """
    given = shlex.join(map(str, arguments))
    return f"{_called(script)} {given}".rstrip()


def _called(script: str) -> str:
    python, name = Path(sys.executable), Path(script).stem
    if not script.startswith("scripts/"):
        return f"{_reached(python)} {script}"
    subcommand = next((word for word, known in SUBCOMMANDS.items() if known.module == name), "")
    if (folder := scripts_folder()) is not None and not (subcommand and _is_program()):
        return f"{_reached(python)} {_shown(folder / f'{name}.py')}"
    installed = python.with_name(PROGRAM)
    return f"{_reached(installed) if installed.exists() else f'{_reached(python)} -m {PROGRAM}'} {subcommand}"


def _is_program() -> bool:
    """Whether this process was called by the name of `typefleet`, and not by that of a script."""
    return " ".join(sys.argv[:1]).startswith(f"{PROGRAM} ")  # as `simulation.commands.dispatch` leaves it


def _reached(program: Path) -> str:
    """By its name if that finds it, else by its path."""
    found = shutil.which(program.name)
    by_name = found is not None and Path(found) == program and not program.is_relative_to(Path.cwd())
    return program.name if by_name else _shown(program)


def _shown(path: Path) -> str:
    """As it is reached from the working directory."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
