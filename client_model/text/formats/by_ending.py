"""Which format a file has where none is named, and the name for having no file."""

from collections.abc import Iterator
from pathlib import Path

from client_model.text.formats.base import DataError, Message, MessageFormat
from client_model.text.formats.door import FORMATS
from typefleet.doors import Kind
from typefleet.errors import expected


def kind_by_ending(path: Path) -> Kind[MessageFormat]:
    """The first format behind the door that claims the ending of a file, the built-in ones first.

    Raises:
        DataError: none does.
    """
    known: list[str] = []
    for kind in FORMATS.kinds():
        endings = FORMATS.made(kind, kind.settings()).endings
        if path.name.lower().endswith(endings):
            return kind
        known += endings
    found = f"{path.suffix or 'none'}; name the format with --data.format"
    raise DataError(expected(path, f"an ending of {', '.join(known)}", found))


class ByEnding:
    """Goes by the ending of each file."""

    endings: tuple[str, ...] = ()

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """As the format of the file's ending reads it, with its default settings."""
        kind = kind_by_ending(path)
        return FORMATS.made(kind, kind.settings()).read(path)


class NoFile:
    """The population is made up, so there is nothing to read."""

    endings: tuple[str, ...] = ()

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Refuses whatever there is.

        Raises:
            DataError: always.
        """
        raise DataError(expected("--data.format", f"a format of files, to read {path}", "synthetic"))


AUTO = Kind("auto", "by the ending of the file; synthetic without one", make=lambda settings: ByEnding())
SYNTHETIC = Kind("synthetic", "no file: the seeded synthetic population", make=lambda settings: NoFile())
