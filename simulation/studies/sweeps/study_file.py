"""The file that describes a sweep: what is tried, how, and what is looked at.

method = "grid"                 # or random, tpe
seeds = 3
metric = "top1_recall"

[settings]                      # of every run, as in a run's config.toml
rounds = 50
[settings.privacy]
target_epsilon = 4.0

[search]
"server_optimizer.learning_rate" = [0.3, 1.0, 3.0]
"privacy.mechanism" = ["gaussian", "blt"]
"training.learning_rate" = { low = 0.1, high = 3.0, log = true }   # not for a grid, unless with a step
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import tomli_w
from annotated_types import Ge, Le

from client_model.metrics.door import ALWAYS_MEASURED, METRICS
from client_model.metrics.table import metric_table
from simulation.config import RunConfig
from simulation.flags import flags_for, parse_simulate, read_config
from simulation.settings import check_bounds, typed
from simulation.studies.sweeps.own_kinds import require_found_by_runs
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS
from typefleet.untrusted.toml_tables import read_toml

Value: TypeAlias = str | int | float | bool
Setting: TypeAlias = Mapping[str, Value]  # a value for each name that is searched over
_RANGE = {"low", "high", "log", "step"}
# What a study changes in every run unless its settings say otherwise: nothing is chosen by looking at the people held
# out; files for phones, and curves elsewhere than in the run's own files, are not wanted of each trial.
_STUDY_DEFAULTS: Mapping[str, Any] = {
    "evaluation": {"people": "validation"},
    "engine": {"export": False, "report": False},
    "tracking": {"trackers": []},
}
_OF_A_SUMMARY = ("epsilon", "wall_seconds", "tokens_per_second", "simulated_seconds", "rounds_abandoned")
_LARGEST = 1e300
_LESS_IS_BETTER = ("perplexity", "oov_rate")
_MOST_STEPS = 10_000
_NOT_SEARCHED = ("seed", "output_dir", "engine", "evaluation.people", "privacy.account", "privacy.total_epsilon")


@dataclass(frozen=True)
class StudyOptions:
    """How settings are chosen and compared."""

    method: Literal["grid", "random", "tpe"] = "grid"
    """Every combination; independent draws; or by the tree-structured Parzen estimator, which learns from trials."""
    trials: Annotated[int, Ge(1), Le(STUDY_SETTINGS)] = 20
    """Settings that are tried by random and tpe; a grid has as many as it has."""
    seeds: Annotated[int, Ge(1), Le(STUDY_SETTINGS)] = 3
    """Runs of each setting; they differ in people held out, phones heard, and noise."""
    metric: str = "top1_recall"
    """What settings are compared by: a metric of the runs."""
    direction: Literal["auto", "maximize", "minimize"] = "auto"
    """auto: more is better, except of perplexity and of the share of words outside the vocabulary."""
    pruner: Literal["none", "median", "halving"] = "none"
    """Stop the first run of a setting that does worse than others at the same round, and skip its further seeds: below
    the median of all before, or outside the best quarter at each of ever longer rungs."""
    confirm: bool = True
    """Measure the chosen setting, and the study's settings without a search, on people held out, once the search is
    done."""

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.direction == "maximize" or (self.direction == "auto" and self.metric not in _LESS_IS_BETTER)


@dataclass(frozen=True)
class Choices:
    """Some values of a setting."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Range:
    """All values of a setting between two bounds, both included."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool  # numbers only

    def steps(self) -> tuple[Value, ...] | None:
        """The values of a range with a step; None of one without."""
        if self.step is None:
            return (
                tuple(range(int(self.low), int(self.high) + 1)) if self.whole and self.high - self.low < 100 else None
            )
        number = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(int(v) if self.whole else v for v in (self.low + i * self.step for i in range(number)))


Dimension: TypeAlias = Choices | Range


@dataclass(frozen=True)
class Study:
    """A sweep that is described in a file."""

    options: StudyOptions
    settings: Mapping[str, Any]  # of every run, as a tree
    search: Mapping[str, Dimension]
    source: str = "the study"  # for messages

    @property
    def digestible(self) -> dict[str, Any]:
        """What must be the same for a sweep to go on, as JSON has it."""
        search = {name: {"kind": type(d).__name__, **vars(d)} for name, d in self.search.items()}
        content = {"options": vars(self.options), "settings": self.settings, "search": search}
        return dict(json.loads(json.dumps(content)))

    def grid(self) -> list[Setting]:
        """Every combination, the last name changing fastest.

        Raises:
            ConfigError: a range has no steps, or there are more combinations than anybody tries.
        """
        columns: list[tuple[Value, ...]] = []
        for name, dimension in self.search.items():
            values = dimension.values if isinstance(dimension, Choices) else dimension.steps()
            if values is None:
                raise ConfigError(expected(f"search: {name}", "values or a step, for a grid", "a range without"))
            columns.append(values)
        if math.prod(map(len, columns)) > STUDY_SETTINGS:
            wanted = f"at most {STUDY_SETTINGS:,} settings of a grid"
            raise ConfigError(expected("[search]", wanted, f"{math.prod(map(len, columns)):,}"))
        return [dict(zip(self.search, combination, strict=True)) for combination in itertools.product(*columns)]

    def first(self) -> Setting:
        """One setting, of the first value of each name."""
        return {name: d.values[0] if isinstance(d, Choices) else d.low for name, d in self.search.items()}

    def write_settings(self, path: Path) -> None:
        """The settings of every run, as the file that `config_of` starts from."""
        path.write_text(tomli_w.dumps(dict(self.settings)), encoding="utf-8")

    def config_of(self, setting: Setting, base: Path, seed: int, **others: Value) -> RunConfig:
        """A run's settings.

        Args:
            setting: values of what is searched over.
            base: file that `write_settings` wrote.
            seed: of the run.
            others: further settings, with __ for a dot.

        Raises:
            ConfigError: the values do not go together, or name a kind that the process of a run does not know.
        """
        given = {**setting, **{name.replace("__", "."): value for name, value in others.items()}, "seed": seed}
        try:
            config = parse_simulate(["--config", str(base), *flags_for(given, read_config(base))]).run
            require_found_by_runs(config)
        except ConfigError as error:  # the file is ours; what is wrong stands in the study's
            said = str(error).replace(f"{base}: ", "[settings] ")
            raise ConfigError(f"{self.source}: {said}") from error
        return config


def read_study(path: Path, **changes: Any) -> Study:
    """Read a study's file.

    Args:
        path: of the TOML file.
        changes: options that take the place of the file's; None leaves it.

    Raises:
        ConfigError: the file cannot be used; names the file and the key.
    """
    table = read_toml(path, "the description of a sweep", ConfigError)
    try:
        return _study_of(table, path, {name: value for name, value in changes.items() if value is not None})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _study_of(table: dict[str, Any], path: Path, changes: dict[str, Any]) -> Study:
    settings, search = table.pop("settings", {}), table.pop("search", None)
    config = table.pop("config", None)
    names = [f.name for f in fields(StudyOptions)]
    for name in table:
        if name not in names:
            known = ", ".join(("config", *names, "[settings]", "[search]"))
            raise ConfigError(expected(name, f"one of {known}", "another key"))
    if not isinstance(settings, dict) or not isinstance(search, dict) or not search:
        raise ConfigError(expected("[search]", "a table of settings and what to try of each", "none"))
    base: dict[str, Any] = dict(_STUDY_DEFAULTS)
    if config is not None:
        if not isinstance(config, str):
            raise ConfigError(expected("config", "the path of a TOML file", type(config).__name__))
        base = _merged(base, _table_of(path.parent / config))
    _require_plain("[settings]", settings)
    for name in ("seed", "output_dir"):
        if name in settings:
            raise ConfigError(expected(f"[settings] {name}", "none, since the sweep gives each run its own", "one"))
    dimensions: dict[str, Dimension] = {}
    for name, given in _leaves(search):
        if name in dimensions:
            raise ConfigError(expected(f"search: {name}", "each setting once", "it twice"))
        dimensions[name] = _dimension(name, given)
    if not dimensions:
        raise ConfigError(expected("[search]", "a table of settings and what to try of each", "an empty one"))
    options = typed(StudyOptions(**{**table, **changes}))
    check_bounds(options)
    study = Study(options, _measuring(options, _merged(base, settings)), dimensions, str(path))
    if options.method == "grid":
        study.grid()  # which refuses what is none
    return study


def _require_plain(where: str, value: Any) -> None:
    """Refuse what no setting can be, such as a date.

    Raises:
        ConfigError: there is one.
    """
    inside = value.items() if isinstance(value, dict) else ((i, v) for i, v in enumerate(value))
    for name, inner in inside:
        if isinstance(inner, dict | list):
            _require_plain(f"{where} {name}", inner)
        elif not isinstance(inner, str | int | float | bool):
            raise ConfigError(expected(f"{where} {name}", "a number, a text or a list", type(inner).__name__))


def _measuring(options: StudyOptions, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, with the metric that is looked at among those that runs measure.

    Raises:
        ConfigError: there is no such metric, or rounds do not measure it and a pruner would have to.
    """
    name, measured = options.metric, tuple(dict.fromkeys((*ALWAYS_MEASURED, *METRICS.names)))
    rows = [metric.name for metric in metric_table().metrics if metric.unit == "rows"]
    if name in rows:
        raise ConfigError(expected("metric", "one whose value is a number", name))
    if name not in measured:
        if name not in _OF_A_SUMMARY:
            raise ConfigError(expected("metric", f"one of {', '.join((*measured, *_OF_A_SUMMARY))}", repr(name)))
        if options.pruner != "none":
            raise ConfigError(expected("pruner", f"none, since rounds do not measure {name}", options.pruner))
        if options.direction == "auto":
            raise ConfigError(expected("direction", f"maximize or minimize, which {name} does not say", "auto"))
    evaluation = settings.get("evaluation")
    if not isinstance(evaluation, dict):
        return settings  # which is refused when the settings are read
    named = evaluation.get("metrics", [])
    if name in ALWAYS_MEASURED or name not in METRICS.names or not isinstance(named, list) or name in named:
        return settings
    return _merged(settings, {"evaluation": {"metrics": [*named, name]}})


