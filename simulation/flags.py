"""From the command line and TOML files to a RunConfig: default < file < flag.

The flags are made from the dataclasses by tyro. `simulation.config_files` puts the values of a TOML file in their
places in the same dataclasses, held to the same types and bounds; so both know the same names, types and defaults.
"""

import contextlib
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from simulation.audit_trail import has_parsed, paths_in
from simulation.config import RunConfig
from simulation.config import settled as settled
from simulation.config_files import every_setting, kinds_in, values_in, with_given
from simulation.config_files import read_config as read_config
from simulation.config_files import result_settings as result_settings
from simulation.config_files import to_toml as to_toml
from simulation.help_pages import ALL, as_tyro_asks, captured, page_wanted, print_help
from simulation.named_settings import named_part, whole_again
from simulation.parser_messages import closest_name, in_one_form, unknown_flag
from simulation.run_arguments import require_run_folder, require_run_folders
from simulation.run_door import run_door as run_door
from simulation.settings import check_bounds, choose, flag_name, kinds_with, leaves, selectors
from simulation.unused import without_what_flags_switch_off
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import unusable_text

_LONGEST_NAME = 60  # of a flag, in a message

T = TypeVar("T")

# Of the hundred flags of a run; the others are a page away.
_OFTEN = (
    *("--config", "--print-config", "--resume", "--output-dir", "--rounds", "--seed"),
    *("--data.path", "--model.preset", "--model.cell", "--fleet.size", "--cohort.goal", "--privacy.mechanism"),
    *("--privacy.target-epsilon", "--engine.workers"),
)


@dataclass(frozen=True)
class SimulateFlags:
    """Simulate a fleet of phones that learn a keyboard model together.

    Settings come from the defaults below, then from --config, then from flags.
    """

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    config: Path | None = None
    """TOML file with the same tree of settings, such as a run's config.toml."""
    print_config: bool = False
    """Print the resolved configuration as TOML and stop."""
    resume: Path | None = None
    """Go on with the run in this folder; of the settings only those of engine, tracking and storage may differ."""


def parse_simulate(argv: Sequence[str]) -> SimulateFlags:
    """Parse the flags of scripts/simulate.py, reading --config or the resumed run's config.toml.

    Raises:
        ConfigError: anything unknown, malformed or out of bounds.
    """
    others = ("--config", "--print-config", "--no-print-config", "--resume")
    flags = parse_with_settings(SimulateFlags, argv, others, often=_OFTEN)
    has_parsed("simulate", argv, [] if flags.resume is None else [flags.resume])
    run = settled(flags.run)
    if flags.resume is not None:
        _require_same(run, settled(read_config(flags.resume / "config.toml")), flags.resume)
        if run.output_dir is not None:
            raise ConfigError(expected("--output-dir", "only without --resume", "it with"))
        run = replace(run, output_dir=flags.resume)
    return replace(flags, run=run)


