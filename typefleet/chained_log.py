"""Append-only logs of JSON lines, each of which has the hash of the line before it.

A line that was changed, moved, or taken out from between others is seen by whoever reads the log. Who takes lines off
the end, or writes all of them anew, has a chain as well: for that the head, the hash of the last line, has to be kept
elsewhere. A hash is SHA-256 (FIPS 180-4) of the line's other values as JSON with sorted keys.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from typefleet.errors import ConfigError, expected, unwritable
from typefleet.private_files import open_private
from typefleet.untrusted.own_json import Line, parse_json, read_lines

_KINDS = {"number": int, "previous": str, "hash": str}  # of what a line has besides what it says
_WAIT_S, _LOOK_AGAIN_S = 30.0, 0.01
_BLOCK_BYTES, _LONGEST_BYTES = 8_192, 65_536  # what is read at first; what a line may have to be gone on from


def chained(entry: dict[str, Any], previous: str) -> dict[str, Any]:
    """A line with the hash of the line before it, and its own."""
    body = {**entry, "previous": previous}
    return {**body, "hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}


class ChainedLine(NamedTuple):
    """A line of a log."""

    number: int  # from 1
    says: dict[str, Any]  # without number, previous and hash
    hash: str


class Chain(NamedTuple):
    """A log that hangs together."""

    lines: list[ChainedLine]
    half_line: int | None = None  # the number of a last line without its end, which a crash left and nobody counts

    @property
    def head(self) -> str:
        """Hash of the last line, 64 hexadecimal digits; empty where there is none."""
        return self.lines[-1].hash if self.lines else ""


@dataclass(frozen=True)
class ChainedLog:
    """The form of a log: one file in a folder.

    Attributes:
        name: of the file.
        what: it is, for messages.
        is_line: whether something is what a line of it says, without number, previous and hash.
    """

    name: str
    what: str
    is_line: Callable[[Mapping[str, Any]], bool]

    def read(self, folder: Path) -> Chain:
        """Every whole line; none where there is no log.

        Raises:
            ConfigError: a line was changed, is missing between others, is in another place, or is none.
        """
        found, wrong = self.read_while_whole(folder)
        if wrong is not None:
            raise wrong
        return found

    def read_while_whole(self, folder: Path) -> tuple[Chain, ConfigError | None]:
        """The lines before the first that does not follow, and what is wrong with that one; None if all follow.

        Raises:
            ConfigError: the log cannot be read.
        """
        path = folder / self.name
        lines: list[ChainedLine] = []
        for line in read_lines(path, self.what) if path.exists() else ():
            if not line.is_whole:
                return Chain(lines, line.number), None
            try:
                lines.append(self._checked(line, lines[-1] if lines else None, path))
            except ConfigError as error:
                return Chain(lines), error
        return Chain(lines), None

    def append(self, folder: Path, says: Mapping[str, Any], *, verify: bool = True) -> ChainedLine:
        """Add a line and sync it; of several processes that do so, each in its turn.

        Args:
            folder: that has the log, or gets one.
            says: what the line says.
            verify: read the whole log first; without, the line follows the last one as it stands, whatever is before.

        Raises:
            ConfigError: what it would follow was changed, or the log cannot be written.
        """
        path = folder / self.name
        try:
            is_new = not path.exists()
            with open_private(path, "a+b") as file, _held(file, path):  # from the last line to the next one
                content, whole_bytes = _last_whole_line(file)
                number, previous = self._end_read(folder) if verify else self._end_as_it_stands(content, path)
                line = chained({"number": number + 1, **says}, previous)
                file.truncate(whole_bytes)  # half a line, which a crash left
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(folder)
        except OSError as error:
            raise ConfigError(unwritable(path, error)) from error
        return ChainedLine(number + 1, dict(says), line["hash"])

    def _end_read(self, folder: Path) -> tuple[int, str]:
        """(number, hash) of the last line of a log that hangs together."""
        found = self.read(folder)
        return len(found.lines), found.head

    def _end_as_it_stands(self, content: bytes | None, path: Path) -> tuple[int, str]:
        if content is None:
            return 0, ""
        if len(content) > _LONGEST_BYTES:
            what = f"{self.what}, in lines of at most {_LONGEST_BYTES:,} bytes"
            raise ConfigError(expected(path, what, "a longer one at its end"))
        found = self._parsed(content, f"{path}, last line")
        return found["number"], found["hash"]

    def _checked(self, line: Line, before: ChainedLine | None, path: Path) -> ChainedLine:
        """A line that follows the one before it."""
        where = f"{path}:{line.number}"
        found = self._parsed(line.content, where)
        number, previous = found.pop("number"), found.pop("previous")
        if number != line.number:
            what = f"line {line.number} of {self.what}"
            raise ConfigError(expected(where, what, f"line {number}: some are missing, or in another order"))
        if previous != (before.hash if before is not None else ""):
            what = "a line that follows the one before it, as it was written"
            raise ConfigError(expected(where, what, "one that follows another"))
        its_hash = found.pop("hash")
        if chained({"number": number, **found}, previous)["hash"] != its_hash:
            raise ConfigError(expected(where, "the line as it was written", "a changed one"))
        return ChainedLine(number, found, its_hash)

    def _parsed(self, content: bytes, where: str) -> dict[str, Any]:
        """A line with the keys that such a line has, each of its kind."""
        found = parse_json(content, where, self.what)
        is_one = (
            isinstance(found, dict)
            and all(type(found.get(name)) is kind for name, kind in _KINDS.items())
            and self.is_line({name: value for name, value in found.items() if name not in _KINDS})
        )
        if not is_one:
            raise ConfigError(expected(where, f"a line of {self.what}", "another one"))
        whole: dict[str, Any] = found
        return whole


def _last_whole_line(file: IO[bytes]) -> tuple[bytes | None, int]:
    """The last line that has its end, None without one; and how many bytes there are until that end."""
    size = begin = file.seek(0, os.SEEK_END)
    tail = whole = b""
    while begin > 0 and (not whole or (whole.count(b"\n") < 2 and len(tail) <= 2 * _LONGEST_BYTES)):
        begin = max(size - max(2 * len(tail), _BLOCK_BYTES), 0)
        file.seek(begin)
        tail = file.read(size - begin)
        whole = tail[: tail.rfind(b"\n") + 1]
    if not whole and begin == 0:
        return None, 0
    return whole[:-1].rpartition(b"\n")[2], begin + len(whole)


@contextmanager
def _held(file: IO[bytes], path: Path) -> Iterator[None]:
    """Hold an open log for this process alone; it is never replaced by another file, so the lock is on it itself."""
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > until:
                found = f"one that a process has held for {_WAIT_S:g} s"
                raise ConfigError(expected(path, "a log that others write for a moment", found)) from error
            time.sleep(_LOOK_AGAIN_S)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # also where a process was forked meanwhile, which has the open file too


def sync_folder(folder: Path) -> None:
    """See to it that the name of a new file is on disk as well.

    Args:
        folder: that has the file.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
