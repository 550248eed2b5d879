"""What of a run is kept for how long: looked up in a policy, shown, and deleted when its time is over.

A policy is a TOML file with one table, `keep_days`: days by category; what it does not name is kept. Age is counted
from when a file was last written, of a folder its newest file. What the privacy statement stands on is in no category
and always stays, so that an expired run can still be checked. Where a run is encrypted and nothing that is encrypted
stays, its key is erased first: what is left on the disk, or in a backup, of the deleted files can be read by nobody.
"""

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from client_model.text.cache import EntryInUseError, NoEntryError, cache_root, entries, held_alone, take_away
from simulation.run.artefacts import artefact_of
from simulation.run.drafts import drafts_in
from simulation.run.ledger_head import HEAD
from simulation.run.lock import only_writer
from simulation.storage.deletion_log import Deletion, record_deletion
from typefleet.errors import ConfigError, expected, unreadable, unwritable
from typefleet.sealed.chunks import is_sealed
from typefleet.sealed.envelope import is_encrypted, shred
from typefleet.untrusted.toml_tables import read_toml

CACHES = "caches"
CATEGORIES: dict[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints/", "noise_secret"),
    "people": ("held_out.parquet", "participation.json", "personalisation.json", "personalisation.png"),
    "telemetry": ("rounds.jsonl", "rounds.parquet", "tensorboard/", "mlflow/", "wandb/"),
    "reports": (
        *("report.html", "audit.html", "audit.json", "central.json"),
        *("assessment.md", "assessment.html", "assessment.json"),
        *("words_told.png", "memorisation.png", "memorisation_groups.png", "membership.png", "poison.png"),
    ),
}
"""Rows of `simulation.run.artefacts` by category; all others always stay."""
ALWAYS_KEPT = (
    "audit_trail.jsonl",
    *("model/weights.npz", "model/vocab.txt", "model/keyboard*.tflite", "model/manifest.json", "model/manifest.sig"),
    *("model/test_vectors.json", "privacy.md", "privacy.json", "privacy_head.json", "privacy_head.sig"),
    *("release_signatures.json", "model/release_signatures.json"),
    *("summary.json", "config.toml", "privacy_ledger.jsonl", "storage_key.json", "deletions.jsonl", ".lock"),
    "forgotten.jsonl",
)
_TABLE = "keep_days"
_DAY_S = 86_400.0
_MOST_DAYS = 36_500.0
_DRAFT_LEFT_S = 600.0  # a younger draft may be one that a process is writing