def parse_with_settings(
    kind: type[T],
    argv: Sequence[str],
    others: Sequence[str],
    ignores: Callable[[tuple[str, ...]], bool] = lambda path: False,
    often: Sequence[str] = (),
    completed: Callable[[T], T] = lambda flags: flags,
    *,
    tell: Callable[[Sequence[str]], None] | None = None,
) -> T:
    """Parse the flags of a script that takes the settings of a run: default < file < flag.

    Which settings there are depends on the kinds that the file and the flags choose, so these are looked for first.

    Args:
        kind: dataclass of the flags; its one field without a default takes the settings.
        argv: the arguments.
        others: the script's own flags.
        ignores: does the script not look at the setting of this path? A file may have it, as it is made for runs;
            a flag for it is refused unless `tell` is there, and the help does not show it.
        often: flags that the first page of the help shows.
        completed: puts what the script's own flags say of a run into the settings, before it is asked which of these
            have an effect.
        tell: is handed the flags that were given for settings which the script does not look at, if there are any.

    Raises:
        ConfigError: anything unknown, malformed, or without effect; a folder in the place of a file.
    """
    require_text(argv)
    base, file = choose(RunConfig(), {}), None
    if "--resume" in others and (resume := _path_given(argv, "--resume")) is not None:
        require_run_folder(resume)
        file = resume / "config.toml"
        base = read_config(file)
    before = base
    if (config_file := _path_given(argv, "--config")) is not None:
        file = _no_folder_of_a_run(config_file)
        flagged = _kinds_given(argv, base)
        before = base = read_config(file, choose(base, flagged))
        # What the file says by itself: a kind that it leaves to the command line is still the default's.
        left = flagged.keys() - kinds_in(values_in(file), base).keys()
        before = choose(before, {path: leaves(RunConfig())[path] for path in left})
    parsed: Any = completed(parse_over(kind, argv, base, others, often=often, ignores=ignores))
    (name,) = (f.name for f in fields(parsed) if isinstance(getattr(parsed, f.name), RunConfig))
    given = {argument.split("=")[0] for argument in argv}

    def is_given(path: tuple[str, ...]) -> bool:
        return not given.isdisjoint((flag_name(path), _negation(path)))

    paths = {flag: path for path in leaves(getattr(parsed, name)) for flag in (flag_name(path), _negation(path))}
    unheeded = [flag for flag in paths if flag in given and ignores(paths[flag])]
    if unheeded and tell is None:
        raise ConfigError(expected(unheeded[0], "only for a run that trains", "it for one that does not"))
    run = without_what_flags_switch_off(getattr(parsed, name), before, file, is_given)
    if unheeded and tell is not None:
        tell(unheeded)
    changed: T = replace(parsed, **{name: run})
    return changed


def parse_over(
    kind: type[T],
    argv: Sequence[str],
    base: Any,
    others: Sequence[str],
    *,
    often: Sequence[str] = (),
    ignores: Callable[[tuple[str, ...]], bool] = lambda path: False,
) -> T:
    """Parse flags over the tree of settings `base`, as `parse_with_settings` does over a file's."""
    base = choose(base, _kinds_given(argv, base))
    reject_unknown(argv, base, others)
    make: Callable[[Any], T] = kind
    whole = make(base)
    if page_wanted(argv) is not None:
        hidden = frozenset(flag_name(path) for path in leaves(base) if ignores(path))
        return parse_with_tyro(kind, argv, whole, often, hidden)
    part = named_part(whole, base, argv)
    parsed = whole_again(parse_with_tyro(type(part), argv, part), whole)
    check_bounds(parsed)
    return parsed


def _value_given(argv: Sequence[str], name: str) -> str | None:
    """The last value that the arguments give a flag, as a parser would see it; None without one."""
    found = None
    for argument, following in pairwise([*argv, "--"]):
        flag, equals, value = argument.partition("=")
        if flag == name and (equals or not following.startswith("--")):
            found = value if equals else following
    return found


def _path_given(argv: Sequence[str], name: str) -> Path | None:
    value = _value_given(argv, name)
    if value == "":
        raise ConfigError(expected(name, "a path", "an empty one"))
    return None if value is None else Path(value)


def _no_folder_of_a_run(path: Path) -> Path:
    """The path of a file, which a run's folder is not: its settings are in a file of it."""
    inside = path / "config.toml"
    if path.is_dir() and inside.is_file():
        raise ConfigError(expected("--config", f"a TOML file, here {inside}", "the folder of a run"))
    return path


def _kinds_given(argv: Sequence[str], base: Any) -> dict[tuple[str, ...], str]:
    """The kinds that flags choose, by the path of the setting: they decide which other flags there are."""
    given = {s.path: s.kind_given(lambda path: _value_given(argv, flag_name(path))) for s in selectors(base)}
    return {path: name for path, name in given.items() if name is not None}


