"""What a comparison reads of a run's folder: its settings, its outcome, its rounds, its privacy, its phones."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.metrics.table import MetricTable, metric_table
from simulation.files import read_json_object
from simulation.flags import read_config, result_settings
from simulation.run.directory import RunDirectory
from simulation.run.records import Summary
from typefleet.errors import ConfigError, UnknownKindError, expected, said_of
from typefleet.untrusted.own_json import json_kind

if TYPE_CHECKING:
    from server_strategy.pooled_evaluation import PhoneCounts

SEED = "seed"
_PRIVACY_KEYS: dict[str, type] = {
    **dict.fromkeys(("mechanism", "epsilon_is_of", "unit", "adjacency"), str),
    "planned": dict,
    "spent": dict,
    "caveats": list,
}
_REPEATABLE = "seeded generator"  # in the caveat that a statement has about noise that can be made again
_EARLIER_VERSION = "no held_out.parquet, which earlier versions did not write"
_NOT_YET = "no held_out.parquet before the last round"
_NOT_ALL_TELL = "held_out.parquet lacks owners who do not agree to telemetry"
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ComparedRun:
    """One run, as far as it is compared.

    Attributes:
        folder: where it lies, as it was named.
        settings: all that may change a result, by dotted name.
        metrics: that it was measured by.
        summary: what it came to.
        rounds: a line for each round, abandoned ones as well.
        privacy: the statement, by key.
        held_out: what was counted on each held-out phone; None where the folder does not have it.
        why_no_held_out: in that case, in words; empty otherwise.
        finished: whether it played all its rounds, or stopped before because its budget was spent.
        file_bytes: of each file in model/ that a phone can run.
    """

    folder: Path
    settings: Mapping[str, Any]
    metrics: MetricTable
    summary: Summary
    rounds: Sequence[Mapping[str, Any]]
    privacy: Mapping[str, Any]
    held_out: "PhoneCounts | None"
    why_no_held_out: str
    finished: bool
    file_bytes: Mapping[str, int]

    @property
    def seed(self) -> int:
        """Key of everything random in it, the choice of its held-out people included."""
        return int(self.settings[SEED])

    @property
    def noise_is_repeatable(self) -> bool | None:
        """Whether whoever knows the seed can make the same noise again; None without noise."""
        if self.summary.epsilon is None:
            return None
        if "noise_source" in self.privacy:
            return bool(self.privacy["noise_source"] == "seeded")
        return any(_REPEATABLE in caveat for caveat in self.privacy["caveats"])


def read_runs(folders: Sequence[Path], allow_unfinished: bool = False) -> list[ComparedRun]:
    """Read the folders of runs, in their order.

    Args:
        folders: each of another run.
        allow_unfinished: take runs that were stopped as their last checkpoint has them.

    Raises:
        ConfigError: no folder, one named twice, or one that is no run's, an unfinished run's, or damaged.
    """
    if not folders:
        raise ConfigError(expected("RUN", "at least one folder of a run", "none"))
    seen: set[str] = set()
    for folder in folders:
        real = os.path.realpath(folder)  # where links in a circle are no error, as yet
        if real in seen:
            raise ConfigError(expected("RUN", "each folder once", f"{folder} again"))
        seen.add(real)
    return [read_run(folder, allow_unfinished) for folder in folders]


def read_run(folder: Path, allow_unfinished: bool = False) -> ComparedRun:
    """Read the folder of one run; see `read_runs`."""
    directory = RunDirectory(folder)
    if not directory.config.is_file():
        found = "no config.toml in it" if folder.is_dir() else "no such folder"
        raise ConfigError(expected(folder, "the folder of a run", found))
    config = read_config(directory.config, begun=True)
    if not directory.summary.exists() and not directory.rounds.exists():
        raise ConfigError(expected(folder, "the folder of a run", "no rounds.jsonl in it"))
    if not directory.summary.exists():
        raise ConfigError(expected(folder, "a finished run", "one without summary.json: it has no checkpoint yet"))
    summary = directory.read_summary()
    finished = summary.stopped_early is not None or summary.rounds_completed >= config.rounds
    if not finished and not allow_unfinished:
        found = f"{summary.rounds_completed} of {config.rounds} rounds; compare it as it is with --allow-unfinished"
        raise ConfigError(expected(folder, "a finished run", found))
    try:
        metrics = metric_table(config.evaluation.metrics)
    except UnknownKindError as error:
        raise ConfigError(said_of(f"{directory.config}: evaluation.metrics", error)) from error
    rounds = directory.read_rounds_of(summary, metrics)
    held_out, why = _held_out_of(directory, summary, finished)
    return ComparedRun(
        folder=folder,
        settings=result_settings(config) | _handed_in(summary),
        metrics=metrics,
        summary=summary,
        rounds=rounds,
        privacy=_privacy_of(folder / "privacy.json"),
        held_out=held_out,
        why_no_held_out=why,
        finished=finished,
        file_bytes={path.name: path.stat().st_size for path in sorted(directory.model.glob("*.tflite"))},
    )


def _handed_in(summary: Summary) -> dict[str, str]:
    """Objects that took the place of kinds, which config.toml does not have, as settings beside its own."""
    return {f"handed_in.{name}": words for name, words in (summary.handed_in or {}).items()}


def _privacy_of(path: Path) -> dict[str, Any]:
    content = read_json_object(path, "the privacy statement of a run", _PRIVACY_KEYS)
    for key, kind in _PRIVACY_KEYS.items():
        if not isinstance(content[key], kind):
            raise ConfigError(expected(f"{path}: {key}", f"{json_kind(kind())}", json_kind(content[key])))
    if not all(isinstance(caveat, str) for caveat in content["caveats"]):
        raise ConfigError(expected(f"{path}: caveats", "texts", "something else"))
    modelled = content["planned"].get("modelled_cohort")
    if not (modelled is None or (type(modelled) is int and modelled > 0)):
        raise ConfigError(expected(f"{path}: planned.modelled_cohort", "a number of phones, or null", "another value"))
    return content


def _held_out_of(directory: RunDirectory, summary: Summary, finished: bool) -> "tuple[PhoneCounts | None, str]":
    """The counts of the phones, or why there are none.

    Raises:
        ConfigError: they are damaged, or not those that the summary was made of.
    """
    path = directory.held_out_phones
    if not os.path.lexists(path):
        if finished:
            return None, _EARLIER_VERSION if summary.consent is None else _NOT_ALL_TELL
        return None, _NOT_YET
    if not finished:
        return None, _NOT_YET
    from simulation.run.held_out_phones import read_phone_counts

    counted = read_phone_counts(path)
    said = summary.held_out.get(TOP1_RECALL.name)
    known = TOP1_RECALL.counts.keys() <= counted.counts.keys()
    reached = TOP1_RECALL.value(counted.sums()) if known else None
    if reached is None or said is None or abs(reached - said) > _TOLERANCE:
        if summary.consent is not None:
            return None, _NOT_ALL_TELL
        what = f"the counts that {directory.summary.name} was made of"
        raise ConfigError(expected(path, what, "those of another measurement"))
    return counted, ""
