"""A RunConfig in a TOML file: read over another one, written, and which of its settings may change a result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from client_model.public_start import path_setting
from simulation.config import RunConfig
from simulation.parser_messages import closest_name
from simulation.settings import check_bounds, choose, kinds_with, leaves, selectors, typed, with_values
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.toml_tables import read_toml

_LONGEST_KEY = 60  # of a file, in a message


def read_config(path: Path, base: RunConfig | None = None, *, begun: bool = False) -> RunConfig:
    """Read a TOML file over a base configuration.

    Args:
        path: of the file.
        base: the configuration; by default that of a run without any setting.
        begun: it is the config.toml of a run which is only looked at: a setting may be what it may be in no new run,
            and in none that goes on, where an earlier version let a run begin with it.

    Raises:
        ConfigError: the file is missing or malformed, or a key or value is wrong; names file and key.
    """
    given = values_in(path)
    base = choose(RunConfig(), {}) if base is None else base
    try:
        return with_given(given, choose(base, kinds_in(given, base)), begun=begun)
    except ConfigError as error:
        flag, _, rest = str(error).partition(": ")
        key = flag.removeprefix("--").replace("-", "_")
        raise ConfigError(f"{path}: {key}: {rest}") from error


def values_in(path: Path) -> dict[str, Any]:
    """Every value of a TOML file, by its dotted key.

    Args:
        path: of the file.

    Raises:
        ConfigError: the file cannot be read, or has a key twice, once with a dot in quotes.
    """
    found: dict[str, Any] = {}
    for key, value in _toml_leaves(read_toml(path, "a file that can be read", ConfigError)):
        if key in found:
            raise ConfigError(expected(f"{path}: {_shown(key)}", "each setting once", "it twice"))
        found[key] = value
    return found


def kinds_in(given: dict[str, Any], base: Any) -> dict[tuple[str, ...], str]:
    """The kinds that a file chooses, by the path of the setting.

    Args:
        given: values by dotted name.
        base: settings that they are given over.
    """
    names = {s.path: s.kind_given(lambda path: given.get(".".join(path))) for s in selectors(base)}
    return {path: name for path, name in names.items() if isinstance(name, str)}


def with_given(given: Mapping[str, Any], base: RunConfig, *, begun: bool = False) -> RunConfig:
    """Settings with the values of a file in their place, each of the type that its setting has.

    No value becomes a flag, so that none can be taken for another one.

    Args:
        given: values by dotted name.
        base: the settings, with the kinds that the file chooses.
        begun: see `read_config`.

    Raises:
        ConfigError: an unknown key, or a value of a wrong kind or out of bounds.
    """
    known = {".".join(path): path for path in leaves(base)}
    for key in given:
        if key not in known:
            goes_with = kinds_with(base, tuple(key.split(".")))
            if goes_with is not None:
                raise ConfigError(expected(key, f"only with {goes_with}", "it without"))
            meant = closest_name(key, list(known)) if _shown(key) == key else None
            hint = f"; did you mean {meant}?" if meant else ""
            raise ConfigError(expected(_shown(key), "a setting", f"none of that name{hint}"))
    config = typed(with_values(base, {known[key]: value for key, value in given.items()}))
    check_bounds(config, begun=begun)
    return config


def _shown(key: str) -> str:
    """A key that somebody wrote, as a message has it."""
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."


def _toml_leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += _toml_leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return found


def to_toml(config: RunConfig) -> str:
    """The whole tree as TOML; settings that are not set (None) are left out, as is the output folder."""
    tree: dict[str, Any] = {}
    for path, value in leaves(config).items():
        if value is None or path == ("output_dir",):
            continue
        at = tree
        for part in path[:-1]:
            at = at.setdefault(part, {})
        if isinstance(value, Path):
            value = path_setting(value)
        at[path[-1]] = list(value) if isinstance(value, tuple) else value
    return tomli_w.dumps(tree)


# What is said of other runs changes no result of this one.
_ABOUT_OTHER_RUNS = (("privacy", "account"), ("privacy", "total_epsilon"), ("model", "init_is_public"))


def result_settings(config: RunConfig) -> dict[str, Any]:
    """Every setting that may change a result, by dotted name: all but engine, trackers, storage and folders."""
    without = {("output_dir",), ("data", "cache_dir"), ("privacy", "keep_noise_secret"), *_ABOUT_OTHER_RUNS}
    added_up = config.aggregation
    is_as_ever = not added_up.is_summed and added_up.robust == "none"
    rooms = ("engine", "tracking", "storage", *(("aggregation",) if is_as_ever else ()))  # as if it were not there
    if config.training.optimizer == "sgd":
        without.add(("training", "optimizer"))
    if added_up.robust != "norm-screening":
        without.add(("aggregation", "screening_norm"))
    if added_up.robust != "cosine-screening":
        without.add(("aggregation", "screening_cosine"))
    left_out = {".".join(path) for path in leaves(config) if path[0] in rooms or path in without}
    return {name: value for name, value in every_setting(config).items() if name not in left_out}


def every_setting(config: RunConfig) -> dict[str, Any]:
    """Every setting by dotted name, paths as texts."""
    return {
        ".".join(path): path_setting(value) if isinstance(value, Path) else value
        for path, value in leaves(config).items()
    }
