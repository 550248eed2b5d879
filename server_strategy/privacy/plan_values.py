"""Holds a plan on record to what plans have, whoever wrote it."""

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import UnionType
from typing import Any, get_args, get_type_hints

from typefleet.errors import ConfigError, expected


def require_values_of(kind: type, values: Any, others: dict[str, Any]) -> None:
    """Hold what is on record to the fields of a dataclass: those without a default, finite and >= 0, nothing more.

    Args:
        kind: the dataclass.
        values: on record.
        others: types of what stands there in another form, or is no field.

    Raises:
        ConfigError: something else is on record.
    """
    types = get_type_hints(kind) | others
    if not isinstance(values, Mapping):
        raise no_plan("none")
    needed = {f.name for f in fields(kind) if f.default is MISSING} | others.keys()
    for name in sorted(needed - values.keys()):
        raise no_plan(f"no {name}")
    if not values.keys() <= types.keys():
        raise no_plan("a value that no plan has")
    for name, value in values.items():
        hint = types[name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            raise no_plan(f"{name} of another kind")
        if isinstance(value, int | float) and not 0 <= value <= sys.float_info.max:
            raise no_plan(f"{name} out of its bounds")


def no_plan(found: str) -> ConfigError:
    """The error for a record that no run can have written."""
    return ConfigError(expected("the plan on record", "the plan of a run", found))
