"""What can stand on the command line of each subcommand, for shells to complete: read from the dataclasses of flags."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent, shorten
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from simulation.config import RunConfig
from simulation.help_pages import ALL
from simulation.settings import flag_name
from simulation.subcommands import SUBCOMMANDS
from typefleet.doors import settings_fields

SWITCH, WORDS, FILES, FOLDERS, TEXT = "switch", "words", "files", "folders", "text"
_MOST_CHARACTERS = 90  # of what is said beside a flag


@dataclass(frozen=True)
class Option:
    """A flag, or a place for an argument without one."""

    flags: tuple[str, ...]  # ways to write it; none of an argument
    about: str  # in one line
    takes: str = TEXT  # SWITCH: nothing; WORDS: one of those; FILES, FOLDERS: a path; TEXT: what cannot be guessed
    words: tuple[str, ...] = ()
    many: bool = False  # values may follow one another
    with_kind: tuple[str, str] | None = None  # (flag that chooses it, kind): it is there only then


@dataclass(frozen=True)
class Chooser:
    """A flag that chooses a kind, and with it which other flags there are."""

    flag: str
    default: str  # the kind where nobody chooses
    implied_by: tuple[tuple[str, str], ...]  # (another flag, the kind that it chooses)


@dataclass(frozen=True)
class CompletedCommand:
    """A subcommand and all that may follow it."""

    name: str
    about: str
    options: tuple[Option, ...]
    kinds: tuple["Chooser", ...]

    @property
    def flags(self) -> list[Option]:
        """Those that are flags."""
        return [option for option in self.options if option.flags]

    @property
    def argument(self) -> Option | None:
        """What stands without a flag; no subcommand has two such."""
        return next((option for option in self.options if not option.flags), None)


def completed_commands() -> list[CompletedCommand]:
    """Every subcommand, in the order in which they are listed."""
    return [_completed(name) for name in SUBCOMMANDS]


def _completed(name: str) -> CompletedCommand:
    about, module = SUBCOMMANDS[name].about, import_module(f"simulation.commands.{SUBCOMMANDS[name].module}")
    ignores = getattr(module, "ignores", lambda path: False)
    found = [option for path, option in _options(module.Flags, ()) if not ignores(path)]
    kinds = tuple(chooser for path, chooser in _choosers(module.Flags, ()) if not ignores(path))
    if RunConfig in get_type_hints(module.Flags).values():  # whose help has pages
        groups = (f.name for f in fields(RunConfig) if f.default is MISSING and not ignores((f.name,)))
        words = tuple(flag_name((name,))[2:] for name in groups)
        found.append(Option(("--help",), "What is set most often, or one group of settings", WORDS, words))
        found.append(Option((ALL,), "Every setting", SWITCH))
    else:
        found.append(Option(("--help",), "What each flag does", SWITCH))
    return CompletedCommand(name, about, tuple(found), kinds)


def _choosers(kind: Any, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Chooser]]:
    """Where a kind is chosen, each with the path of the setting that does."""
    defaults = {f.name: f.default for f in fields(kind)}
    for mark in settings_fields(kind).values():
        path = (*prefix, mark.selector)
        implied = tuple((flag_name((*prefix, name)), chosen) for name, chosen in mark.implied_by)
        yield path, Chooser(flag_name(path), str(defaults[mark.selector]), implied)
    for inner_prefix, inner in _sections(kind, prefix):
        yield from _choosers(inner, inner_prefix)


def _sections(kind: Any, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Dataclasses among the fields of one, each with the path of its own fields; not those of kinds."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        plain, marks = _split(hint)
        if isinstance(plain, type) and is_dataclass(plain) and name not in settings_fields(kind):
            is_flat = any(getattr(mark, "name", None) == "" for mark in marks)
            yield (prefix if is_flat else (*prefix, name)), plain


def _options(kind: Any, prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Option]]:
    """Each with the path of its setting; those of sections and of kinds after the fields themselves."""
    hints = get_type_hints(kind, include_extras=True)
    doors = {mark.selector: mark.door for mark in settings_fields(kind).values()}
    for name in (f.name for f in fields(kind)):
        plain, marks = _split(hints[name])
        if not (isinstance(plain, type) and is_dataclass(plain)):
            takes = Option((), "", WORDS, doors[name].names) if name in doors else _value(plain, marks, name)
            option = replace(takes, about=_texts(kind).get(name, ""))
            path = (*prefix, name)
            yield path, option if tyro.conf.Positional in marks else replace(option, flags=_flags(path, option, marks))
    for path, inner in _sections(kind, prefix):
        yield from _options(inner, path)
    for mark in settings_fields(kind).values():
        implied = {name for name, _ in mark.implied_by}
        for one in mark.door.kinds():
            goes_with = (flag_name((*prefix, mark.selector)), one.name)
            for path, option in _options(one.settings, prefix):
                yield path, option if path[-1] in implied else replace(option, with_kind=goes_with)


def _flags(path: tuple[str, ...], option: Option, marks: tuple[Any, ...]) -> tuple[str, ...]:
    """Every way to write the flag of a setting."""
    aliases = [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]
    negation = [flag_name((*path[:-1], f"no_{path[-1]}"))] if option.takes == SWITCH else []
    return (flag_name(path), *aliases, *negation)


def _value(plain: Any, marks: tuple[Any, ...], name: str) -> Option:
    """What a flag of this type takes."""
    named = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), "")
    if named.startswith("{"):
        return Option((), "", WORDS, tuple(named.strip("{}").split(",")), get_origin(plain) is tuple)
    inner = [one for one in get_args(plain) if one is not type(None)]
    if get_origin(plain) in (Union, UnionType):
        found = [_value(*_split(one), name) for one in inner]
        return next((one for one in found if one.takes != TEXT), Option((), ""))
    if get_origin(plain) is tuple:
        return replace(_value(*_split(inner[0]), name), many=True)
    if get_origin(plain) is Literal:
        return Option((), "", WORDS, tuple(map(str, get_args(plain))))
    if plain is bool:
        return Option((), "", SWITCH)
    if plain is Path:
        return Option((), "", FOLDERS if name.endswith("_dir") or name in ("runs", "resume", "compare") else FILES)
    return Option((), "")


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what stands beside it in `Annotated`."""
    if get_origin(hint) is Annotated:
        plain, *marks = get_args(hint)
        return plain, tuple(marks)
    return hint, ()


@cache
def _texts(kind: type) -> dict[str, str]:
    """The first sentence of each field's docstring, on one line; of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__[:-1]):
        (body,) = (n.body for n in ast.parse(dedent(inspect.getsource(owner))).body if isinstance(n, ast.ClassDef))
        for statement, following in zip(body, body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                said = following.value if isinstance(following, ast.Expr) else None
                if isinstance(said, ast.Constant) and isinstance(said.value, str):
                    found[statement.target.id] = _first_sentence(said.value)
    return found


def _first_sentence(text: str) -> str:
    sentence = " ".join(text.split()).partition(". ")[0].rstrip(".")
    return shorten(sentence, _MOST_CHARACTERS, placeholder=" ...")
