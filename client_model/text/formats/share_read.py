"""How much of a file has been read, which formats tell whoever is watching."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass
class ShareRead:
    """What is known of the reading that is going on.

    A format sets `of_file` when it opens a file, if it can tell; one that reads several files sets which part of all
    the current one is.
    """

    of_file: Callable[[], float] | None = None
    begins: float = 0.0
    part: float = 1.0

    def __call__(self) -> float | None:
        """Share of all that there is to read, from 0 to 1; None: nobody can tell."""
        if self.of_file is None:
            return None
        try:
            return min(self.begins + self.part * self.of_file(), 1.0)
        except ValueError:  # the file is closed: it was read to its end
            return self.begins + self.part


_CURRENT: ContextVar[ShareRead | None] = ContextVar("share read", default=None)


@contextmanager
def watched() -> Iterator[ShareRead]:
    """Watch what is read within the block."""
    share = ShareRead()
    before = _CURRENT.set(share)
    try:
        yield share
    finally:
        _CURRENT.reset(before)


def tell(of_file: Callable[[], float]) -> None:
    """Say how the share of the file that was just opened is known: a function that gives it, from 0 to 1."""
    if (share := _CURRENT.get()) is not None:
        share.of_file = of_file


def one_after_another(files: list[Path]) -> Iterator[Path]:
    """The same files; the share of each counts by its size.

    Raises:
        OSError: the operating system refused one.
    """
    sizes = [file.stat().st_size for file in files]
    read, total = 0, max(sum(sizes), 1)
    for file, size in zip(files, sizes, strict=True):
        if (share := _CURRENT.get()) is not None:
            share.of_file, share.begins, share.part = None, read / total, size / total
        yield file
        read += size
