"""What type the value of each setting has: checked for settings from Python, which no parser has looked at."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata

from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import SETTING_CHARACTERS, SETTING_VALUES

T = TypeVar("T")
_MOST_CHARACTERS = 100  # of a value in a message
_CLASSES = 1000  # whose fields are remembered
_MOST_WHOLE = 2**64  # beyond which no file keeps a whole number


@dataclass(frozen=True)
class Formerly:
    """Marks the bound of a setting before it got those that it has: no run begins with more, but one may have.

    What is read of a run that began earlier is held to this one alone, so that its folder stays readable.
    """

    bound: BaseMetadata


def flag_name(path: tuple[str, ...]) -> str:
    """--privacy.noise-multiplier for ("privacy", "noise_multiplier")."""
    return "--" + ".".join(part.replace("_", "-") for part in path)


@lru_cache(_CLASSES)
def hints_of(kind: type) -> Mapping[str, Any]:
    """The types of a class's fields by name, with the marks beside them; looked up once for each class."""
    return MappingProxyType(get_type_hints(kind, include_extras=True))


def typed(config: T, prefix: tuple[str, ...] = ()) -> T:
    """The same tree of dataclasses, every value being of the type of its field.

    Texts become paths, lists tuples, and numpy's numbers Python's where the field asks for these.

    Args:
        config: sections, settings, and settings of kinds, which lie flat beside the kind's name.
        prefix: path of the tree itself.

    Raises:
        ConfigError: "--rounds: expected a whole number, found 2.5".
    """
    changes: dict[str, Any] = {}
    for name, hint in hints_of(type(config)).items():  # type: ignore[arg-type]
        if name not in (f.name for f in fields(config)):  # type: ignore[arg-type]
            continue
        value, path = getattr(config, name), (*prefix, name)
        kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, kind):
            is_flat = any(getattr(mark, "name", None) == "" for mark in marks)
            changes[name] = typed(value, prefix if is_flat else path)
        else:
            changes[name] = _of_type(value, kind, flag_name(path))
    return replace(config, **changes)  # type: ignore[type-var]


def _of_type(value: Any, kind: Any, flag: str) -> Any:
    """A value as its field has it; those of types that settings have no rule for are taken as they are."""
    if get_origin(kind) in (Union, UnionType):
        return _of_one_of(value, get_args(kind), flag)
    if get_origin(kind) is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in get_args(kind)):
            raise _refused(flag, f"one of {', '.join(map(str, get_args(kind)))}", value)
        return value
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if isinstance(value, tuple | list) and len(value) > SETTING_VALUES:
            raise ConfigError(expected(flag, f"at most {SETTING_VALUES:,} values", f"{len(value):,}"))
        if not isinstance(value, tuple | list) or (others != [...] and len(value) != 1 + len(others)):
            raise _refused(flag, "a tuple" if others == [...] else f"a tuple of {1 + len(others)}", value)
        kinds = [first] * len(value) if others == [...] else [first, *others]
        return tuple(_of_type(one, kind, flag) for one, kind in zip(value, kinds, strict=True))
    if isinstance(kind, type) and is_dataclass(kind) and not isinstance(value, kind):
        raise ConfigError(expected(flag, kind.__name__, type(value).__name__))
    what, is_one, made = _RULES.get(kind, ("", _anything, _itself))
    if not is_one(value):
        raise _refused(flag, what, value)
    if isinstance(value, str | PathLike) and (found := unusable_text(str(value))) is not None:
        raise ConfigError(expected(flag, "a text in UTF-8", found))
    return made(value)


def unusable_text(text: str) -> str | None:
    """Why a text can be no setting: it could not be written to a file and read again. None: it can be one.

    Example:
        >>> unusable_text("runs/first"), unusable_text("a" + chr(0))
        (None, 'one with NUL in it')
    """
    if len(text) > SETTING_CHARACTERS:
        return f"one of more than {SETTING_CHARACTERS:,} characters"
    if "\0" in text:
        return "one with NUL in it"
    return "other bytes" if any("\ud800" <= c <= "\udfff" for c in text) else None


def _of_one_of(value: Any, kinds: tuple[Any, ...], flag: str) -> Any:
    *others, last = [kind for kind in kinds if kind is not NoneType]
    if value is None and NoneType in kinds:
        return None
    for kind in others:
        try:
            return _of_type(value, kind, flag)
        except ConfigError:
            continue
    return _of_type(value, last, flag)


def _refused(flag: str, what: str, value: Any) -> ConfigError:
    is_short = not isinstance(value, Integral) or abs(int(value)) < 10**_MOST_CHARACTERS  # else it cannot be written
    is_plain = (isinstance(value, str | Real) or value is None) and is_short and len(repr(value)) <= _MOST_CHARACTERS
    return ConfigError(expected(flag, what, repr(value) if is_plain else f"a value of type {type(value).__name__}"))


def _anything(value: Any) -> bool:
    return True


def _itself(value: Any) -> Any:
    return value


def _is_number(value: Any) -> bool:
    if isinstance(value, Integral):
        return not isinstance(value, bool) and abs(int(value)) <= sys.float_info.max
    return isinstance(value, Real)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) < _MOST_WHOLE


_RULES: dict[Any, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    bool: ("True or False", lambda value: isinstance(value, bool), _itself),
    int: ("a whole number", _is_whole_number, int),
    float: ("a number", _is_number, float),
    str: ("a text", lambda value: isinstance(value, str), _itself),
    Path: ("a path", lambda value: isinstance(value, str | PathLike), Path),
}
"""Type of a field -> (in words, what is one, how it is made one)."""
