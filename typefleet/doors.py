"""Doors: places where somebody else's part can be put in the place of one of ours.

A *door* is a family of exchangeable parts: noise mechanisms, cells, server optimizers, availability models, round
policies, message formats, metrics. A *kind* is one member of a family: its name, a line about it, its own settings,
and what makes it. There are three ways in:

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, get_type_hints

import tyro

from typefleet.errors import ConfigError, UnknownKindError, expected

T = TypeVar("T")


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

    Example:
        >>> door = Door("greeting", "typefleet.greetings", {})
        >>> door.register(Kind("hello", "the usual one", make=lambda: "hello"))
        >>> door.kind("hello").make()
        'hello'
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str]) -> None:
        self.what, self.group = what, group
        self._places = dict(built_in)
        self._kinds: dict[str, Kind[T]] = {}

    def register(self, kind: Kind[T]) -> None:
        """Let a kind in under its name, for this process.

        Raises:
            ConfigError: the name is taken by another kind.
        """
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
            ConfigError: an entry point that gives no kind.
        """
        if name not in self._kinds:
            self._kinds[name] = self._load(name)
        return self._kinds[name]

    @property
    def choice(self) -> Any:
        """Marks a field, in `Annotated`, that holds a name behind this door: help lists the names."""
        return tyro.conf.arg(metavar="{" + ",".join(self.names) + "}")

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in _all_entry_points().select(group=self.group)}

    def _load(self, name: str) -> Kind[T]:
        if name in self._places:
            module, _, attribute = self._places[name].partition(":")
            found = getattr(import_module(module), attribute)
        elif name in (points := self._entry_points()):
            found = points[name].load()
        else:
            close = difflib.get_close_matches(name, self.names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UnknownKindError(expected(self.what, f"one of {', '.join(self.names)}", f"{name!r}{hint}"))
        if not isinstance(found, Kind) or found.name != name:
            raise ConfigError(expected(f"{self.group}: {name}", "a Kind of that name", repr(found)))
        return found


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
        ConfigError: settings of another kind.
    """
    ((place, mark),) = [(f, m) for f, m in settings_fields(type(config)).items() if m.selector == selector]
    name, given = getattr(config, selector), getattr(config, place)
    kind = mark.door.kind(name)
    if type(given) is KindSettings:
        return kind, kind.settings()
    if kind.settings is KindSettings or not isinstance(given, kind.settings):
        what = f"{kind.settings.__name__} with {selector} {name!r}"
        raise ConfigError(expected(f"{type(config).__name__}.{place}", what, type(given).__name__))
    return kind, given
