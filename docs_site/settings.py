"""The flags of a dataclass: name, type, default, bounds and docstring, those of every kind under their kind."""

import dataclasses
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types as at
import tyro

from docs_site.source import field_docs
from simulation.settings import flag_name
from typefleet.doors import Door, SettingsOf, settings_fields

ROOT = Path(__file__).parents[1]
_NUMBERS = {int: "whole number", float: "number"}
_WORDS = {bool: "on or off", str: "text", Path: "path", **_NUMBERS}
_SIGNS = {at.Gt: (">", "gt"), at.Ge: (">=", "ge"), at.Lt: ("<", "lt"), at.Le: ("<=", "le")}


@dataclass(frozen=True)
class Setting:
    """One flag.

    Attributes:
        flag: as it is given; of a positional argument, its name in capitals.
        kind: `--privacy.mechanism blt` if it is there only with that.
        type: in words.
        default: as it would be given; None: it has to be given.
        bounds: `>= 1, < 10`, or nothing.
        text: its docstring.
        choices: of a name of an extension point: every kind's name and description.
    """

    flag: str
    kind: str
    type: str
    default: str | None
    bounds: str
    text: str
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Found:
    """A field that is to be said."""

    field: Field[Any]
    hint: Any
    path: tuple[str, ...]
    text: str
    door: Door[Any] | None


def settings_of(kind: type, prefix: tuple[str, ...] = (), only_with: str = "") -> Iterator[Setting]:
    """Every flag that a dataclass of settings stands for, in the order of its fields.

    Args:
        kind: the dataclass.
        prefix: path of the section that it is.
        only_with: the choice that brings it, if it is a kind's settings.
    """
    hints, docs, doors = get_type_hints(kind, include_extras=True), field_docs(kind), settings_fields(kind)
    chooses = {mark.selector: mark.door for mark in doors.values()}
    kinds: list[tuple[SettingsOf, tuple[str, ...]]] = []
    for field in dataclasses.fields(kind):
        plain_hint, marks = _split(hints[field.name])
        path = (*prefix, field.name)
        if field.name in doors:
            kinds.append((doors[field.name], (*prefix, doors[field.name].selector)))
        elif isinstance(plain_hint, type) and is_dataclass(plain_hint):
            is_flat = any(getattr(mark, "name", None) == "" for mark in marks)
            yield from settings_of(plain_hint, prefix if is_flat else path, only_with)
        else:
            found = _Found(field, hints[field.name], path, docs.get(field.name, ""), chooses.get(field.name))
            yield _setting(found, only_with)
    for mark, path in kinds:
        for name in mark.door.built_in:
            yield from settings_of(mark.door.kind(name).settings, path[:-1], f"{flag_name(path)} {name}")


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without what `Annotated` adds to it, and that."""
    if get_origin(hint) is Annotated:
        plain_hint, *marks = get_args(hint)
        return plain_hint, tuple(marks)
    return hint, ()


def _setting(found: _Found, only_with: str) -> Setting:
    hint, marks = _split(found.hint)
    is_positional = any(mark is tyro.conf.Positional for mark in marks)
    flag = found.field.name.upper() if is_positional else flag_name(found.path)
    if hint is bool and not is_positional:
        flag += f", {flag_name((*found.path[:-1], f'no_{found.path[-1]}'))}"
    for mark in marks:
        flag += "".join(f", {alias}" for alias in getattr(mark, "aliases", None) or ())
    choices: tuple[tuple[str, str], ...] = ()
    if found.door is not None:
        choices = tuple((name, found.door.kind(name).description) for name in found.door.built_in)
    type_in_words = "one of " + ", ".join(f"`{name}`" for name, _ in choices) if choices else _type_words(hint)
    return Setting(
        flag=flag,
        kind=only_with,
        type=type_in_words,
        default=_default(found.field),
        bounds=_bounds(marks),
        text=found.text,
        choices=choices,
    )


def _type_words(hint: Any) -> str:
    hint, _ = _split(hint)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(one) for one in get_args(hint) if one is not NoneType)
    if origin is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in get_args(hint))
    if origin is tuple:
        first, *others = get_args(hint)
        word = _type_words(first)
        return f"any number of: {word}" if others == [...] else f"{1 + len(others)} times: {word}"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _default(field: Field[Any]) -> str | None:
    if field.default_factory is not MISSING:
        return _value_words(field.default_factory())
    return None if field.default is MISSING else _value_words(field.default)


def _value_words(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        value = value.relative_to(ROOT)
    return f"`{value}`"


def _bounds(marks: tuple[Any, ...]) -> str:
    found = []
    for mark in marks:
        for single in mark if isinstance(mark, at.GroupedMetadata) else (mark,):
            if type(single) in _SIGNS:
                sign, attribute = _SIGNS[type(single)]
                bound = getattr(single, attribute)
                found.append(f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}")
    return ", ".join(found)
