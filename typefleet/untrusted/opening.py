"""Opens files, and nothing that is none: a pipe would be waited for, a device has no end."""

import stat
from collections.abc import Sequence
from pathlib import Path

from typefleet.errors import InputError, expected, unreadable

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def require_file(path: Path, what: str = "a file that can be read", error: type[InputError] = InputError) -> int:
    """Refuse what is no file.

    Args:
        path: of it.
        what: it should be, for the message.
        error: that is raised.

    Returns:
        Its size in bytes.

    Raises:
        error: there is none, or something else.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as refused:  # ValueError: a path with NUL in it
        raise error(unreadable(path, refused, what)) from refused
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is not None:
        raise error(expected(path, what, kind))
    return found.st_size


def read_bytes(path: Path, what: str, error: type[InputError], most: int) -> bytes:
    """All of a file whose size is within a limit.

    Raises:
        error: it cannot be read, or is longer.
    """
    content, is_longer = b"", require_file(path, what, error) > most
    try:
        with path.open("rb") as file:
            content = b"" if is_longer else file.read(most + 1)  # which may have grown
    except OSError as refused:
        raise error(unreadable(path, refused, what)) from refused
    if is_longer or len(content) > most:
        raise error(expected(path, f"{what} of at most {size_of(most)}", "a longer one"))
    return content


def read_text(path: Path, what: str, error: type[InputError], most: int) -> str:
    """`read_bytes`, decoded from UTF-8, without a byte order mark.

    Raises:
        error: it cannot be read, is longer, or no text.
    """
    return text_of(read_bytes(path, what, error, most), path, what, error)


def text_of(content: bytes, path: Path, what: str, error: type[InputError]) -> str:
    """What was read of a file, decoded from UTF-8, without a byte order mark.

    Raises:
        error: it is no text.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as refused:
        raise error(unreadable(path, refused, what)) from refused


def size_of(number: int) -> str:
    """A number of bytes in words.

    Example:
        >>> size_of(2 * 2**20), size_of(3)
        ('2 MiB', '3 bytes')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return f"{number} bytes"


def require_few(path: Path, files: Sequence[Path], most: int, error: type[InputError]) -> None:
    """Refuse a folder with more files than anybody hands in.

    Raises:
        error: there are more than `most`.
    """
    if len(files) > most:
        raise error(expected(path, f"a folder of at most {most:,} files", f"{len(files):,}"))
