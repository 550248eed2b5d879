"""What lies in a sweep's folder: its settings, what it asks, runs that are finished and what they reach."""

import json
from pathlib import Path

from simulation.files import read_json_object, write_text_atomically
from simulation.flags import read_config, result_settings
from simulation.run.directory import check_output_dir
from simulation.studies.sweeps.study_file import Setting, Study
from typefleet.errors import ConfigError, expected, unwritable

BASE, _STUDY = "settings.toml", "study.json"
CONFIRMATION, TRIALS = "confirmation", "trials"
CHOSEN, UNCHANGED = "chosen", "unchanged"  # in the confirmation
HELD_OUT = {"evaluation__people": "held-out"}


def is_sweep(folder: Path) -> bool:
    """Whether a sweep was begun in a folder."""
    return (folder / _STUDY).is_file()


def is_of(folder: Path, study: Study, setting: Setting) -> bool:
    """Whether the runs of a folder in `confirmation/` are of a setting; of every one where nothing was begun.

    Args:
        folder: of the runs.
        study: what the sweep asks.
        setting: values of what is searched over.
    """
    written = settings_of(folder / "seed-0")
    if not written.exists():
        return True
    wanted = study.config_of(setting, folder.parents[1] / BASE, 0, **HELD_OUT)
    return result_settings(read_config(written, begun=True)) == result_settings(wanted)


def settings_of(run: Path) -> Path:
    """The file of a run's settings, under a name that is not taken for a run's."""
    return run.with_name(f"settings-of-{run.name}.toml")


def is_finished(run: Path) -> bool:
    """Whether a folder has a run that has ended by itself."""
    return (run / "participation.json").exists()  # which a run writes last


def value_of(run: Path, metric: str) -> float:
    """What a finished run reaches.

    Raises:
        ConfigError: it has no number of that name.
    """
    found = read_json_object(run / "summary.json", "the outcome of a finished run").get(metric)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ConfigError(expected("metric", "a number in the summary of every run", f"none named {metric}"))
    return float(found)


def check_settings(folder: Path, study: Study) -> None:
    """Make the folder, or hold what is in it to the study; a grid is tried whole before anything is run.

    Raises:
        ConfigError: it has another sweep or something else, cannot be written, or settings do not go together.
    """
    described = study.digestible
    if (folder / _STUDY).exists():
        before = read_json_object(folder / _STUDY, "what a sweep asks")
        if before != described:
            raise ConfigError(
                expected("--output-dir", "a new folder, or one of this sweep", f"another one in {folder}")
            )
    else:
        check_output_dir(folder)
    is_there_already = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        study.write_settings(folder / BASE)
        try:
            for setting in ({}, *(study.grid() if study.options.method == "grid" else (study.first(),))):
                study.config_of(setting, folder / BASE, 0)
        except ConfigError:
            if not (folder / _STUDY).exists():
                (folder / BASE).unlink()
                if not is_there_already:
                    folder.rmdir()
            raise
        write_text_atomically(folder / _STUDY, json.dumps(described, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(unwritable(f"--output-dir: {folder}", error)) from error
