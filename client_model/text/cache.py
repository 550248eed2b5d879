"""The cache of tokenised files: private, whole or not there, checked when it is used, and gone after a while.

An entry is a folder, named by what its content depends on. It is written as a draft, then renamed, so that another
process sees all of it or nothing. Whoever writes or reads one holds a lock on a file in it, which the kernel releases
however the process ends: what nobody holds may be removed, and so may the draft that a killed process left.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from typefleet.errors import ConfigError, expected
from typefleet.private_files import make_private_folder
from typefleet.sealed.envelope import ENVELOPE, shred

LONGEST_UNUSED_DAYS = 30.0
MOST_BYTES = 10 * 10**9

ABOUT, SEAL = "about.json", "sha256.json"
_UNSEALED = {SEAL, ENVELOPE}  # what is not among the digests: their file, and a key that may be wrapped anew
_ARRAYS = {f"{name}.npy" for name in ("types", "message_offsets", "first_message", "digests", "times_s")}
_FILES = {*_ARRAYS, "lexicon.txt", ABOUT, *_UNSEALED}
# Whoever names a folder of their own as the cache keeps all else that is in it.
_ENTRY, _DRAFT = re.compile(r"[0-9a-f]{32}-.*\d"), re.compile(r"\.draft-[a-z0-9_]{8}")
_DRAFT_BEGINS_S = 3600.0  # until then, one without a lock may be about to have it
_DAY_S = 86400.0
_ONE_OF_OURS = "the folder of a run or of a tokenised file"

Write = Callable[[IO[bytes]], None]


class EntryInUseError(ConfigError):
    """A process reads or writes an entry."""


class NoEntryError(ConfigError):
    """There is no such entry, or none that a process could hold."""


@dataclass(frozen=True)
class Entry:
    """One tokenised file in the cache."""

    path: Path
    size_bytes: int
    unused_s: float  # since it was last used
    files: int

    @property
    def is_draft(self) -> bool:
        """Whether it is the beginning of one, which a process is writing or has left."""
        return self.path.name.startswith(".")


def cache_root(cache_dir: Path | None) -> Path:
    """The folder of all entries: the one that is set, or typefleet/ in the user's cache folder."""
    return cache_dir or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "typefleet"


def whose_else(root: Path) -> str | None:
    """Who else could put an entry of their own into a cache, and have it trained on; None: nobody, or it is not there.

    Args:
        root: of the cache.
    """
    try:
        about = root.stat()
    except OSError:  # said when it is read or written
        return None
    if about.st_uid != os.geteuid():
        return "one of another user"
    return "one that everybody may write into" if about.st_mode & stat.S_IWOTH else None


def is_entry_name(name: str) -> bool:
    """Whether a folder in a cache is by its name an entry, or the draft of one."""
    return bool(_ENTRY.fullmatch(name) or _DRAFT.fullmatch(name))


def write_entry(folder: Path, files: Mapping[str, Write], about: Mapping[str, int]) -> None:
    """Write an entry beside its place, then put it there, unless another process was first.

    Args:
        folder: its place.
        files: what writes each of its files, by name.
        about: what else is to be known.

    Raises:
        OSError: it cannot be written.
    """
    if not folder.parent.exists():
        make_private_folder(folder.parent)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))  # of mode 0700
    try:
        with (draft / ABOUT).open("xb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.write(json.dumps(about).encode())
            held.flush()
            for name, write in files.items():
                with (draft / name).open("xb") as file:
                    write(file)
            seal(draft)
            try:
                draft.rename(folder)
            except OSError:
                if not folder.exists():  # else another process was first, with the same content
                    raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def seal(folder: Path) -> None:
    """Note the digest of every file of an entry, and make each its owner's alone."""
    digests = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name not in _UNSEALED}
    (folder / SEAL).write_text(json.dumps(digests))
    for path in folder.iterdir():
        path.chmod(0o600)


def is_whole(folder: Path) -> bool:
    """Whether every file of an entry is the one that was written."""
    try:
        digests = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        return bool({path.name: _sha256(path) for path in folder.iterdir() if path.name not in _UNSEALED} == digests)
    except (OSError, ValueError, RecursionError):  # no seal, or none that anybody wrote
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hold(folder: Path) -> IO[bytes]:
    """Keep an entry from being removed until the file that this gives is closed.

    Raises:
        OSError: there is no such entry.
    """
    file = (folder / ABOUT).open("rb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def note_use(folder: Path) -> None:
    """Let the time from which an entry is unused begin anew."""
    try:
        os.utime(folder)
    except PermissionError:
        return  # a cache that others keep, to read from only


def entries(root: Path) -> Iterator[Entry]:
    """What a cache has, drafts among it; nothing that is not an entry of ours.

    Raises:
        OSError: the folder cannot be read.
    """
    now, own = time.time(), os.geteuid()
    for path in sorted(root.iterdir()) if root.exists() else ():
        if not is_entry_name(path.name) or path.is_symlink():
            continue
        try:
            state = path.stat()
            if not path.is_dir() or state.st_uid != own:
                continue
            files = list(path.iterdir())
            if {file.name for file in files} <= _FILES:
                size_bytes = sum(file.stat().st_size for file in files)
                yield Entry(path, size_bytes, now - state.st_mtime, len(files))
        except FileNotFoundError:
            continue  # another process has just removed it, or put it into its place


def expire(root: Path, in_need: Path) -> None:
    """Remove what was unused for long, and what was unused longest where all of it is too much.

    Args:
        root: of the cache.
        in_need: an entry that stays.

    Raises:
        OSError: the folder cannot be read.
    """
    total = 0
    for entry in sorted(entries(root), key=lambda one: one.unused_s):
        total += entry.size_bytes
        too_old = entry.unused_s > LONGEST_UNUSED_DAYS * _DAY_S
        if entry.path != in_need and (too_old or total > MOST_BYTES or entry.is_draft) and remove(entry):
            total -= entry.size_bytes


def remove(entry: Entry) -> bool:
    """Remove an entry that no process writes or reads.

    Returns:
        Whether it is gone.
    """
    try:
        with (entry.path / ABOUT).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            take_away(entry.path)
    except FileNotFoundError:
        if entry.is_draft and entry.unused_s < _DRAFT_BEGINS_S:
            return False
        take_away(entry.path)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Keep others from reading an entry while something of it is replaced.

    Raises:
        EntryInUseError: a process reads it.
        NoEntryError: it is none, or has just gone.
    """
    with ExitStack() as held:
        try:
            file = held.enter_context((folder / ABOUT).open("r+b"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_it = os.path.samestat(os.fstat(file.fileno()), (folder / ABOUT).stat())
        except BlockingIOError as error:
            raise EntryInUseError(expected(folder, "a tokenised file that no process reads", "one at it")) from error
        except FileNotFoundError as error:
            raise NoEntryError(expected(folder, _ONE_OF_OURS, "another")) from error
        if not is_it:  # taken away, and made anew, between the two
            raise EntryInUseError(expected(folder, "a tokenised file that no process reads", "a new one"))
        yield


def take_away(folder: Path) -> None:
    """Remove an entry at once, in use or not: who has mapped it into memory keeps that.

    Of one that is encrypted the key is erased before its files, so that no copy of them can be read.

    Raises:
        OSError: it cannot be removed.
    """
    grave = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
    try:
        shred(folder)  # first, so that a kill leaves no copy that can be read; who opens it now finds it erased
        folder.rename(grave)  # which is empty; so nobody sees a part of it
    except FileNotFoundError:
        pass  # gone already
    finally:
        shutil.rmtree(grave, ignore_errors=True)
