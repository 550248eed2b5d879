"""What only its owner may read: files of mode 0600 in folders of mode 0700, whatever the umask.

So is everything with people's text, with labels or digests of phones, with the salt of those labels, or with the state
of the noise. What is meant to be passed on has the modes that the umask gives.
"""

import os
import stat
from pathlib import Path
from typing import IO, Any

from typefleet.errors import ConfigError, expected

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file for writing as `open` does; a new one and one that is there are its owner's alone.

    Args:
        path: of the file.
        mode: such as "a" or "wb"; texts are in UTF-8.
    """
    file = open(path, mode, encoding=None if "b" in mode else "utf-8", opener=_opener)  # noqa: SIM115  the caller does
    os.fchmod(file.fileno(), PRIVATE_FILE)
    return file


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE_FILE)  # a link would lead to a file of somebody else's choice


def make_private_folder(path: Path) -> None:
    """Make a folder that its owner alone may enter; those above it, if missing, have the modes that the umask gives.

    Raises:
        OSError: it cannot be made; or it is there, is open to others, and is not ours to close.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    close_to_others(path)


def close_to_others(path: Path) -> None:
    """Give a file or folder of ours the private mode, unless it has it; one that is gone is closed enough.

    Raises:
        OSError: it is open to others, and is not ours to close.
    """
    try:
        mode = path.stat().st_mode
        wanted = PRIVATE_FOLDER if stat.S_ISDIR(mode) else PRIVATE_FILE
        if stat.S_IMODE(mode) != wanted:
            path.chmod(wanted)
    except FileNotFoundError:
        return


def require_private(path: Path, where: object) -> None:
    """Refuse a file with a secret that others can read.

    Args:
        path: of the file, which is there.
        where: it was named, for the message.

    Raises:
        ConfigError: they can.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(expected(where, "a file that its owner alone can read (0600)", f"permissions {mode:04o}"))
