"""Durable state of a run: enough to go on bit for bit.

A checkpoint is one .npz: every array of a tree of state, named by its path (`strategy/noise/streams/0/ring_3`), and one
JSON text for the rest. It is written beside and renamed, so a crash leaves either the whole file or none. The zip's
checksums reveal a damaged file, and what its list of arrays says where no list can; then the one before it is used. One
whose bytes are whole and whose content is not a run's is refused. In a run with a storage key it is encrypted
(`simulation.storage`).
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server_strategy.state import State
from simulation.engine.config import KeepCheckpoints
from simulation.files import write_npz_atomically
from simulation.run.kept_checkpoints import to_drop
from simulation.storage.deletion_log import found_gone
from simulation.storage.run_files import opening_of, seal_of
from typefleet.errors import ConfigError, InputError, MachineError, expected, said_by_system, unwritable
from typefleet.untrusted.archives import DirectoryError, RefusedError, read_arrays
from typefleet.untrusted.own_json import parse_json, require_object

_LOG = logging.getLogger("typefleet")
LAYOUT = 2  # of the tree; counts up when a checkpoint of before can no longer be read
_ABOUT, _LAYOUT = "about", "layout"
_BEFORE_IT = "falling back to the one before"
_NAME = re.compile(r"checkpoint-(\d{6,})\.npz")
GIVEN_UP = "given_up"  # among what a run began with: nobody may go on with it


class CheckpointError(MachineError):
    """No usable checkpoint, or one that cannot be written."""


class Checkpoint(NamedTuple):
    """What was saved, and where."""

    state: State
    about: dict[str, Any]
    path: Path


@dataclass
class RunTotals:
    """Sums over the run so far; part of every checkpoint."""

    server_round: int = 0
    rounds_completed: int = 0
    rounds_abandoned: int = 0
    devices_trained: int = 0
    tokens_trained: int = 0
    wall_seconds: float = 0.0
    train_wall_seconds: float = 0.0
    stopped_early: str | None = None  # why, if before all rounds were completed

    def is_over(self, rounds: int) -> bool:
        """Whether all of so many rounds are completed, or no further one may be."""
        return self.stopped_early is not None or self.rounds_completed >= rounds


def save_checkpoint(folder: Path, number: int, state: State, about: dict[str, Any], keep: KeepCheckpoints) -> Path:
    """Write checkpoint `number` and delete those that are not to be kept.

    Args:
        folder: of the checkpoints.
        number: of rounds, abandoned ones too, after which it is.
        state, about: what it holds.
        keep: see `kept_checkpoints`.

    Raises:
        CheckpointError: the disk refused; earlier checkpoints are untouched.
    """
    path = _write(path_of(folder, number), state, about)
    there = numbered(folder)
    for old in to_drop(list(there), keep):
        there[old].unlink()
    return path


def path_of(folder: Path, number: int) -> Path:
    """Of the checkpoint after so many rounds."""
    return folder / f"checkpoint-{number:06d}.npz"


def numbered(folder: Path) -> dict[int, Path]:
    """Every checkpoint by the number of rounds after which it is, in order."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*.npz"))
    return dict(sorted((int(name[1]), path) for name, path in found if name is not None))


def rewrite_earlier(folder: Path, number: int, rewritten: Callable[[State], State]) -> None:
    """Write each checkpoint before `number` again with another state; a damaged one, which may hold anything, goes.

    Args:
        folder: of the checkpoints.
        number: of the first that stays as it is.
        rewritten: what is kept of a state.

    Raises:
        CheckpointError: the disk refused, or one holds something else.
        ConfigError: one is of another version of Typefleet; or the run is encrypted, and its key is gone or another.
    """
    for earlier, path in numbered(folder).items():
        if earlier >= number:
            continue
        stored = _load(path)
        if isinstance(stored, Checkpoint):
            _write(path, rewritten(stored.state), stored.about)
        else:
            path.unlink()


def _write(path: Path, state: State, about: dict[str, Any]) -> Path:
    text = np.frombuffer(json.dumps({**about, _LAYOUT: LAYOUT}).encode(), np.uint8)
    try:
        arrays = {_ABOUT: text, **flattened(state)}
        write_npz_atomically(path, arrays, private=True, seal=seal_of(path.parent.parent, path))
    except OSError as error:
        raise CheckpointError(unwritable(path, error)) from error
    return path


