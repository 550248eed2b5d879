"""Everything that a run's folder can have in it, and which of it is meant to be passed on.

The folder itself can be entered by its owner alone, and so can every folder in it that is private; private files are
readable by their owner alone. What is meant to be passed on is the model's folder and three files, to be copied out: no
label of a phone is in it and no seed, and the privacy statement lists what it has beside the guarantee, which is counts
and means over many phones. What this table does not name is private.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from typefleet.errors import ConfigError, expected
from typefleet.private_files import close_to_others


class Artefact(NamedTuple):
    """A file or a folder directly in a run's folder, with all that is in it."""

    name: str  # or the ending of several
    holds: str
    to_pass_on: bool = False


ARTEFACTS = (
    Artefact("model", "weights, vocabulary and the files for phones, with their cards", to_pass_on=True),
    Artefact("privacy.md", "the privacy statement for people", to_pass_on=True),
    Artefact("privacy.json", "the privacy statement for programs", to_pass_on=True),
    Artefact("privacy_head.json", "the head of the ledger, which a signature is of", to_pass_on=True),
    Artefact("privacy_head.sig", "the signature", to_pass_on=True),
    Artefact("summary.json", "the outcome in numbers", to_pass_on=True),
    Artefact("config.toml", "the settings, and among them the seed, with which the noise can be taken away"),
    Artefact("rounds.jsonl", "exact sums of each round, and labels of phones whose work failed or was rejected"),
    Artefact("report.html", "all that the run came to, as one page, with groups of phones of which some may be small"),
    Artefact("rounds.parquet", "the same as a table"),
    Artefact("privacy_ledger.jsonl", "labels of the phones that took part in each release"),
    Artefact("checkpoints", "the state of the noise, the salt of the labels, how often each phone took part"),
    Artefact("held_out.parquet", "what was counted on each held-out phone"),
    Artefact("participation.json", "who took part, in groups of which some may be small"),
    Artefact("central.json", "what the same model reaches without privacy"),
    Artefact("personalisation.json", "what held-out phones gain, in groups of which some may be small"),
    Artefact("personalisation.png", "a dot for each held-out phone"),
    Artefact("tensorboard", "curves of the exact sums, and the settings"),
    Artefact("mlflow", "the same for MLflow"),
    Artefact("wandb", "the same for Weights & Biases"),
    Artefact(".lock", "the process at work on the run"),
)


def artefact_of(path: PurePosixPath) -> Artefact | None:
    """The row of a path, relative to the run's folder; None if there is none, and it is private."""
    return next((one for one in ARTEFACTS if one.name == path.parts[0]), None)


def is_to_pass_on(path: PurePosixPath) -> bool:
    """Whether a path, relative to the run's folder, is meant for others; a draft never is."""
    found = artefact_of(path)
    return found is not None and found.to_pass_on and not path.name.startswith(".")


def keep_private(root: Path) -> None:
    """Close a run's folder to others, and what is private in it, whoever wrote it with what umask.

    Raises:
        ConfigError: something is open to others, and is not ours to close.
    """
    try:
        close_to_others(root)
        for path in _all_in(root):
            if not is_to_pass_on(PurePosixPath(path.relative_to(root).as_posix())):
                close_to_others(path)
    except OSError as error:
        what = "files that can be kept from others"
        raise ConfigError(expected(root, what, error.strerror or error)) from error


def _all_in(folder: Path) -> Iterator[Path]:
    """Files and folders; links are left alone, and what they lead to."""
    for place, folders, files in os.walk(folder):
        found = (Path(place) / name for name in (*folders, *files))
        yield from (path for path in found if not path.is_symlink())
