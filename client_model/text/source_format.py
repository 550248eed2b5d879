"""Which format reads a file of messages, as settings choose it, and the name under which its reading is remembered."""

import hashlib
from pathlib import Path

from client_model.config import DataConfig
from client_model.text.formats.base import DataError, MessageFormat
from client_model.text.formats.by_ending import formats_by_ending, with_columns
from client_model.text.formats.columns import Columns
from client_model.text.formats.door import AUTO, FORMATS
from typefleet.doors import Kind, KindSettings, chosen
from typefleet.errors import expected, unreadable


def format_of(config: DataConfig, path: Path, handed_in: MessageFormat | None) -> tuple[MessageFormat, str | None]:
    """(what reads the file, its name with its settings); no name for a format from outside: its code may change.

    Args:
        config: names the format, its settings and the columns.
        path: the file, or a folder of files.
        handed_in: reads it, in the place of the one that is named.

    Raises:
        DataError: no format claims the file, or a column has no name.
    """
    kind, settings = chosen(config, "format")
    message_format: MessageFormat = handed_in or FORMATS.made(kind, settings)
    used = [message_format]
    if kind.name == AUTO and handed_in is None:
        kinds = {found.name: found for found in _kinds_by_ending(path)}
        used = [FORMATS.made(found, found.settings()) for found in kinds.values()]
        if not path.is_dir():
            (kind,), (message_format,) = kinds.values(), used
    ours = all(type(one).__module__.startswith(f"{__name__.split('.')[0]}.") for one in used)
    return with_columns(message_format, _columns(config), path), _name_with(kind, settings) if ours else None


def _name_with(kind: Kind[MessageFormat], settings: KindSettings) -> str:
    """For the name of a folder: settings that are not the usual ones by a digest."""
    if kind.name == AUTO or settings == kind.settings():
        return kind.name
    return f"{kind.name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"


def _kinds_by_ending(path: Path) -> list[Kind[MessageFormat]]:
    try:
        return [kind for _, kind in formats_by_ending(path)]
    except OSError as error:
        raise DataError(unreadable(path, error, "a file of messages, or a folder of them")) from error


def _columns(config: DataConfig) -> Columns:
    """Those of a configuration.

    Raises:
        DataError: one has no name, or two have the same.
    """
    names = {"user": config.user_column, "text": config.text_column, "time": config.time_column}
    taken: dict[str, str] = {}
    for what, name in names.items():
        if name is None:
            continue
        if not name or not name.isprintable():
            raise DataError(expected(f"--data.{what}-column", "the name of a column", repr(name)))
        if name in taken:
            raise DataError(expected(f"--data.{what}-column", f"another than --data.{taken[name]}-column", name))
        taken[name] = what
    return config.columns
