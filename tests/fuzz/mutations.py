"""Changes that any file may have suffered, each with what is expected of whoever reads it."""

import gzip
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.cases import Case, Parser


@dataclass(frozen=True)
class Mutation:
    """A change of a file's place, or of its bytes.

    Attributes:
        name: of it.
        change: takes the path of the file.
        refused: whether the file can be nothing but refused.
    """

    name: str
    change: Callable[[Path], object]
    refused: bool = False


def content(name: str, change: Callable[[bytes], bytes], refused: bool = False) -> Mutation:
    """One of the bytes."""

    def in_place(path: Path) -> None:
        changed = change(path.read_bytes())
        path.unlink()
        path.write_bytes(changed)

    return Mutation(name, in_place, refused)


def _into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"x")


def _into_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _into_link(target: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        path.symlink_to(target.format(name=path.name))

    return change


def _some_flipped(seed: int, times: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        chosen, changed = random.Random(seed), bytearray(data)
        for _ in range(times if changed else 0):
            changed[chosen.randrange(len(changed))] ^= 1 << chosen.randrange(8)
        return bytes(changed)

    return change


def _some_moved(seed: int) -> Callable[[bytes], bytes]:
    """A piece cut out of one place and put into another."""

    def change(data: bytes) -> bytes:
        chosen = random.Random(seed)
        a, b, c = sorted(chosen.randrange(len(data) + 1) for _ in range(3))
        return data[:a] + data[b:c] + data[a:b] + data[c:]

    return change


def _filled(begin: float, end: float, byte: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        a, b = int(len(data) * begin), max(int(len(data) * end), int(len(data) * begin) + 1)
        return data[:a] + byte * (b - a) + data[b:]

    return change


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


MUTATIONS = (
    Mutation("missing", Path.unlink, refused=True),
    Mutation("a folder", _into_folder, refused=True),
    Mutation("a pipe that nobody writes to", _into_pipe, refused=True),
    Mutation("a link to itself", _into_link("{name}"), refused=True),
    Mutation("a link to nothing", _into_link("no such file"), refused=True),
    Mutation("a device without end", _into_link("/dev/zero"), refused=True),
    content("empty", lambda data: b"", refused=True),
    content("blanks", lambda data: b" \t\r\n \n" * 40, refused=True),
    content("NUL alone", lambda data: bytes(4096), refused=True),
    content("0xff alone", lambda data: b"\xff" * 4096, refused=True),
    content("of a picture", lambda data: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, refused=True),
    content("packed", lambda data: gzip.compress(data, mtime=0), refused=True),
    content("UTF-16", lambda data: data.decode("latin-1").encode("utf-16"), refused=True),
    content("one long line", lambda data: b"a" * 1_100_000, refused=True),
    content("deep brackets", lambda data: b"[" * 200_000, refused=True),
    content("deep braces", lambda data: b'{"a":' * 100_000, refused=True),
    content("many digits", lambda data: b"1" * 20_000, refused=True),
    content("twice", lambda data: data + data),
    content("with a mark at the beginning", lambda data: b"\xef\xbb\xbf" + data),
    content("with something behind", lambda data: data + b"\x00\xfe behind"),
    content("with something before", lambda data: b"before\x00\xfe" + data),
    content("backwards", lambda data: data[::-1]),
    content("other ends of lines", lambda data: data.replace(b"\n", b"\r")),
    content("upper case", lambda data: data.swapcase()),
    *(content(f"cut at {share:.0%}", _cut(share)) for share in (0.1, 0.5, 0.9, 0.99)),
    *(content(f"{times} bits flipped, {seed}", _some_flipped(seed, times)) for times in (1, 20) for seed in range(4)),
    *(content(f"a piece moved, {seed}", _some_moved(seed)) for seed in range(3)),
    *(content(f"NUL from {part:.0%}", _filled(part, part + 0.05, b"\0")) for part in (0.0, 0.4, 0.9)),
    *(content(f"0xff from {part:.0%}", _filled(part, part + 0.05, b"\xff")) for part in (0.0, 0.4, 0.9)),
)


def mutated(parser: Parser) -> list[Case]:
    """A case for each change that fits."""
    return [
        Case(
            parser,
            mutation.name,
            lambda folder, change=mutation.change: change(folder / parser.file),
            either=not mutation.refused,
        )
        for mutation in MUTATIONS
        if mutation.name not in parser.without
    ]


def copied(folder: Path, into: Path) -> None:
    """What lies in a folder, once more in another that is there."""
    shutil.copytree(folder, into, dirs_exist_ok=True)