def _table_of(path: Path) -> dict[str, Any]:
    read_config(path)  # whose messages name the file and the key
    return read_toml(path, "a file that can be read", ConfigError)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A tree in which the values of `above` take the place of those of `below`."""
    found = dict(below)
    for name, value in above.items():
        own = found.get(name)
        found[name] = _merged(own, value) if isinstance(own, dict) and isinstance(value, dict) else value
    return found


def _leaves(search: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, given in search.items():
        path = f"{prefix}{name}".removeprefix("--").replace("-", "_")
        if isinstance(given, dict) and not given.keys() & _RANGE:
            yield from _leaves(given, f"{path}.")
        else:
            yield path, given


def _dimension(name: str, given: Any) -> Dimension:
    where = f"search: {name}"
    for other in _NOT_SEARCHED:
        if name == other or name.startswith(f"{other}."):
            raise ConfigError(expected(where, "a setting that changes what is learned", f"{other}, which is no choice"))
    if isinstance(given, list):
        return Choices(_choices(where, given))
    wanted = "a list of values, or a table with low and high, and log or step if wished"
    if not isinstance(given, dict) or not {"low", "high"} <= given.keys() <= _RANGE:
        raise ConfigError(expected(where, wanted, type(given).__name__ if not isinstance(given, dict) else "another"))
    low, high, step, log = given["low"], given["high"], given.get("step"), given.get("log", False)
    numbers = [low, high, *([] if step is None else [step])]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not abs(n) < _LARGEST for n in numbers):
        raise ConfigError(expected(where, "finite numbers as low, high and step", "something else"))
    if not isinstance(log, bool) or (log and step is not None):
        raise ConfigError(expected(where, "log = true or a step, not both", "another"))
    if step is not None and step > 0 and not (high - low) / _MOST_STEPS <= step <= high - low:
        raise ConfigError(expected(where, f"a step that is taken once to {_MOST_STEPS:,} times", f"{step}"))
    if low >= high or (log and low <= 0) or (step is not None and step <= 0):
        raise ConfigError(expected(where, f"{'0 < ' if log else ''}low < high and step > 0", f"{low} to {high}"))
    return Range(low, high, log, step, all(isinstance(n, int) for n in numbers))


def _choices(where: str, given: list[Any]) -> tuple[Value, ...]:
    for value in given:
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(expected(where, "numbers, texts or true and false", type(value).__name__))
    if not given or len({repr(value) for value in given}) < len(given):
        raise ConfigError(expected(where, "at least one value, each once", f"{len(given)}"))
    return tuple(given)
