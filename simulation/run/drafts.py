"""What a crash leaves in a run's folder that was in the middle of a write, and that a run which goes on removes.

Only drafts of files that a run writes are removed, by the names that `simulation.files` gives them and the export its
folder: what somebody else put there stays, whatever its name begins with. Links are left alone, and what they lead to.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from simulation.run.artefacts import artefact_of
from simulation.run.directory import RunDirectory

_OF_A_FILE = re.compile(r"\.(?P<name>.+)-[0-9a-f]{8}")  # as `write_atomically` names them
_OF_AN_EXPORT = re.compile(r"\.export-[a-z0-9_]{8}")  # as `tempfile` does
_CHECKPOINT = re.compile(r"checkpoint-\d+\.npz")


def drop_drafts(root: Path) -> None:
    """Remove the drafts in a run's folder.

    Raises:
        OSError: one cannot be removed.
    """
    for path in list(drafts_in(root)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def drafts_in(root: Path) -> Iterator[Path]:
    """The drafts in a run's folder: files, and folders of exports.

    Raises:
        OSError: it cannot be read.
    """
    directory = RunDirectory(root)
    for folder in (root, directory.checkpoints, directory.model):
        if folder.is_dir() and (folder == root or not folder.is_symlink()):
            for path in sorted(folder.iterdir()):
                if path.is_symlink():
                    continue
                is_export = folder == directory.model and path.is_dir() and _OF_AN_EXPORT.fullmatch(path.name)
                if is_export or (path.is_file() and _is_draft(path, root)):
                    yield path


def _is_draft(path: Path, root: Path) -> bool:
    """Whether a file is the draft of one that a run writes there."""
    found = _OF_A_FILE.fullmatch(path.name)
    if found is None:
        return False
    of = PurePosixPath(path.with_name(found["name"]).relative_to(root).as_posix())
    if of.parent == PurePosixPath("checkpoints"):
        return _CHECKPOINT.fullmatch(of.name) is not None
    return artefact_of(of) is not None
