"""The secret that keys the noise of a run: made when it begins, used when it goes on, erased when it has ended.

It is 256 bits from the operating system in one file of the run's folder, which its owner alone can read and which is
never meant to be passed on. The key of the noise is derived from it and from what the run began with (settings, text,
parts, starting weights), so that in another run the same secret gives other noise. Checkpoints have digests that tell
whether secret and key are those that the run began with, and nothing else of them.

It is derived from the place as well: device and inode of the folder and of the file, and the file's last change as the
file system has it (ctime, which no copy keeps). Two copies of one run would otherwise draw the same noise for
different sums, and who sees both could take it away. So a copy, a run on another disk, or a backup that was put back
draws noise of its own, and each of its releases is one more. A folder that was only renamed is the same place.

What this cannot tell: a folder in which all but this file was put back, as programs do that skip files which have
not changed, or a whole disk that was put back from its image. There, what was released after the backup and what is
released now have the same noise, so where the sums differ it protects neither.

What erasing can promise: the file is overwritten, synced and deleted, so that nobody reads it by its name, or in blocks
that are written in place. A file system that copies on write, a journal of data, a snapshot, a backup, or a flash drive
that moves blocks may keep the old ones; against who can read those, only an encrypted disk helps.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server_strategy.privacy.noise_key import SECRET_BYTES, NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from simulation.storage.run_files import read_secret, write_secret
from typefleet.errors import ConfigError, expected, unreadable, unwritable

NAME = "noise_secret"  # of the file, in the run's folder
_CHECK = 16  # digits of the file's own checksum


def noise_of_new_run(root: Path, plan: PrivacyPlan, seed: int, bound_to: bytes) -> NoiseKey:
    """The key of a run that begins; the secret is on disk before anything is released.

    Args:
        root: of the run's folder.
        plan: of the run; it says what keys the noise.
        seed: of the run, for noise that is to be repeatable.
        bound_to: what the run begins with, see `beginning`.

    Raises:
        ConfigError: the file cannot be written, or the run is encrypted, and its storage key is missing or another.
    """
    if plan.noise_source == "seeded":
        return NoiseKey.seeded(seed)
    if plan.mechanism is None:
        return NoiseKey.fresh()  # which nothing asks for noise
    secret = secrets.token_bytes(SECRET_BYTES)
    path = root / NAME
    try:
        write_secret(root, path, f"{secret.hex()} {_checksum(secret)}\n".encode())
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
    return NoiseKey.secret(secret, bound_to + _place(root))


def noise_of_resumed_run(root: Path, plan: PrivacyPlan, seed: int, bound_to: bytes, *, check: str) -> NoiseKey:
    """The key of a run that goes on: the same as before in the same place, and another in any other.

    Args:
        root, plan, seed, bound_to: as of `noise_of_new_run`.
        check: what `check_of_secret` gave when the run began, from its checkpoint.

    Raises:
        ConfigError: the secret is missing, damaged, or another run's. Fresh noise would be a second release of the
            rounds after the checkpoint, so the run does not go on by itself.
    """
    if plan.noise_source == "seeded":
        return NoiseKey.seeded(seed)
    if plan.mechanism is None:
        return NoiseKey.fresh()
    secret = _read(root / NAME)
    if NoiseKey.secret(secret, bound_to).check() != check:
        raise _cannot_go_on(root / NAME, "that of another run, or of another beginning")
    return NoiseKey.secret(secret, bound_to + _place(root))


def check_of_secret(root: Path, noise: NoiseKey, bound_to: bytes) -> str:
    """A digest that tells whether a run has the secret that it began with, in whatever place.

    Args:
        root: of the run's folder.
        noise: key of the run; it is its own digest where no secret is kept.
        bound_to: as of `noise_of_new_run`.

    Raises:
        ConfigError: the secret is damaged.
    """
    is_kept = noise.source == "secret" and (root / NAME).exists()
    return (NoiseKey.secret(_read(root / NAME), bound_to) if is_kept else noise).check()


def beginning(fingerprint: Mapping[str, Any], start_sha256: str) -> bytes:
    """What a run begins with, as a digest to bind its noise to.

    Args:
        fingerprint: of settings, text and parts, as JSON knows them.
        start_sha256: of the starting weights.
    """
    content = json.dumps({"fingerprint": fingerprint, "start": start_sha256}, sort_keys=True)
    return hashlib.sha256(content.encode()).digest()


def erase_noise_secret(root: Path) -> None:
    """Overwrite and delete the secret; see the module's docstring for what that promises. It may be gone already.

    Raises:
        ConfigError: it is there and cannot be erased.
    """
    path = root / NAME
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
    try:
        os.write(handle, bytes(os.fstat(handle).st_size))
        os.fsync(handle)
    finally:
        os.close(handle)
    path.unlink()


def _read(path: Path) -> bytes:
    """The secret on disk.

    Raises:
        ConfigError: it is missing or damaged.
    """
    try:
        text = read_secret(path.parent, path) if path.exists() else None
        if text is None:
            with path.open("rb") as file:
                text = file.read(2 * SECRET_BYTES + _CHECK + 3)
    except FileNotFoundError as error:
        raise _cannot_go_on(path, "none") from error
    except OSError as error:
        raise ConfigError(unreadable(path, error)) from error
    try:
        digits, checksum = text.decode("ascii").split()
        secret = bytes.fromhex(digits)
    except ValueError:
        secret, checksum = b"", ""
    if len(secret) != SECRET_BYTES or checksum != _checksum(secret):
        raise _cannot_go_on(path, "a damaged one")
    return secret


def _place(root: Path) -> bytes:
    """What tells the very folder and file of a secret from all copies of them.

    Raises:
        ConfigError: they cannot be looked at.
    """
    try:
        folder, file = root.stat(), (root / NAME).stat()
    except OSError as error:
        raise ConfigError(unreadable(root / NAME, error)) from error
    return f"{folder.st_dev} {folder.st_ino} {file.st_dev} {file.st_ino} {file.st_ctime_ns}".encode()


def _cannot_go_on(path: Path, found: str) -> ConfigError:
    what = "the secret of the noise that the run began with"
    found = f"{found}; without it the run cannot go on bit for bit: put the file back, or start a new run"
    return ConfigError(expected(path, what, found))


def _checksum(secret: bytes) -> str:
    return hashlib.blake2b(secret, digest_size=_CHECK // 2, person=b"file checksum").hexdigest()
