"""Files of a package that are no code, wherever its code runs from.

Flower carries an app to other machines as its .py, .toml and .md files alone. Code that came so finds the weights and
templates that belong to it in the Typefleet that is installed on the machine.
"""

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def data_folder(package: str, beside: str, holds: str) -> Path:
    """The folder of a package's files.

    Args:
        package: its full name.
        beside: `__file__` of its `__init__.py`, or of any module in it.
        holds: a file or folder that is there if any is.

    Returns:
        The folder of the code if it holds them, else that of the installed package; the former if neither does, so
        that whoever reads a file says which one is missing.
    """
    here = Path(beside).parent
    if (here / holds).exists():
        return here
    top, *inner = package.split(".")
    for spec in _found_elsewhere(top, here.parents[len(inner)]):
        for place in spec.submodule_search_locations or ():
            folder = Path(place).joinpath(*inner)
            if (folder / holds).exists():
                return folder
    return here


def _found_elsewhere(top: str, root: Path) -> Iterator[ModuleSpec]:
    """Where else than below `root` a top-level package is found, by path or by the hook of an editable installation."""
    places = [entry for entry in sys.path if Path(entry).absolute() != root.absolute()]
    yield from filter(None, [PathFinder.find_spec(top, places)])
    for finder in sys.meta_path:
        if finder is not PathFinder and hasattr(finder, "find_spec"):
            yield from filter(None, [finder.find_spec(top, None)])
