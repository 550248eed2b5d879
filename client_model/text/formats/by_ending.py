"""Which format a file has where none is named, and the name for having no file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from client_model.text.formats import door
from client_model.text.formats.base import DataError, Message, MessageFormat, TableFormat
from client_model.text.formats.columns import USUAL, Columns
from client_model.text.formats.compressed import name_within
from client_model.text.formats.share_read import one_after_another
from typefleet.doors import Kind
from typefleet.errors import expected
from typefleet.untrusted.limits import FILES
from typefleet.untrusted.opening import require_few


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


def with_columns(message_format: MessageFormat, columns: Columns, where: object) -> MessageFormat:
    """A format that reads these columns.

    Args:
        message_format: any; one without named columns stays as it is where the usual ones are asked for.
        columns: their names.
        where: the file, for errors.

    Raises:
        DataError: other columns than the usual ones, and a format that has no names for them.
    """
    if columns == USUAL:
        return message_format
    if isinstance(message_format, TableFormat):
        return message_format.with_columns(columns)
    raise DataError(expected(where, f"a format with columns, to read {columns}", "one without"))


def formats_by_ending(path: Path) -> list[tuple[Path, Kind[MessageFormat]]]:
    """A file with its format; of a folder each file, by name.

    Raises:
        DataError: an ending that no format claims, or nothing in the folder.
        OSError: the operating system refused the folder.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    require_few(path, files, FILES, DataError)
    if not files:
        raise DataError(expected(path, "a folder with files of messages", "none in it"))
    return [(file, kind_by_ending(file)) for file in files]


@dataclass(frozen=True)
class ByEnding:
    """Goes by the ending of each file."""

    columns: Columns = USUAL
    endings: ClassVar[tuple[str, ...]] = ()

    def with_columns(self, columns: Columns) -> "ByEnding":
        """The same, with other columns for the files that have any."""
        return ByEnding(columns)

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """As the format of its ending reads a file, with that format's default settings; of a folder, every file."""
        kinds = dict(formats_by_ending(path))
        for file in one_after_another(list(kinds)):
            kind = kinds[file]
            yield from with_columns(door.FORMATS.made(kind, kind.settings()), self.columns, file).read(file)


class NoFile:
    """The population is made up, so there is nothing to read."""

    endings: tuple[str, ...] = ()

    def read(self, path: Path) -> Iterator[Message | DataError]:
        """Refuses whatever there is.

        Raises:
            DataError: always.
        """
        raise DataError(expected("--data.format", f"a format of files, to read {path}", door.SYNTHETIC))


AUTO = Kind(
    door.AUTO,
    f"by the ending of the file, or of each in a folder; {door.BUNDLED} without one",
    make=lambda settings: ByEnding(),
)
SYNTHETIC = Kind(door.SYNTHETIC, "no file: the seeded synthetic population", make=lambda settings: NoFile())
