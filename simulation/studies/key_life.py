"""Keys of runs and of the cache, wrapped by another storage key, or erased."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TextIO

from client_model.text.cache import held_alone, is_entry_name, take_away
from simulation.files import write_bytes_atomically
from simulation.run.lock import only_writer
from simulation.storage.deletion_log import Deletion, record_deletion
from simulation.studies.retention import is_finished
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected, said_by_system, unwritable
from typefleet.sealed.chunks import is_sealed
from typefleet.sealed.envelope import ENVELOPE, is_encrypted, needed_by, shred, wrapped_anew

_WHAT = "the folder of an encrypted run, or a cache with encrypted files"


class Sealed(NamedTuple):
    """What is encrypted with one key."""

    folder: Path
    files: int
    bytes: int


def encrypted_in(folder: Path) -> list[Path]:
    """The folder itself if it has a key, else the entries of a cache that have one; never the runs below a folder.

    Raises:
        ConfigError: neither.
    """
    if is_encrypted(folder):
        return [folder]
    try:
        found = sorted(path for path in folder.iterdir() if not path.is_symlink() and is_encrypted(path))
    except OSError as error:
        raise ConfigError(expected(folder, _WHAT, said_by_system(error))) from error
    in_cache = [path for path in found if is_entry_name(path.name) and not _is_run(path)]
    if not in_cache:
        other = "a folder above such; name each of them" if found else "nothing that is encrypted"
        raise ConfigError(expected(folder, _WHAT, other))
    return in_cache


def _all_encrypted_in(folders: Sequence[Path]) -> list[Path]:
    if not folders:
        raise ConfigError(expected("FOLDER", _WHAT, "none"))
    once: dict[Path, Path] = {}
    for folder in folders:
        for one in encrypted_in(folder):
            once.setdefault(one.resolve(), one)  # what is named twice is one
    return list(once.values())


def rotate(folders: Sequence[Path], new_place: str, old_place: str | None = None) -> list[Path]:
    """Wrap keys by another storage key; nothing that is encrypted is written again.

    All keys are opened before the first is written. Each is then replaced whole or not at all: after a crash, or where
    one cannot be written, some are wrapped by the new key and the others by the old one; to ask again does the rest.

    Args:
        folders: of runs and caches.
        new_place: of the storage key that wraps them from now on.
        old_place: of the one that did; None: where each says that it is.

    Returns:
        The folders whose keys were wrapped.

    Raises:
        ConfigError: a folder has no key, a key is missing or another, or cannot be written.
        RunInUseError: a process is working on one.
    """
    found = _all_encrypted_in(folders)
    with ExitStack() as held:
        for folder in found:
            held.enter_context(_held(folder))
        new = [(folder / ENVELOPE, wrapped_anew(folder, new_place, old_place)[0]) for folder in found]
        for path, content in new:
            try:
                write_bytes_atomically(path, content, private=True)
            except OSError as error:
                raise ConfigError(unwritable(path, error)) from error
    return found


def sealed_with(folder: Path) -> Sealed:
    """What goes with the key of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    sealed = [path for path in files if is_sealed(path)]
    return Sealed(folder, len(sealed), sum(path.stat().st_size for path in sealed))


def erase_key(folder: Path) -> Sealed:
    """Erase the key of a run or of an entry of the cache, for good.

    Of a run, its log says so, and its files stay; an entry of the cache is removed.

    Raises:
        ConfigError: it has none, or it cannot be erased.
        RunInUseError: a process is working on it.
    """
    with _held(folder):
        if not is_encrypted(folder):  # erased since it was looked at: the log says so already
            raise ConfigError(expected(folder / ENVELOPE, "the wrapped key of what is encrypted here", "none"))
        going, is_run = sealed_with(folder), _is_run(folder)
        if is_run:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}"
            record_deletion(
                folder,
                Deletion(now, ENVELOPE, "key", going.files, going.bytes, keep_days=None, age_days=0.0, key_erased=True),
            )
        shred(folder)
        if not is_run:
            take_away(folder)
    return going


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    with only_writer(folder) if _is_run(folder) else held_alone(folder):
        yield


def _is_run(folder: Path) -> bool:
    return (folder / "config.toml").is_file()


def print_rotated(stream: TextIO, folders: Sequence[Path]) -> None:
    """Say whose keys were wrapped, and by which storage key."""
    console = console_for(stream)
    for folder in folders:
        needed = needed_by(folder)
        if needed is not None:
            console.print(f"{folder}: wrapped by the key of fingerprint {needed.fingerprint}", soft_wrap=True)


def shred_all(stream: TextIO, folders: Sequence[Path], *, apply: bool) -> None:
    """Erase the keys of folders, or say what would go with them.

    Raises:
        ConfigError, RunInUseError: as of `erase_key`; those before it are erased.
    """
    console = console_for(stream)
    for folder in _all_encrypted_in(folders):
        if _is_run(folder) and not is_finished(folder):
            could = "cannot" if apply else "could not"
            console.print(f"{folder}: the run has not ended, and {could} go on without its key", soft_wrap=True)
        gone = erase_key(folder) if apply else sealed_with(folder)
        files = f"{gone.files} file{'' if gone.files == 1 else 's'}, {gone.bytes / 1e6:.1f} MB"
        done = "its key is erased, and with it" if apply else "its key would be erased, and with it"
        console.print(f"{folder}: {done} {files}", soft_wrap=True)
    if not apply:
        console.print("nothing was erased; --apply does it, for good")
