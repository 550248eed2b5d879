"""dp-accounting without its privacy-loss distributions, which take a second to import and few need.

`dp_accounting` imports them, and scipy's statistics with them, when it is imported itself, as
tensorflow-privacy does.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_LATE = "dp_accounting.pld"


class _Late(ModuleType):
    """Stands for a module until it is first used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def without_loss_distributions() -> None:
    """Call before `dp_accounting` is imported first; they come when they are first used."""
    if "dp_accounting" not in sys.modules:
        sys.modules[_LATE] = _Late(_LATE)
