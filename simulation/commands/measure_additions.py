"""Measure what a person's own words add to a model's suggestions: python scripts/measure_additions.py RUN_DIR

Types the newest messages of people held out, each with what the phone remembers of that person's earlier ones, on the
exported file in 8 bits. `--among training` takes people who train instead, to choose settings by.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import annotated_types as at

from client_model.suggestions.personal_words import PersonalSettings
from simulation.commands.run_folder import OfExportedRun
from simulation.flags import parse_with_tyro, read_config
from simulation.tables import console_for
from typefleet.steps import each


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Measure what a person's own words add to a model's suggestions.

    Gains have intervals over the people, by the bootstrap. There are no seeds to repeat it with, since typing draws
    nothing: measure runs of several seeds for that.
    """

    people: Annotated[int, at.Ge(2)] = 200
    """How many at most."""
    newest: Annotated[int, at.Ge(1)] = 40
    """Messages of each that are typed; those before are remembered."""
    among: Literal["held-out", "training"] = "held-out"
    """Whose messages."""
    personal: PersonalSettings = field(default_factory=PersonalSettings)


def main(argv: Sequence[str]) -> None:
    """Type, and print one table."""
    flags = parse_with_tyro(Flags, argv)
    from client_model.tflite.export_folder import FILES
    from client_model.tflite.interpreter import FileSteps, open_interpreter
    from simulation.device.keyboard_server import open_model
    from simulation.run.preparation import prepare
    from simulation.studies.additions import measure, messages_of, print_measured

    file = open_model(flags.run_dir).files[FILES["int8"]]
    prepared = prepare(read_config(flags.run_dir / "config.toml", begun=True), of_run=flags.run_dir)
    phones = prepared.people_to_score if flags.among == "held-out" else prepared.training_phones
    chosen = each("typing", phones[: flags.people].tolist(), len(phones[: flags.people]))
    people = (messages_of(prepared.population, phone) for phone in chosen)
    steps = FileSteps(open_interpreter(file))
    measured = measure(steps, prepared.vocabulary, people, flags.personal, flags.newest)
    console = console_for(sys.stdout)
    console.print(f"{len(measured.words)} people, {flags.among}")
    print_measured(console, measured)
