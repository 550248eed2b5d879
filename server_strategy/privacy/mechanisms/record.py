"""A mechanism as a ledger has it: its name and its parameters, from which its cost is recomputed.

A mechanism that nobody registered can be used as well, as an object. Its ledger then says which one it was; what it
cost can be recomputed only where an object of that name and these parameters is at hand.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, MechanismKind
from server_strategy.privacy.mechanisms.check import check_mechanism
from server_strategy.privacy.mechanisms.door import MECHANISMS, mechanism_kind
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, InputError, expected
from typefleet.own_parts import require_object


def name_of(mechanism: Mechanism | None) -> str:
    """The name on record; that of no privacy for None."""
    return NO_PRIVACY.name if mechanism is None else mechanism.name


def kind_of(mechanism: Mechanism) -> MechanismKind | None:
    """The registered kind that makes such mechanisms; None if there is none."""
    kind = mechanism_kind(mechanism.name) if mechanism.name in MECHANISMS.names else None
    return kind if kind is not None and kind.makes is type(mechanism) else None


def is_found_everywhere(mechanism: Mechanism) -> bool:
    """Whether other processes can rebuild it by its name: it is one of ours, or of an installed package's."""
    return kind_of(mechanism) is not None and MECHANISMS.every_process_finds(mechanism.name)


def parameters_of(mechanism: Mechanism | None) -> dict[str, Any] | None:
    """The parameters on record, as JSON knows them: what `parameters()` gives, or the fields of a dataclass.

    Returns:
        None without a mechanism.

    Raises:
        ConfigError: it has neither, or they are nothing that JSON knows.
    """
    if mechanism is None:
        return None
    where = f"mechanism {mechanism.name!r}"
    own = getattr(mechanism, "parameters", None)
    if callable(own):
        found = own()
    elif is_dataclass(mechanism):
        found = {f.name: getattr(mechanism, f.name) for f in fields(mechanism)}
    else:
        raise ConfigError(expected(where, "a dataclass or parameters(), for the ledger", "neither"))
    try:
        parameters: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(expected(where, "parameters that JSON knows, for the ledger", error)) from error
    return parameters


def made(name: str, settings: KindSettings, horizon: Horizon) -> Mechanism | None:
    """The mechanism that a kind makes for a run; None: no privacy.

    Raises:
        UnknownKindError: no kind has the name.
        InputError: the settings do not fit, nothing is found for them, or what is made cannot be put on record.
    """
    try:
        mechanism = MECHANISMS.made(mechanism_kind(name), settings, horizon)
    except ConfigError as error:
        reason = error.__cause__
        if isinstance(reason, ValueError):  # which says what is wrong with the settings
            raise InputError(f"mechanism {name!r}: {reason}") from reason
        raise
    if mechanism is not None:
        require_usable(mechanism, horizon)
    return mechanism


def require_usable(mechanism: Mechanism, horizon: Horizon) -> None:
    """Refuse an object that cannot protect a run or be put on record; one that is not ours is tried first.

    Args:
        mechanism: handed in, or made by a kind.
        horizon: of the run.

    Raises:
        ConfigError: it lacks a part of a mechanism, has no parameters, or has the name of another kind, as which its
            ledger would be read; or its noise or its sensitivity is not what it says, see `check_mechanism`.
    """
    require_object("mechanism", mechanism, MECHANISMS.needs, "privacy.mechanism")
    if mechanism.name in MECHANISMS.names and kind_of(mechanism) is None:
        found = f"{type(mechanism).__name__}, which is not what that name stands for"
        raise ConfigError(expected(f"mechanism {mechanism.name!r}", "a name of its own", found))
    parameters_of(mechanism)
    if mechanism.name not in MECHANISMS.built_in:
        check_mechanism(mechanism, horizon)


def on_record(name: str, parameters: Mapping[str, Any] | None, at_hand: Mechanism | None = None) -> Mechanism | None:
    """The mechanism that a ledger names.

    Args:
        name, parameters: as `name_of` and `parameters_of` give them.
        at_hand: one that nobody registered; it must be the very one.

    Returns:
        None for no privacy.

    Raises:
        UnknownKindError: nothing that is registered or at hand has the name.
        ConfigError: the parameters are those of another mechanism.
    """
    if at_hand is not None and kind_of(at_hand) is None:
        if (at_hand.name, parameters_of(at_hand)) != (name, parameters):
            found = f"{at_hand.name!r} with parameters {parameters_of(at_hand)}"
            raise ConfigError(expected("mechanism", f"{name!r} with parameters {parameters}, as on record", found))
        return at_hand
    kind = mechanism_kind(name)
    if kind.makes is None:
        return None
    try:
        return (kind.rebuild or (lambda given: _of_fields(kind, given)))(parameters or {})
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(expected(f"mechanism {name!r}", "its parameters on record", "others")) from error


def _of_fields(kind: MechanismKind, parameters: Mapping[str, Any]) -> Mechanism:
    make: Any = kind.makes
    mechanism: Mechanism = make(**{name: _frozen(value) for name, value in parameters.items()})
    return mechanism


def _frozen(value: Any) -> Any:
    """Lists, as JSON has them, as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
