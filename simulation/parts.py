"""Objects handed in from Python, in the place of the kinds that a configuration names."""

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server_strategy.optimizers.base import ServerOptimizer


@dataclass(frozen=True)
class Parts:
    """What is handed in; None: as the configuration says."""

    server_optimizer: "ServerOptimizer | None" = None

    def described(self) -> dict[str, str]:
        """Each part in words, by name: its class and, of a dataclass, its fields; for a resume to compare."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: describe(part) for name, part in given.items() if part is not None and part != ()}


def describe(part: Any) -> str:
    """The class of an object and, if it is a dataclass, its fields."""
    kind = type(part)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return f"{name}: {part!r}" if is_dataclass(part) else name
