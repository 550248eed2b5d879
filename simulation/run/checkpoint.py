"""Durable state of a run: enough to go on bit for bit.

A checkpoint is one .npz: every array of a tree of state, named by its path (`strategy/noise/streams/0/ring_3`), and one
JSON text for the rest. It is written beside and renamed, so a crash leaves either the whole file or none. The zip's
checksums reveal a damaged file; then the one before it is used.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server_strategy.state import State
from simulation.files import write_npz_atomically
from typefleet.errors import ConfigError, MachineError, expected, unwritable

LAYOUT = 2  # of the tree; counts up when a checkpoint of before can no longer be read
_ABOUT, _LAYOUT = "about", "layout"


class CheckpointError(MachineError):
    """No usable checkpoint, or one that cannot be written."""


class Checkpoint(NamedTuple):
    """What was saved."""

    state: State
    about: dict[str, Any]


def save_checkpoint(folder: Path, number: int, state: State, about: dict[str, Any], keep: int) -> Path:
    """Write checkpoint `number` and delete all but the newest `keep`.

    Raises:
        CheckpointError: the disk refused; earlier checkpoints are untouched.
    """
    path = folder / f"checkpoint-{number:06d}.npz"
    text = np.frombuffer(json.dumps({**about, _LAYOUT: LAYOUT}).encode(), np.uint8)
    try:
        write_npz_atomically(path, {_ABOUT: text, **flattened(state)})
    except OSError as error:
        raise CheckpointError(unwritable(path, error)) from error
    for old in sorted(folder.glob("checkpoint-*.npz"))[:-keep]:
        old.unlink()
    return path


def load_newest_checkpoint(folder: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, and a note for each damaged one passed over.

    Raises:
        CheckpointError: there is none.
        ConfigError: it is of another version of Typefleet.
    """
    notes: list[str] = []
    for path in sorted(folder.glob("checkpoint-*.npz"), reverse=True):
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            about = json.loads(arrays.pop(_ABOUT).tobytes()) if _ABOUT in arrays else {}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            notes.append(f"{path} is damaged ({error}); falling back to the one before")
            continue
        if about.pop(_LAYOUT, None) != LAYOUT:
            this_version = "a checkpoint of this version of Typefleet"
            raise ConfigError(expected(path, this_version, "one of another version, which has to finish the run"))
        return Checkpoint(nested(arrays), about), notes
    raise CheckpointError(expected(folder, "a checkpoint", "; ".join(["no usable one", *notes])))


def flattened(state: State, path: str = "") -> dict[str, NDArray[Any]]:
    """Every array of a tree by its path.

    Raises:
        ValueError: a name that would read as two.

    Example:
        >>> list(flattened({"world": {"now_s": np.array(1.5)}}))
        ['world/now_s']
    """
    flat: dict[str, NDArray[Any]] = {}
    for name, value in state.items():
        if "/" in name or not name:
            raise ValueError(expected(f"state {path}", "names without a slash", repr(name)))
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{path}{name}/")
        else:
            flat[f"{path}{name}"] = np.asarray(value)
    return flat


def nested(flat: dict[str, NDArray[Any]]) -> State:
    """Inverse of `flattened`, but for branches without leaves."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *branches, name = path.split("/")
        place = tree
        for branch in branches:
            place = place.setdefault(branch, {})
        place[name] = value
    return tree
