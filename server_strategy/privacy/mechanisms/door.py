"""The door for noise mechanisms. To add one: a module with a `KIND` like `gaussian`'s, and a line here."""

from server_strategy.privacy.mechanisms.base import Mechanism, MechanismKind
from typefleet.doors import Door
from typefleet.errors import ConfigError, expected

MECHANISMS: Door[Mechanism | None] = Door(
    "noise mechanism",
    "typefleet.mechanisms",
    {
        "gaussian": "server_strategy.privacy.mechanisms.gaussian:KIND",
        "tree": "server_strategy.privacy.mechanisms.tree:KIND",
        "banded": "server_strategy.privacy.mechanisms.banded:KIND",
        "blt": "server_strategy.privacy.mechanisms.blt:KIND",
        "none": "server_strategy.privacy.mechanisms.none:KIND",
    },
    needs=("name", "description", "independent", "sensitivity_squared", "sum_errors", "stream", "vectors_of_memory"),
)
"""`make(settings, horizon)` gives the mechanism; None: no privacy."""


def mechanism_kind(name: str) -> MechanismKind:
    """The kind of a name.

    Raises:
        UnknownKindError: nothing has this name.
        ConfigError: what has it does not say how its mechanisms are put on record.
    """
    kind = MECHANISMS.kind(name)
    if not isinstance(kind, MechanismKind):
        raise ConfigError(expected(f"{MECHANISMS.group}: {name}", "a MechanismKind", type(kind).__name__))
    return kind


def private_mechanisms() -> tuple[str, ...]:
    """The names of all kinds that can be loaded and make noise; imports every one of them."""
    return tuple(kind.name for kind in MECHANISMS.kinds() if isinstance(kind, MechanismKind) and kind.private)