def parse_with_tyro(
    kind: type[T],
    argv: Sequence[str],
    default: T | None = None,
    often: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> T:
    """tyro.cli, with its framed error message and its help in our form.

    Args:
        kind: dataclass of the flags.
        argv: the arguments.
        default: what is taken where they say nothing.
        often: flags that the first page of the help shows; all if none are given.
        hidden: flags that no page of the help shows.

    Raises:
        ConfigError: tyro rejected the arguments, or a number is out of its bounds.
        SystemExit: help was asked for and printed.
    """
    require_text(argv)
    errors, wanted = io.StringIO(), page_wanted(argv)
    args = as_tyro_asks(argv, wanted)
    printed = None
    try:
        with contextlib.redirect_stderr(errors), captured(wanted) as printed:
            parsed = tyro.cli(kind, args=args) if default is None else tyro.cli(kind, args=args, default=default)
    except SystemExit as stop:
        if not stop.code and printed is not None:
            printed.seek(0)
            print_help(printed.read(), wanted, often, hidden)
            raise
        raise ConfigError(in_one_form(errors.getvalue(), argv)) from stop
    check_bounds(parsed)
    package, _, module = kind.__module__.rpartition(".")
    if package == "simulation.commands":
        require_run_folders(parsed)
        has_parsed(module, argv, paths_in(parsed))
    return parsed


def require_text(argv: Sequence[str]) -> None:
    """Refuse arguments that no file could hold again: bytes that are no text, or texts without end.

    Raises:
        ConfigError: names the flag, or the place of the argument.
    """
    for place, argument in enumerate(argv, start=1):
        if (found := unusable_text(argument)) is not None:
            name, equals, _ = argument.partition("=")
            where = name if equals and name.isprintable() and len(name) <= _LONGEST_NAME else f"argument {place}"
            raise ConfigError(expected(where, "a text in UTF-8", found))


def _negation(path: tuple[str, ...]) -> str:
    """--engine.no-profile for ("engine", "profile")."""
    return flag_name((*path[:-1], f"no_{path[-1]}"))


def reject_unknown(argv: Sequence[str], config: Any, others: Sequence[str] = ()) -> None:
    """Refuse flags that neither a tree of settings has nor the script.

    Args:
        argv: the arguments.
        config: the tree, with the kinds that the arguments choose.
        others: flags that are no settings.

    Raises:
        ConfigError: the first unknown flag, with what it may have been meant for.
    """
    settings = leaves(config)
    known = [*map(flag_name, settings), *others]
    negations = {_negation(path): path for path, value in settings.items() if isinstance(value, bool)}
    slips = {f"--no-{flag_name(path)[2:]}": negation for negation, path in negations.items()}  # --no-engine.profile
    for argument in argv:
        name = argument.split("=")[0]
        if name.startswith("--") and name not in (*known, *negations, "--help", ALL):
            path = tuple(name[2:].replace("-", "_").split("."))
            goes_with = kinds_with(config, path)
            if goes_with is not None:
                raise ConfigError(expected(name, f"only with {goes_with}", "it without"))
            raise ConfigError(unknown_flag(name, slips.get(name) or closest_name(name, known)))


def flags_for(given: dict[str, Any], base: RunConfig) -> list[str]:
    """The flags that stand for some settings.

    Args:
        given: values by dotted name.
        base: settings that they are given over; kinds among the values are chosen first.

    Raises:
        ConfigError: an unknown name, or a value of a wrong kind.
    """
    base = choose(base, kinds_in(given, base))
    values = leaves(with_given(given, base))
    return [argument for key in given for argument in _flag_with(tuple(key.split(".")), values)]


def _flag_with(path: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> list[str]:
    value = values[path]
    if isinstance(value, bool):
        return [flag_name(path) if value else _negation(path)]
    if isinstance(value, tuple):
        return [flag_name(path), *map(str, value)]
    return [f"{flag_name(path)}={value}"]


def _require_same(run: RunConfig, before: RunConfig, folder: Path) -> None:
    names = {**result_settings(before), **result_settings(run)}
    now, then = every_setting(run), every_setting(before)
    for name in names:
        value, earlier = now.get(name), then.get(name)
        if value != earlier:
            flag = flag_name(tuple(name.split(".")))
            before_it, found = (f"{'none' if one is None else one}" for one in (earlier, value))
            before_it += f" as in {folder / 'config.toml'}"
            raise ConfigError(
                expected(
                    flag, before_it, f"{found}; only --engine, --tracking and --storage settings may change on resume"
                )
            )
