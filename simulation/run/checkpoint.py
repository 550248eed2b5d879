"""Durable state of a run: enough to go on bit for bit.

A checkpoint is one .npz (arrays, and one JSON text for the rest), written beside and renamed, so a
crash leaves either the whole file or none. The zip's checksums reveal a damaged file; then the one
before it is used.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.files import write_npz_atomically
from typefleet.errors import MachineError, expected, unwritable

_ABOUT = "about_json"


class CheckpointError(MachineError):
    """No usable checkpoint, or one that cannot be written."""


class Checkpoint(NamedTuple):
    """What a run goes on from, as it was saved after a round."""

    arrays: dict[str, NDArray[Any]]  # weights and the state of the strategy, by name
    about: dict[str, Any]  # what JSON can hold: rounds, totals, time


def save_checkpoint(
    folder: Path, number: int, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any], keep: int
) -> Path:
    """Write checkpoint `number` and delete all but the newest `keep`.

    Raises:
        CheckpointError: the disk refused; earlier checkpoints are untouched.
    """
    path = folder / f"checkpoint-{number:06d}.npz"
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    try:
        write_npz_atomically(path, {_ABOUT: text, **arrays})
    except OSError as error:
        raise CheckpointError(unwritable(path, error)) from error
    for old in sorted(folder.glob("checkpoint-*.npz"))[:-keep]:
        old.unlink()
    return path


def load_newest_checkpoint(folder: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, and a note for each damaged one passed over.

    Raises:
        CheckpointError: there is none.
    """
    notes: list[str] = []
    for path in sorted(folder.glob("checkpoint-*.npz"), reverse=True):
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            about = json.loads(arrays.pop(_ABOUT).tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            notes.append(f"{path} is damaged ({error}); falling back to the one before")
            continue
        return Checkpoint(arrays, about), notes
    raise CheckpointError(expected(folder, "a checkpoint", "; ".join(["no usable one", *notes])))
