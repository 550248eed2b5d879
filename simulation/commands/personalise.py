"""Fine-tune held-out phones with the exported training file: python scripts/personalise.py RUN_DIR

Each phone learns from the older part of its messages and is measured on the newer part, before and after. Prints
who gains and who loses by text volume, and writes personalisation.json and personalisation.png into the run's
folder. The run must have been exported with scripts/export_model.py.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import annotated_types as at

from client_model.config import FineTuning
from client_model.quiet import import_tensorflow_quietly
from simulation.commands.run_folder import OfExportedRun, held
from simulation.flags import parse_with_tyro
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected
from typefleet.steps import each


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Fine-tune held-out phones with the exported training file.

    Gains have intervals over the phones, by the bootstrap. There are no seeds to repeat it with, since no run is made:
    personalise runs of several seeds for that.
    """

    phones: Annotated[int, at.Ge(1)] = 200
    """How many held-out phones at most."""
    most_messages: Annotated[int, at.Ge(5)] = 500
    """Of each phone, its newest ones."""
    fine_tuning: FineTuning = field(default_factory=FineTuning)


def main(argv: Sequence[str]) -> None:
    """Personalise held-out phones; print what each group gained and write it beside the run."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.run.forgotten import require_nothing_pending

    require_nothing_pending(flags.run_dir, "to personalise")
    import_tensorflow_quietly()
    from client_model.tflite.personalisation import FEWEST_MESSAGES
    from simulation.studies import personalisation as report

    console = console_for(sys.stdout)
    run = report.open_exported_run(flags.run_dir)
    played = report.play(run, flags.fine_tuning, flags.phones, flags.most_messages)
    outcomes = list(each("personalising", played, min(flags.phones, len(run.phones))))
    if not (done := [outcome for outcome in outcomes if outcome is not None]):
        agrees = "" if run.without_consent is None else ", whose owner agrees to personalisation"
        what = f"a held-out phone with {FEWEST_MESSAGES} messages or more{agrees}"
        raise ConfigError(expected(flags.run_dir, what, "none"))
    metrics = run.prepared.metrics
    report.print_groups(console, report.summarise(done, metrics), metrics)
    left_out = len(outcomes) - len(done)
    console.print(f"{left_out} of {len(outcomes)} phones have too little text and are left out.")
    if run.without_consent is not None:
        of_all = len(run.prepared.held_out_phones)
        console.print(f"{run.without_consent} of {of_all} phones are left alone: no consent to personalisation.")
    with held(flags.run_dir):
        written = report.write_outcomes(
            flags.run_dir, done, left_out, flags.fine_tuning, metrics, without_consent=run.without_consent
        )
    for path in written:
        console.print(str(path))
