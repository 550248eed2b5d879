"""Doors: places where somebody else's part can be put in the place of one of ours.

A *door* is a family of exchangeable parts: noise mechanisms, cells, local and server optimizers, availability models,
round policies, message formats, metrics. A *kind* is one member of a family: its name, a line about it, its own
settings, and what makes it. There are three ways in:

1. hand in the object: `DPFedAvg(mechanism=...)`, `Fleet(availability=...)`, `simulate(config, cell=...)`; nothing
   needs to be registered;
2. `DOOR.register(Kind(...))`: from then on the name works in a configuration of this process, and within
   `with DOOR.lend(Kind(...)):` for that long;
3. an entry point of an installed package, in the door's group: the name works in every process, as ours do.

       [project.entry-points."typefleet.mechanisms"]
       mine = "my_package.my_mechanism:KIND"

Built-in kinds are named by where they stand, so that only the chosen one is imported.

A kind's settings are a frozen dataclass of its own, a subclass of `KindSettings`. They lie flat beside the name that
chooses the kind: with `--privacy.mechanism blt` there is `--privacy.buffers`, and without there is not.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import get_annotations
from logging import getLogger
from typing import Any, Generic, TypeVar, get_type_hints

import tyro

from typefleet.errors import ConfigError, UnknownKindError, expected
from typefleet.own_parts import made_by, require_object

T = TypeVar("T")
_LOG = getLogger("typefleet")
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class KindSettings:
    """Base of the settings that a kind brings; by itself: the defaults of whatever kind is chosen."""

    def check(self, flag: Callable[[str], str]) -> None:  # most have no such rule
        """Check the rules between these settings; bounds on single ones are marks in `Annotated`.

        Args:
            flag: says how a message calls a setting: `--fleet.session-mean-h` for `session_mean_h`.

        Raises:
            ConfigError: a rule is broken.
        """

    def unused(self, flag: Callable[[str], str]) -> Mapping[str, str]:
        """Settings of the section that change nothing beside these, by name, and with or without what they would.

        They are refused where they are given, so that none is ignored in silence.

        Args:
            flag: as in `check`.
        """
        return {}


FLAT: Any = tyro.conf.arg(name="")
"""Marks a field of settings, in `Annotated`, whose own fields lie flat beside it."""


@dataclass(frozen=True)
class PlotStyle:
    """How a kind is drawn, the same in every figure."""

    colour: str  # as matplotlib takes it
    marker: str = "o"
    line: str = "-"


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One member of a family.

    Attributes:
        name: in lower case, as flags and files have it.
        description: one line, for help, statements and reports.
        make: makes the part; its arguments are stated where the door is.
        settings: the dataclass of its own settings.
        style: how it is drawn; None: as the figure sees fit.
    """

    name: str
    description: str
    make: Callable[..., T]
    settings: type[KindSettings] = KindSettings
    style: PlotStyle | None = None

    def require_usable(self, where: str) -> None:
        """Refuse a kind that no flag or file could name, or whose settings they could leave out only to fail.

        Raises:
            ConfigError: a name that is none, nothing that makes it, or settings that are none or lack a default.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(expected(where, "a name of lower-case letters, digits, _ and -", repr(self.name)))
        if not callable(self.make):
            raise ConfigError(expected(where, "a make that can be called", type(self.make).__name__))
        if not (isinstance(self.settings, type) and issubclass(self.settings, KindSettings)):
            raise ConfigError(expected(where, "settings that are a subclass of KindSettings", repr(self.settings)))
        if get_annotations(self.settings) and "__dataclass_fields__" not in vars(self.settings):
            raise ConfigError(expected(where, "settings that are a dataclass", self.settings.__name__))
        try:
            self.settings()
        except TypeError as error:
            raise ConfigError(expected(where, "settings that all have a default", error)) from error

    @property
    def may_be_nothing(self) -> bool:
        """Whether `make` may give None, as a part that does nothing."""
        return False


@cache
def _all_entry_points() -> Any:
    """Of all groups, read once: it looks into every installed package."""
    return entry_points()


class Door(Generic[T]):
    """A family of exchangeable parts.

    Args:
        what: the family in words, such as `noise mechanism`.
        group: of the entry points, such as `typefleet.mechanisms`.
        built_in: name -> `module:attribute` of a `Kind`, imported when it is first asked for.
        needs: what a part of the family has, by name.

    Example:
        >>> door = Door("greeting", "typefleet.greetings", {})
        >>> door.register(Kind("hello", "the usual one", make=lambda: "hello"))
        >>> door.kind("hello").make()
        'hello'
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str], needs: tuple[str, ...] = ()) -> None:
        self.what, self.group, self.needs = what, group, needs
        self._places = dict(built_in)
        self._kinds: dict[str, Kind[T]] = {}

    def register(self, kind: Kind[T]) -> None:
        """Let a kind in under its name, for this process.

        Raises:
            ConfigError: it is no kind, or cannot be used as one, or the name is taken by another.
        """
        if not isinstance(kind, Kind):
            raise ConfigError(expected(self.what, "a Kind", type(kind).__name__))
        kind.require_usable(f"{self.what} {kind.name!r}")
        known = self._entry_points() if kind.name not in self._kinds else self._kinds
        if kind.name in self._places or (kind.name in known and self.kind(kind.name) is not kind):
            raise ConfigError(expected(f"{self.what} {kind.name!r}", "a name that is free", "it taken"))
        self._kinds[kind.name] = kind

    def register_places(self, places: Mapping[str, str]) -> None:
        """Let kinds in by where they stand, so that each is imported only when it is first asked for.

        For a package whose kinds belong to a door that stands in a package below it.

        Args:
            places: name -> `module:attribute` of a `Kind`.

        Raises:
            ConfigError: a name is taken by another kind.
        """
        for name, place in places.items():
            if name in self._kinds or self._places.get(name, place) != place:
                raise ConfigError(expected(f"{self.what} {name!r}", "a name that is free", "it taken"))
        self._places |= places

    @contextmanager
    def lend(self, kind: Kind[T]) -> Iterator[None]:
        """Let a kind in for the length of a block.

        Raises:
            ConfigError: the name is taken by another kind.
        """
        before = self._kinds.get(kind.name)
        self.register(kind)
        try:
            yield
        finally:
            if before is None:
                del self._kinds[kind.name]

    @property
    def built_in(self) -> tuple[str, ...]:
        """The names of our own kinds."""
        return tuple(self._places)

    def every_process_finds(self, name: str) -> bool:
        """Whether a name works in all processes, and not only in this one, which a kind was registered in."""
        return name in self._places or name in self._entry_points()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the built-in ones first."""
        return tuple(dict.fromkeys([*self._places, *self._kinds, *self._entry_points()]))

    def kind(self, name: str) -> Kind[T]:
        """The kind of a name, imported now if it was not.

        Raises:
            UnknownKindError: nothing has this name; suggests one that does.
            ConfigError: an entry point that cannot be loaded, or gives no kind.
        """
        if name not in self._kinds:
            self._kinds[name] = self._load(name)
        return self._kinds[name]

    def kinds(self) -> Iterator[Kind[T]]:
        """All kinds that can be loaded, for whoever looks at each of them.

        An entry point that is broken is left out: the package that brings it need not have to do with the command.
        """
        for name in self.names:
            try:
                yield self.kind(name)
            except ConfigError:
                continue

    def made(self, kind: Kind[T], *arguments: Any) -> T:
        """What a kind makes.

        Args:
            kind: of this door.
            arguments: of its `make`, as stated where the door is.

        Raises:
            ConfigError: it raises, or makes something else than a part of the family.
            InputError: the settings cannot be used.
        """
        where = f"{self.what} {kind.name!r}"
        part = made_by(where, kind.make, arguments)
        if not (part is None and kind.may_be_nothing):
            require_object(where, part, self.needs)
        return part

    @property
    def choice(self) -> Any:
        """Marks a field, in `Annotated`, that holds a name behind this door: help lists the names."""
        return tyro.conf.arg(metavar="{" + ",".join(self.names) + "}")

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in _all_entry_points().select(group=self.group)}

    def _load(self, name: str) -> Kind[T]:
        points = self._entry_points()
        if name in self._places:
            if name in points:
                where = f"{self.group}: {name} of {_package(points[name])}"
                _LOG.warning("%s", expected(where, "a name that is free", "Typefleet's own, which is used instead"))
            module, _, attribute = self._places[name].partition(":")
            own: Kind[T] = getattr(import_module(module), attribute)
            return own
        if name in points:
            return self._load_entry_point(points[name])
        close = difflib.get_close_matches(name, self.names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UnknownKindError(expected(self.what, f"one of {', '.join(self.names)}", f"{name!r}{hint}"))

    def _load_entry_point(self, point: EntryPoint) -> Kind[T]:
        where = f"{self.group}: {point.name} of {_package(point)}"
        try:
            found = point.load()
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(expected(where, f"{point.value} to be there", reason)) from error
        if not isinstance(found, Kind) or found.name != point.name:
            other = f"a Kind named {found.name!r}" if isinstance(found, Kind) else type(found).__name__
            raise ConfigError(expected(where, "a Kind of that name", other))
        found.require_usable(where)
        return found


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name if point.dist is not None else point.module}"


@dataclass(frozen=True)
class SettingsOf:
    """Marks a field, in `Annotated`, that holds the settings of a chosen kind.

    Attributes:
        selector: name of the field beside it that has the kind's name.
        door: where that name is looked up.
        implied_by: (setting, kind): where no kind is named, giving this setting of its own chooses the kind, so that
            `--fleet.trace recorded.csv` is enough.
    """

    selector: str
    door: Door[Any] = field(repr=False)
    implied_by: tuple[tuple[str, str], ...] = ()


def settings_fields(config: type) -> Mapping[str, SettingsOf]:
    """The fields of a dataclass that hold settings of kinds, by name."""
    return _settings_fields(config)


@cache
def _settings_fields(config: Any) -> Mapping[str, SettingsOf]:
    found = {}
    for name, hint in get_type_hints(config, include_extras=True).items():
        marks = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, SettingsOf)]
        if marks:
            found[name] = marks[0]
    return found


def chosen(config: Any, selector: str) -> tuple[Kind[Any], KindSettings]:
    """The kind that a configuration names, and its settings: those given, or the kind's defaults.

    Args:
        config: a dataclass with a field that holds the kind's name and one marked with `SettingsOf` it.
        selector: name of the first of the two.

    Raises:
        UnknownKindError: no kind has the name.
        ConfigError: settings of another kind, or of a name that the configuration has already.
    """
    ((place, mark),) = [(f, m) for f, m in settings_fields(type(config)).items() if m.selector == selector]
    name, given = getattr(config, selector), getattr(config, place)
    kind = mark.door.kind(name)
    taken = {f.name for f in fields(config)} & {f.name for f in fields(kind.settings)}
    if taken:
        free = f"settings with names that {type(config).__name__} has not"
        raise ConfigError(expected(f"{mark.door.what} {name!r}", free, ", ".join(sorted(taken))))
    if type(given) is KindSettings:
        return kind, kind.settings()
    if kind.settings is KindSettings or not isinstance(given, kind.settings):
        what = f"{kind.settings.__name__} with {selector} {name!r}"
        raise ConfigError(expected(f"{type(config).__name__}.{place}", what, type(given).__name__))
    return kind, given
