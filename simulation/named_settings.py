"""The part of a tree of settings that a command line names, so that a parser is made of that part alone.

tyro makes a parser of all that it is given, here of some hundred and fifty settings, before it reads a word; a command
line names two or three.
"""

from collections.abc import Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from typefleet.doors import settings_fields

T = TypeVar("T")
Path = tuple[str, ...]  # of a setting in its tree
_KEPT = 1000  # classes of parts


def named_part(flags: Any, base: Any, argv: Sequence[str]) -> Any:
    """Flags of a script as a dataclass without the settings that no argument names.

    Args:
        flags: of the script, with the tree `base` as one of its fields.
        base: the tree. Settings that are in no section stay.
        argv: the arguments, of which each flag is one that is known.
    """
    named: set[Path] = set()
    for argument in argv:
        if argument.startswith("--"):
            *sections, last = argument[2:].partition("=")[0].replace("-", "_").split(".")
            named |= {(*sections, last), (*sections, last.removeprefix("no_"))}  # --engine.no-profile, too
    named |= {(f.name,) for f in fields(base) if not is_dataclass(getattr(base, f.name))}
    kept = {f.name: base if getattr(flags, f.name) is base else getattr(flags, f.name) for f in fields(flags)}
    parts = {name: _part(base, named, ()) if value is base else value for name, value in kept.items()}
    classes = tuple((name, type(part) if kept[name] is base else None) for name, part in parts.items())
    return _reduced(flags.__class__, classes)(**parts)


def whole_again(part: Any, whole: T) -> T:
    """A tree with what was parsed of its part, and all else as it was."""
    changes = {}
    for f in fields(part):
        now, parsed = getattr(whole, f.name), getattr(part, f.name)
        changes[f.name] = whole_again(parsed, now) if is_dataclass(now) else parsed
    return replace(whole, **changes)  # type: ignore[type-var]


def _part(config: Any, named: set[Path], prefix: Path) -> Any:
    """An instance of a class with the fields that are named, or None."""
    flat, parts = settings_fields(type(config)), {}
    classes: list[tuple[str, type | None]] = []
    for f in fields(config):
        value = getattr(config, f.name)
        path = prefix if f.name in flat else (*prefix, f.name)
        if is_dataclass(value):
            part = _part(value, named, path)
            if part is not None:
                parts[f.name] = part
                classes.append((f.name, type(part)))
        elif path in named:
            parts[f.name] = value
            classes.append((f.name, None))
    return _reduced(config.__class__, tuple(classes))(**parts) if parts else None


@lru_cache(_KEPT)
def _reduced(whole: type, kept: tuple[tuple[str, type | None], ...]) -> type:
    """A class with some of the fields of another, and their marks; a section's is of its own reduced class."""
    hints, made = get_type_hints(whole, include_extras=True), []
    for name, of_section in kept:
        marks = get_args(hints[name])[1:] if hasattr(hints[name], "__metadata__") else ()
        hint = hints[name] if of_section is None else Annotated[(of_section, *marks)] if marks else of_section
        # Without a help of its own, tyro would read and parse the source for what stands there of the section.
        made.append((name, hint, field(kw_only=True, metadata={"help": ""})))
    return make_dataclass(whole.__name__, made, frozen=True)