@dataclass(frozen=True)
class Expiry:
    """Something that a category has.

    Attributes:
        folder: of the run or the cache.
        what: path in it; a folder ends with /.
        category: of the policy.
        files, bytes: that are there.
        age_days: since it was last written, or used if it is of a cache.
        keep_days: that the policy says.
        key_erased: whether it goes with its key.
        is_link: whether it leads elsewhere; it is left, and so is what it leads to.
    """

    folder: Path
    what: str
    category: str
    files: int
    bytes: int
    age_days: float
    keep_days: float
    key_erased: bool = False
    is_link: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has been kept for long enough."""
        return self.age_days >= self.keep_days and not self.is_link

    def as_deletion(self, now_s: float) -> Deletion:
        """The line of the log for it."""
        at = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%dT%H:%M:%S+00:00}"
        return Deletion(
            at=at,
            what=self.what,
            category=self.category,
            files=self.files,
            bytes=self.bytes,
            keep_days=self.keep_days,
            age_days=round(self.age_days, 3),
            key_erased=self.key_erased,
        )


def read_policy(path: Path) -> dict[str, float]:
    """Days that each category is kept.

    Raises:
        ConfigError: it cannot be read, or names another category or no number of days.
    """
    table = read_toml(path, "a policy of what is kept for how long", ConfigError)
    days: Any = table.get(_TABLE)
    known = ", ".join((*CATEGORIES, CACHES))
    if table.keys() != {_TABLE} or not isinstance(days, dict) or not days:
        raise ConfigError(expected(path, f"one table {_TABLE} with days for some of {known}", "another"))
    for name, value in days.items():
        if name not in (*CATEGORIES, CACHES):
            raise ConfigError(expected(f"{path}: {_TABLE}", f"one of {known}", "another name"))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 <= value <= _MOST_DAYS:
            raise ConfigError(expected(f"{path}: {_TABLE}.{name}", f"days from 0 to {_MOST_DAYS:g}", "another value"))
    return {name: float(value) for name, value in days.items()}


def is_finished(root: Path) -> bool:
    """Whether a run has ended, so that it needs nothing to go on."""
    return (root / HEAD).exists()


def look_at_run(root: Path, policy: Mapping[str, float], now_s: float | None = None) -> list[Expiry]:
    """What of a run the policy speaks of, and whether its time is over.

    Args:
        root: of the run's folder.
        policy: days by category.
        now_s: the time, in seconds since 1970; the clock's by default.

    Raises:
        ConfigError: it is no run, or cannot be read.
    """
    if not (root / "config.toml").is_file():
        raise ConfigError(expected(root, "the folder of a run", "another"))
    now_s = time.time() if now_s is None else now_s
    try:
        found = [one for name in CATEGORIES if name in policy for one in _of_category(root, name, policy[name], now_s)]
        going = [root / one.what for one in found if one.is_over]
        key_goes = is_encrypted(root) and bool(going) and not any(_sealed_beside(root, going))
    except OSError as error:
        raise ConfigError(unreadable(root, error, "the folder of a run")) from error
    return [replace(one, key_erased=key_goes and one.is_over and _has_sealed(root / one.what)) for one in found]


def look_at_caches(cache_dir: Path | None, policy: Mapping[str, float], now_s: float | None = None) -> list[Expiry]:
    """What of a cache of tokenised files has not been used for how long, and drafts that a killed process left.

    Args:
        cache_dir: its folder; None: the usual one.
        policy: days by category; without `caches` nothing is looked at.
        now_s: the time, in seconds since 1970; the clock's by default.

    Raises:
        ConfigError: it cannot be read.
    """
    if CACHES not in policy:
        return []
    root, ahead_s = cache_root(cache_dir), 0.0 if now_s is None else now_s - time.time()
    try:
        found = [one for one in entries(root) if not one.is_draft or one.unused_s + ahead_s >= _DRAFT_LEFT_S]
        return [
            Expiry(
                folder=root,
                what=f"{one.path.name}/",
                category=CACHES,
                files=one.files,
                bytes=one.size_bytes,
                age_days=(one.unused_s + ahead_s) / _DAY_S,
                keep_days=0.0 if one.is_draft else policy[CACHES],
                key_erased=is_encrypted(one.path),
            )
            for one in found
        ]
    except OSError as error:
        raise ConfigError(unreadable(root, error, "a cache that can be read")) from error


def delete_from_run(root: Path, found: Sequence[Expiry], now_s: float | None = None) -> list[Expiry]:
    """Record what goes, erase the run's key if nothing encrypted stays, and delete; drafts that a kill left go as well.

    Args:
        root: of the run's folder.
        found: what `look_at_run` gave.
        now_s: the time, for the log.

    Returns:
        What is gone, by this process or, since it was looked at, by another, whose line it then has.

    Raises:
        RunInUseError: a process is working on the run.
        ConfigError: the log was changed, or something cannot be deleted; what the log names and is still there goes
            the next time.
    """
    going = [one for one in found if one.is_over]
    if not going and not _left_drafts(root):
        return []
    with only_writer(root):
        here = [one for one in going if (root / one.what).exists() and not (root / one.what).is_symlink()]
        has_key = is_encrypted(root)
        here = [replace(one, key_erased=one.key_erased and has_key) for one in here]
        for one in here:
            record_deletion(root, one.as_deletion(time.time() if now_s is None else now_s))
        if any(one.key_erased for one in here):
            shred(root)
        for one in here:
            _delete(root / one.what)
        for path in _left_drafts(root):
            _delete(path)
    return going


def delete_from_caches(found: Sequence[Expiry], now_s: float | None = None) -> tuple[list[Expiry], list[Expiry]]:
    """(what is gone, what a process reads and is left) of a cache; an encrypted file's key is erased first.

    What another process has let go since it was looked at is gone as well, without a second line in the log.

    Raises:
        ConfigError: the log was changed, or something cannot be deleted.
    """
    gone: list[Expiry] = []
    left: list[Expiry] = []
    for one in (one for one in found if one.is_over):
        path = one.folder / one.what
        try:
            with _held_unless_damaged(path):
                if path.exists():
                    record_deletion(one.folder, one.as_deletion(time.time() if now_s is None else now_s))
                    take_away(path)
        except EntryInUseError:
            left.append(one)
            continue
        except OSError as error:
            raise ConfigError(unwritable(path, error)) from error
        gone.append(one)
    return gone, left


@contextmanager
def _held_unless_damaged(entry: Path) -> Iterator[None]:
    """Hold an entry; one without the file that a process would hold is held by none."""
    with ExitStack() as held:
        with suppress(NoEntryError):
            held.enter_context(held_alone(entry))
        yield


def _left_drafts(root: Path) -> list[Path]:
    """Drafts in a run's folder that a killed process has left there."""
    left: list[Path] = []
    try:
        for path in drafts_in(root):
            with suppress(FileNotFoundError):  # written, and in its place now
                if time.time() - path.stat().st_mtime >= _DRAFT_LEFT_S:
                    left.append(path)
        return left
    except OSError as error:
        raise ConfigError(unreadable(root, error, "the folder of a run")) from error


def _of_category(root: Path, category: str, keep_days: float, now_s: float) -> Iterator[Expiry]:
    for name in CATEGORIES[category]:
        path = root / name
        is_link = path.is_symlink()
        if not is_link and not path.exists():
            continue
        files = [] if is_link else list(_files_in(path))  # what a link leads to is not the run's
        written_s = max((one.stat().st_mtime for one in files), default=path.lstat().st_mtime)
        yield Expiry(
            folder=root,
            what=name,
            category=category,
            files=len(files),
            bytes=sum(one.stat().st_size for one in files),
            age_days=(now_s - written_s) / _DAY_S,
            keep_days=keep_days,
            is_link=is_link,
        )


def _files_in(path: Path) -> Iterator[Path]:
    some = sorted(path.rglob("*")) if path.is_dir() else [path]
    yield from (one for one in some if one.is_file() and not one.is_symlink())


def _has_sealed(path: Path) -> bool:
    return any(is_sealed(one) for one in _files_in(path))


def _sealed_beside(root: Path, going: Sequence[Path]) -> Iterator[Path]:
    """Files that are encrypted and stay, what a link of the run leads to among them."""
    links = (root / name for names in CATEGORIES.values() for name in names)
    yield from (path for path in links if path.is_symlink() and _has_sealed(path.resolve()))
    for path in _files_in(root):
        goes = any(path == one or path.is_relative_to(one) for one in going)
        named = artefact_of(PurePosixPath(path.relative_to(root).as_posix()))
        if not goes and named is not None and is_sealed(path):
            yield path


def _delete(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
