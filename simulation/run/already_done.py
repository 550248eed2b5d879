"""A run that is resumed and has nothing left to do: it says so, instead of making everything once more."""

from typing import TextIO

from client_model.tflite.export_folder import FILES, MANIFEST
from simulation.config import RunConfig
from simulation.files import read_json_object
from simulation.run.central import FILE_NAME as CENTRAL
from simulation.run.directory import RunDirectory
from simulation.run.report import where_curves_are
from simulation.subcommands import command
from simulation.tables import Whole, console_for, print_facts
from typefleet.errors import InputError


def has_all_results(directory: RunDirectory, config: RunConfig) -> bool:
    """Whether a run whose rounds are done has also left everything that its settings ask for.

    Args:
        directory: of the run.
        config: its settings.
    """
    root, engine = directory.root, config.engine
    wanted = [root / "participation.json"]  # the last of what every run writes
    wanted += [directory.report] if engine.report else []
    wanted += [root / CENTRAL] if config.evaluation.central else []
    return all(path.exists() for path in wanted) and (not engine.export or _is_exported(directory))


def _is_exported(directory: RunDirectory) -> bool:
    """Whether the files for phones are there, of the weights that the run ended with."""
    try:
        manifest = read_json_object(directory.model / MANIFEST, "the manifest of an export")
        weights = directory.read_summary().weights_sha256
        entries = {name: manifest[name]["weights_sha256"] for name in FILES.values() if name in manifest}
    except (InputError, LookupError, TypeError):
        return False  # it is exported again
    return set(entries.values()) == {weights} and all((directory.model / name).exists() for name in entries)


def print_what_there_is(stream: TextIO, directory: RunDirectory, rounds: int, stopped_early: str | None = None) -> None:
    """Say that the run is finished, and which commands make what of it.

    Args:
        stream: where to.
        directory: of the run.
        rounds: that are completed.
        stopped_early: why it has ended before all of its rounds were; None: it has not.
    """
    root, console = directory.root, console_for(stream)
    done = "1 round is" if rounds == 1 else f"{rounds:,} rounds are"
    console.print(f"{root} is finished: {done} done, and all that was to be written is there")
    rows: list[tuple[str, list[str]]] = [
        *([] if stopped_early is None else [("stopped early", [stopped_early])]),
        *where_curves_are(root),
        ("its report", [Whole(directory.report) if directory.report.exists() else "none"]),
        ("the report again", [Whole(command("scripts/report.py", root))]),
        ("its files again", [Whole(command("scripts/export_model.py", root))]),
        ("its settings anew", [Whole(command("scripts/simulate.py", "--config", directory.config))]),
    ]
    print_facts(console, rows)