def load_newest_checkpoint(
    folder: Path, usable: Callable[[Checkpoint], bool] | None = None
) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, and a note for each damaged one passed over.

    Args:
        folder: of the checkpoints.
        usable: says of one that is whole whether it will do; None: each does.

    Raises:
        CheckpointError: there is none, or the newest that is whole holds something else.
        ConfigError: it is of another version of Typefleet; or the run is encrypted, and its key is gone or another.
    """
    damaged: list[str] = []
    for path in reversed(numbered(folder).values()):
        stored = _load(path)
        if not isinstance(stored, Checkpoint):
            damaged.append(stored)
        elif usable is None or usable(stored):
            return stored, [f"{what}; {_BEFORE_IT}" for what in damaged]
    raise _no_checkpoint(folder, damaged)


def whole_checkpoint(path: Path) -> Checkpoint | None:
    """What a file holds; None if it is damaged. See `load_newest_checkpoint` for what is raised."""
    stored = _load(path)
    return stored if isinstance(stored, Checkpoint) else None


def _load(path: Path) -> Checkpoint | str:
    """What a file holds, or in what way it is damaged.

    Raises:
        CheckpointError: it is whole and holds something else.
        ConfigError: it is of another version of Typefleet; or the run is encrypted, and its key is gone or another.
    """
    opened = opening_of(path.parent.parent, path)
    try:
        arrays = read_arrays(path, "a checkpoint", opened=opened)
        about = _about_of(path, arrays.pop(_ABOUT)) if _ABOUT in arrays else {}
        state = nested(arrays)
    except InputError as error:
        return _damage(path, error)
    if about.pop(_LAYOUT, None) != LAYOUT:
        raise _other_version(path)
    return Checkpoint(state, about, path)


def _damage(path: Path, error: InputError) -> str:
    """In which way a file is damaged that could not be read.

    Raises:
        CheckpointError: it is whole and holds something else.
    """
    cause = error.__cause__
    if isinstance(cause, RefusedError) and not isinstance(cause, DirectoryError):
        raise CheckpointError(str(error)) from error
    if isinstance(cause, OSError) and cause.strerror:
        return f"{path} is damaged or cannot be read ({said_by_system(cause)})"
    return f"{path} is damaged: cut short, changed, or no checkpoint at all"


def newest_about(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint that is whole says of its run, without the arrays, which may take gigabytes.

    A damaged one is passed over for the one before, as where a run goes on, and a warning says so.

    Raises:
        CheckpointError: there is none, or the newest that is whole holds something else.
        ConfigError: it is of another version; or the run is encrypted, and its key is gone or another.
    """
    damaged: list[str] = []
    for path in reversed(numbered(folder).values()):
        opened = opening_of(folder.parent, path)
        try:
            text = read_arrays(path, "a checkpoint", only=(_ABOUT,), opened=opened).get(_ABOUT)
            about = {} if text is None else _about_of(path, text)
        except InputError as error:
            damaged.append(_damage(path, error))
            continue
        if text is None:
            raise _other_version(path)
        for what in damaged:
            _LOG.warning("%s; %s", what, _BEFORE_IT)
        return about
    raise _no_checkpoint(folder, damaged)


def _other_version(path: Path) -> ConfigError:
    this_version = "a checkpoint of this version of Typefleet"
    return ConfigError(expected(path, this_version, "one of another version, which has to finish the run"))


def _no_checkpoint(folder: Path, damaged: Sequence[str] = ()) -> CheckpointError:
    found = "; ".join(["no usable one", *damaged]) if damaged else found_gone(folder.parent, f"{folder.name}/")
    return CheckpointError(expected(folder, "a checkpoint", found))


def _about_of(path: Path, text: NDArray[Any]) -> dict[str, Any]:
    """What a checkpoint says beside its arrays."""
    what = "a checkpoint"
    return require_object(parse_json(text.tobytes(), path, what), path, what)


def totals_of(stored: Checkpoint) -> RunTotals:
    """The sums over the run that a checkpoint has.

    Raises:
        CheckpointError: it has none, or others.
    """
    values = part_of(stored, "totals", dict)
    for f in fields(RunTotals):
        kinds = (str, type(None)) if f.default is None else (int, type(f.default))
        value = values.get(f.name, f.default)
        if (
            not isinstance(value, kinds)
            or isinstance(value, bool)
            or (isinstance(value, int | float) and not value >= 0)
        ):
            raise CheckpointError(expected(stored.path, f"the total {f.name}", "another value"))
    if not values.keys() <= {f.name for f in fields(RunTotals)}:
        raise CheckpointError(expected(stored.path, "the totals of a run", "one that no run has"))
    return RunTotals(**values)


def part_of(stored: Checkpoint, name: str, kind: type) -> Any:
    """What a checkpoint says beside the arrays.

    Raises:
        CheckpointError: nothing under this name, or something else.
    """
    if not isinstance(stored.about.get(name), kind):
        found = "another value" if name in stored.about else "none"
        raise CheckpointError(expected(stored.path, f"the {name} of a run", found))
    return stored.about[name]


def require_shapes(stored: Checkpoint, fresh: State) -> None:
    """Hold arrays of a checkpoint to those of a run that begins.

    Args:
        stored: the checkpoint; it may have further arrays.
        fresh: arrays of the sizes that it must have.

    Raises:
        CheckpointError: one is missing, of another size, or of no numbers.
    """
    there = flattened(stored.state)
    for name, array in flattened(fresh).items():
        found = there.get(name)
        if found is None or found.shape != array.shape or found.dtype.kind not in "biuf":
            what = "none" if found is None else f"one of shape {found.shape} and type {found.dtype}"
            raise CheckpointError(expected(stored.path, f"{name} of shape {array.shape}", what))


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
    """Inverse of `flattened`, but for branches without leaves.

    Raises:
        ConfigError: a name stands for an array and for a branch.
    """
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *places, name = path.split("/")
        place = tree
        for inner in places:
            place = place.setdefault(inner, {})
            if not isinstance(place, dict):
                raise ConfigError(expected("state", "a name for each array", "one that is a branch as well"))
        if name in place:
            raise ConfigError(expected("state", "a name for each array", "one that is a branch as well"))
        place[name] = value
    return tree
