"""Durable state of a run: enough to go on bit for bit.

A checkpoint is one .npz (arrays, and one JSON text for the rest), written beside and renamed, so a
crash leaves either the whole file or none. The zip's checksums reveal a damaged file; then the one
before it is used.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_ABOUT = "about_json"


class CheckpointError(ValueError):
    """No usable checkpoint, or one that cannot be written."""


class Checkpoint(NamedTuple):
    """What was saved."""

    arrays: dict[str, NDArray]
    about: dict[str, Any]


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)  # it is there only if something failed
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text_atomically(path: Path, text: str) -> None:
    """`write_atomically` for text."""

    def write(file: IO[bytes]) -> None:
        file.write(text.encode("utf-8"))

    write_atomically(path, write)


def write_npz_atomically(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """`write_atomically` for arrays.

    They are put together in memory: numpy's zip file, left half-written by a full disk, complains about
    it once more when it is collected.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)

    def write(file: IO[bytes]) -> None:
        file.write(content.getbuffer())

    write_atomically(path, write)


def save_checkpoint(folder: Path, number: int, arrays: Mapping[str, NDArray], about: dict[str, Any], keep: int) -> Path:
    """Write checkpoint `number` and delete all but the newest `keep`.

    Raises:
        CheckpointError: the disk refused; earlier checkpoints are untouched.
    """
    path = folder / f"checkpoint-{number:06d}.npz"
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    try:
        write_npz_atomically(path, {_ABOUT: text, **arrays})
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write the checkpoint: {error.strerror or error}") from error
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
    tried = f"; {'; '.join(notes)}" if notes else ""
    raise CheckpointError(f"{folder}: expected a checkpoint, found no usable one{tried}")
