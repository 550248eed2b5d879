"""Settings as trees of frozen dataclasses: their names, their flags, their bounds, the settings of chosen kinds.

Bounds are `annotated_types` marks on the fields, so that one checker states every violation in the same words. A
section may name a kind (`privacy.mechanism`) and hold that kind's own settings; these lie flat in the section, as
if they were its fields, see `typefleet.doors`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import annotated_types
from annotated_types import Ge, Gt, Le, Lt

from typefleet.doors import Door, KindSettings, chosen, settings_fields
from typefleet.errors import ConfigError, UnknownKindError, expected, said_of
from typefleet.setting_types import Formerly, hints_of
from typefleet.setting_types import flag_name as flag_name
from typefleet.setting_types import typed as typed
from typefleet.untrusted.limits import SETTING_MAGNITUDE

Path = tuple[str, ...]  # of a setting in its tree
T = TypeVar("T")


def leaves(config: Any, prefix: Path = ()) -> dict[Path, Any]:
    """Every setting of a tree of dataclasses, by its path; a chosen kind's settings stand beside its name."""
    found: dict[Path, Any] = {}
    flat = settings_fields(type(config))
    for f in fields(config):
        value = getattr(config, f.name)
        path = prefix if f.name in flat else (*prefix, f.name)
        found.update(leaves(value, path) if is_dataclass(value) else {path: value})
    return found


def with_values(config: T, values: Mapping[Path, Any], prefix: Path = ()) -> T:
    """The same tree with other values of some settings, by their path."""
    changes: dict[str, Any] = {}
    flat = settings_fields(type(config))
    for f in fields(config):  # type: ignore[arg-type]
        now = getattr(config, f.name)
        path = prefix if f.name in flat else (*prefix, f.name)
        if is_dataclass(now):
            changes[f.name] = with_values(now, values, path)
        elif path in values:
            changes[f.name] = values[path]
    return replace(config, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class Selector:
    """A place where a kind is chosen."""

    path: Path  # of the name
    settings: str  # field that holds the kind's settings, beside it
    door: Door[Any]
    implied_by: tuple[tuple[str, str], ...] = ()  # (setting, the kind it chooses where none is named)

    def kind_given(self, value_of: Callable[[Path], Any]) -> Any:
        """The kind that is named, or implied by a setting that only it has; None if neither.

        Args:
            value_of: what is given for a setting, None if nothing is.
        """
        implied = (kind for name, kind in self.implied_by if value_of((*self.path[:-1], name)) is not None)
        return value_of(self.path) or next(implied, None)


def selectors(config: Any, prefix: Path = ()) -> Iterator[Selector]:
    """Every place in a tree where a kind is chosen."""
    for field_name, mark in settings_fields(type(config)).items():
        yield Selector((*prefix, mark.selector), field_name, mark.door, mark.implied_by)
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value) and not isinstance(value, KindSettings):
            yield from selectors(value, (*prefix, f.name))


def choose(config: T, names: Mapping[Path, str], prefix: Path = ()) -> T:
    """The same tree with other kinds, and the settings of every chosen kind filled in.

    Args:
        config: a tree of dataclasses.
        names: the kinds to choose, by the path of the name; the others stay as they are. A kind that takes
            another's place comes with its defaults, but for settings that both have and that were changed: a file's
            `cohort.deadline_s` holds for the policy that a flag chooses, too.
        prefix: path of the tree itself.

    Raises:
        ConfigError: an unknown name, or settings of another kind.
    """
    changes: dict[str, Any] = {}
    for field_name, mark in settings_fields(type(config)).items():
        path = (*prefix, mark.selector)
        now = getattr(config, mark.selector)
        name = names.get(path, now)
        try:
            _, changes[field_name] = chosen(config, mark.selector)
            if name != now:
                config = replace(config, **{mark.selector: name, field_name: KindSettings()})  # type: ignore[type-var]
                changes[field_name] = _carried_over(changes[field_name], chosen(config, mark.selector)[1])
        except UnknownKindError as error:
            raise ConfigError(said_of(flag_name(path), error)) from error
    for f in fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        if is_dataclass(value) and f.name not in changes:
            changes[f.name] = choose(value, names, (*prefix, f.name))
    return replace(config, **changes)  # type: ignore[type-var]


def _carried_over(before: KindSettings, after: KindSettings) -> KindSettings:
    """`after`, with what was changed in `before` where both have a setting of that name and type."""
    old, new, defaults = get_type_hints(type(before)), get_type_hints(type(after)), type(before)()
    kept = {
        name: getattr(before, name)
        for name in old.keys() & new.keys()
        if old[name] == new[name] and getattr(before, name) != getattr(defaults, name)
    }
    return replace(after, **kept)


