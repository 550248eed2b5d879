"""Which format a file has where none is named, and the name for having no file."""

from collections.abc import Iterator
from pathlib import Path

from client_model.text.formats import door
from client_model.text.formats.base import DataError, Message, MessageFormat
from client_model.text.formats.compressed import name_within
from typefleet.doors import Kind
from typefleet.errors import expected


def kind_by_ending(path: Path) -> Kind[MessageFormat]:
    """The first format behind the door that claims the ending of a file, the built-in ones first.

    Raises:
        DataError: none does.
    """
    known: list[str] = []
    for kind in door.FORMATS.kinds():
        endings = door.FORMATS.made(kind, kind.settings()).endings
        if name_within(path).endswith(endings):
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
        return door.FORMATS.made(kind, kind.settings()).read(path)


class NoFile:
    """The population is made up, so there is nothing to read."""

    endings: tuple[str, ...] = ()

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Refuses whatever there is.

        Raises:
            DataError: always.
        """
        raise DataError(expected("--data.format", f"a format of files, to read {path}", door.SYNTHETIC))


AUTO = Kind(door.AUTO, f"by the ending of the file; {door.BUNDLED} without one", make=lambda settings: ByEnding())
SYNTHETIC = Kind(door.SYNTHETIC, "no file: the seeded synthetic population", make=lambda settings: NoFile())
