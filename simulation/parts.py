"""Objects handed in from Python, in the place of the kinds that a configuration names."""

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from client_model.learning.cells.door import CELLS
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.metrics.door import METRICS
from client_model.text.formats.door import FORMATS
from server_strategy.optimizers.door import OPTIMIZERS
from server_strategy.privacy.mechanisms.door import MECHANISMS
from simulation.world.availability.door import AVAILABILITY
from typefleet.doors import Door, Kind, KindSettings
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import require_object

if TYPE_CHECKING:
    from client_model.learning.cells.base import Cell
    from client_model.learning.local_optimizers.base import LocalOptimizer
    from client_model.metrics.metric import Metric
    from client_model.text.formats.base import MessageFormat
    from server_strategy.optimizers.base import ServerOptimizer
    from server_strategy.privacy.mechanisms.base import Mechanism
    from simulation.world.availability.base import Availability
    from simulation.world.devices import Devices


_DOORS: dict[str, Door[Any]] = {
    "cell": CELLS,
    "local_optimizer": LOCAL_OPTIMIZERS,
    "server_optimizer": OPTIMIZERS,
    "mechanism": MECHANISMS,
    "availability": AVAILABILITY,
    "message_format": FORMATS,
    "metrics": METRICS,
}
_NEEDS = {name: door.needs for name, door in _DOORS.items()} | {
    "devices": ("train_s_per_token", "download_bytes_per_s", "upload_bytes_per_s", "memory_gb")
}
NAMED_IN = {
    "cell": "model.cell",
    "local_optimizer": "training.optimizer",
    "server_optimizer": "server_optimizer.name",
    "mechanism": "privacy.mechanism",
    "availability": "fleet.availability",
    "message_format": "data.format",
    "metrics": "evaluation.metrics",
}
"""The setting that names such a part."""


@dataclass(frozen=True)
class Parts:
    """What is handed in; None: as the configuration says."""

    cell: "Cell | None" = None
    local_optimizer: "LocalOptimizer | None" = None
    server_optimizer: "ServerOptimizer | None" = None
    mechanism: "Mechanism | None" = None
    availability: "Availability | None" = None
    devices: "Devices | None" = None
    message_format: "MessageFormat | None" = None
    metrics: tuple["Metric", ...] = ()

    @staticmethod
    def handed_in(**given: Any) -> "Parts":
        """The parts that somebody handed in, each an object that can be one.

        Raises:
            ConfigError: a name, a class or another object in the place of a part.
        """
        metrics = given.get("metrics", ())
        if isinstance(metrics, str) or not isinstance(metrics, Iterable):
            require_object("metrics", metrics, _NEEDS["metrics"], NAMED_IN["metrics"])
            raise ConfigError(expected("metrics", "a list of metrics", type(metrics).__name__))
        given["metrics"] = tuple(metrics)
        for name, part in given.items():
            for one in part if name == "metrics" else () if part is None else (part,):
                require_object(name, one, _NEEDS[name], NAMED_IN.get(name, ""))
        return Parts(**given)

    def places(self) -> dict[tuple[str, ...], Any]:
        """Of each part that takes a named one's place, the path of the setting that names it -> the part."""
        given = {name: getattr(self, name) for name in NAMED_IN if name != "metrics"}  # these come on top
        return {tuple(NAMED_IN[name].split(".")): part for name, part in given.items() if part is not None}

    def described(self) -> dict[str, str]:
        """Each part in words, by name: its class and, of a dataclass, its fields; for a resume to compare."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: describe(part) for name, part in given.items() if part is not None and part != ()}

    def at_their_doors(self) -> AbstractContextManager[None]:
        """For as long as it lasts, a configuration may name what was handed in, as the run's config.toml does."""
        cell = self.cell
        if cell is None or cell.name in CELLS.names:
            return nullcontext()
        if isinstance(cell, KindSettings):
            return CELLS.lend(Kind(cell.name, "handed in", make=lambda settings: settings, settings=type(cell)))
        return CELLS.lend(Kind(cell.name, "handed in", make=lambda _: cell))


def describe(part: Any) -> str:
    """The class of an object and, if it is a dataclass or a named tuple, its fields, exact to the bit.

    Several objects give a line each; a dataclass that says itself what it is, is asked.
    """
    if isinstance(part, tuple) and not hasattr(part, "_fields"):
        return "; ".join(describe(one) for one in part)
    if is_dataclass(part) and type(part).__dict__["__dataclass_params__"].repr is False:
        return repr(part)
    kind = type(part)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if is_dataclass(part):
        own = [f.name for f in fields(part)]
    elif isinstance(part, tuple):
        own = list(getattr(part, "_fields", ()))
    else:
        own = []
    values = ", ".join(f"{field}={_describe_value(getattr(part, field))}" for field in own)
    return f"{name}({values})" if own else name


def _describe_value(value: Any) -> str:
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):  # an array, which prints only some of its numbers
        return f"{value.dtype}{list(value.shape)} {hashlib.sha256(value.tobytes()).hexdigest()}"
    by_place = repr(value) == object.__repr__(value)  # which says where it lies in memory
    return describe(value) if by_place or is_dataclass(value) else repr(value)
