"""The folders of runs that a command is given: said to be missing before anything is looked for in them."""

from pathlib import Path
from typing import Any

from typefleet.errors import ConfigError, expected

_NAMES = ("run_dir", "run_dirs", "runs")  # of the arguments, as commands call them


def require_run_folders(flags: Any) -> None:
    """Refuse a folder of a run that is not there, as of a name that was mistyped.

    Args:
        flags: a command's own, as they were parsed.

    Raises:
        ConfigError: names the first such folder.
    """
    for name in _NAMES:
        value = getattr(flags, name, None)
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path):
                require_run_folder(path)


def require_run_folder(path: Path) -> None:
    """Refuse a path that leads to no folder.

    Raises:
        ConfigError: it leads nowhere, or to something else.
    """
    try:
        is_folder = path.is_dir()
        found = "a file" if path.exists() else "no such folder"
    except OSError:  # one that nobody may look at: said by who reads it
        return
    if not is_folder:
        raise ConfigError(expected(path, "the folder of a run", found))