def kinds_with(config: Any, path: Path) -> str | None:
    """What a setting that this tree lacks goes with: `--privacy.mechanism blt`; None if with no kind."""
    for selector in selectors(config):
        if selector.path[:-1] == path[:-1]:
            kinds = selector.door.kinds()
            owners = [kind.name for kind in kinds if path[-1] in (f.name for f in fields(kind.settings))]
            if owners:
                return f"{flag_name(selector.path)} {' or '.join(owners)}"
    return None


_BOUNDS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}
_HOLDS = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}
_Bound = tuple[str, float]  # sign and number


def check_bounds(config: Any, prefix: Path = (), *, begun: bool = False) -> None:
    """Hold every number of a tree to the bounds on its field, and on a side that has none to `SETTING_MAGNITUDE`.

    Args:
        config: the tree.
        prefix: path of the tree itself.
        begun: it is that of a run which began earlier: where a field had other bounds once, those hold.

    Raises:
        ConfigError: "--flag: expected a number > 0, found -1".
    """
    hints = hints_of(type(config))  # type: ignore[arg-type]
    flat = [name for name, hint in hints.items() if any(getattr(m, "name", None) == "" for m in _marks(hint))]
    for f in fields(config):
        value = getattr(config, f.name)
        path = prefix if f.name in flat else (*prefix, f.name)
        if is_dataclass(value):
            check_bounds(value, path, begun=begun)
            continue
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            what = "finite numbers" if isinstance(value, tuple) else "a finite number"
            raise ConfigError(expected(flag_name(path), what, " ".join(map(str, numbers))))
        own = list(_bounds_of(_marks(hints[f.name]), begun))
        for one in numbers:
            if isinstance(one, int | float):  # and not such as none in the place of a number
                _check_number(flag_name(path), one, own)


def flag_in(section: Path, name: str) -> str:
    """The flag of a setting of a section."""
    return flag_name((*section, name))


def kind_settings(config: Any, prefix: Path = ()) -> Iterator[tuple[Path, KindSettings]]:
    """The settings of every chosen kind of a tree, each with the path of the section that it lies in."""
    flat = settings_fields(type(config))
    for f in fields(config):
        value = getattr(config, f.name)
        if isinstance(value, KindSettings):
            yield (prefix if f.name in flat else (*prefix, f.name)), value
        elif is_dataclass(value):
            yield from kind_settings(value, (*prefix, f.name))


def check_kinds(config: Any) -> None:
    """Hold the settings of every chosen kind of a tree to the kind's own rules.

    Raises:
        ConfigError: a rule is broken; names the flag.
    """
    for section, settings in kind_settings(config):
        settings.check(partial(flag_in, section))


def _marks(hint: Any) -> tuple[Any, ...]:
    """What stands beside the type in `Annotated`."""
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _bounds_of(marks: Iterable[Any], begun: bool) -> Iterator[_Bound]:
    """The bounds among the marks of a field; of a run that began earlier the former ones, where there were others."""
    former = [mark.bound for mark in marks if isinstance(mark, Formerly)]
    for mark in former if begun and former else marks:
        if isinstance(mark, annotated_types.GroupedMetadata):  # such as Interval
            yield from _bounds_of(mark, begun)
        elif isinstance(mark, annotated_types.BaseMetadata) and type(mark) in _BOUNDS:
            sign, attribute = _BOUNDS[type(mark)]
            yield sign, getattr(mark, attribute)


def _check_number(flag: str, value: float, own: Sequence[_Bound]) -> None:
    """Hold a number to the bounds of its field, and to those of any setting on a side where it has none."""
    if not all(_HOLDS[sign](value, bound) for sign, bound in own):
        raise ConfigError(expected(flag, f"a number {_in_words(own)}", value))
    signs = "".join(sign for sign, _ in own)
    least = [] if ">" in signs else [(">=", -float(SETTING_MAGNITUDE))]
    most = [] if "<" in signs else [("<=", float(SETTING_MAGNITUDE))]
    if not all(_HOLDS[sign](value, bound) for sign, bound in (*least, *most)):
        raise ConfigError(expected(flag, f"a number {_in_words([*least, *own, *most])}", value))


def _in_words(bounds: Iterable[_Bound]) -> str:
    """`>= 0 and < 1`."""
    return " and ".join(f"{sign} {f'{bound:g}' if isinstance(bound, float) else bound}" for sign, bound in bounds)
