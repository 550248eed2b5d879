"""Settings as trees of frozen dataclasses: their names, their flags, their bounds.

Bounds are `annotated_types` marks on the fields, so that one checker states every violation in the same words.
"""

import math
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import annotated_types
from annotated_types import Ge, Gt, Le, Lt


class ConfigError(ValueError):
    """A setting that cannot be used; the message names the flag, or file and key."""


def flag_name(path: tuple[str, ...]) -> str:
    """--privacy.noise-multiplier for ("privacy", "noise_multiplier")."""
    return "--" + ".".join(part.replace("_", "-") for part in path)


def leaves(config: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every setting of a tree of dataclasses, by its path."""
    found: dict[tuple[str, ...], Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        path = (*prefix, f.name)
        found.update(leaves(value, path) if is_dataclass(value) else {path: value})
    return found


_BOUNDS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}
_HOLDS = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}


def check_bounds(config: Any, prefix: tuple[str, ...] = ()) -> None:
    hints = get_type_hints(type(config), include_extras=True)
    for f in fields(config):
        path, value = (*prefix, f.name), getattr(config, f.name)
        if is_dataclass(value):
            check_bounds(value, path)
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"expected {flag_name(path)} to be a finite number, found {value}")
        if value is None or get_origin(hints[f.name]) is not Annotated:
            continue
        for mark in get_args(hints[f.name])[1:]:
            if isinstance(mark, annotated_types.BaseMetadata) and type(mark) in _BOUNDS:
                sign, attribute = _BOUNDS[type(mark)]
                bound = getattr(mark, attribute)
                if not _HOLDS[sign](value, bound):
                    raise ConfigError(f"expected {flag_name(path)} {sign} {bound}, found {value}")
