"""Finished runs side by side: what differs in their settings, how good they are, what they cost, and which difference
is one.

Runs that differ in their seed alone are a group, or those that agree in the settings named. Every figure of a group
has its interval, every difference to the reference too, and one whose interval holds 0 is not shown as one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from client_model.metrics.metric import Metric
from simulation.studies.comparing.groups import (
    RunGroup,
    SettingThatDiffers,
    group_runs,
    settings_that_differ,
    warnings_of,
)
from simulation.studies.comparing.metrics import Difference, Measured, difference, measured, shared_metrics
from simulation.studies.comparing.privacy import GroupPrivacy, privacy_of_groups
from simulation.studies.comparing.reading import read_runs
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class RunComparison:
    """What came out of comparing runs.

    Attributes:
        groups: of runs, in the order in which the first run of each was named.
        by: settings that the runs were grouped by; empty for all but the seed.
        reference: index of the group that the others are compared with.
        settings: those in which any two runs differ, the seed left out.
        metrics: whose values are numbers.
        measured: of each group, a value for each metric.
        differences: of each group to the reference, one for each metric; to itself, nothing.
        privacy: of each group.
        ranking: what has to be said of ranking the epsilons; empty where nothing has.
        warnings: what keeps a difference from being that of the settings asked for.
    """

    groups: tuple[RunGroup, ...]
    by: tuple[str, ...]
    reference: int
    settings: tuple[SettingThatDiffers, ...]
    metrics: tuple[Metric, ...]
    measured: tuple[tuple[Measured, ...], ...]
    differences: tuple[tuple[Difference, ...], ...]
    privacy: tuple[GroupPrivacy, ...]
    ranking: str
    warnings: tuple[str, ...]

    @cached_property
    def rows(self) -> list[dict[str, object]]:
        """The tidy table of comparison.csv: a row for each group and figure; `pandas.DataFrame(found.rows)`."""
        from simulation.studies.comparing.files import tidy_rows

        return tidy_rows(self)


def compare_runs(
    folders: Sequence[Path],
    by: Sequence[str] = (),
    reference: str | None = None,
    *,
    allow_unfinished: bool = False,
    rank_across_deployments: bool = False,
) -> RunComparison:
    """Read runs and compare them.

    Args:
        folders: of the runs.
        by: settings by dotted name that make a group; by default all but the seed. `run`: every run by itself.
        reference: label of a group, or the folder of one of its runs; by default the first group.
        allow_unfinished: take unfinished runs as their last checkpoint has them.
        rank_across_deployments: rank epsilons of different deployments as well.

    Raises:
        InputError: a folder cannot be used, a name is no setting, or the reference is not among the runs.
    """
    groups = group_runs(read_runs(folders, allow_unfinished), by)
    chosen = _reference_among(groups, reference)
    metrics = shared_metrics(groups)
    privacy, ranking = privacy_of_groups(groups, rank_across_deployments)
    warnings = warnings_of(groups, by)
    return RunComparison(
        groups=tuple(groups),
        by=tuple(by),
        reference=chosen,
        settings=tuple(settings_that_differ(groups)),
        metrics=tuple(metrics),
        measured=tuple(tuple(measured(group, metric) for metric in metrics) for group in groups),
        differences=tuple(
            () if number == chosen else tuple(difference(group, groups[chosen], metric) for metric in metrics)
            for number, group in enumerate(groups)
        ),
        privacy=tuple(privacy),
        ranking=ranking,
        warnings=(*warnings, ranking) if ranking else tuple(warnings),
    )


def _reference_among(groups: Sequence[RunGroup], reference: str | None) -> int:
    """Index of the group of that label, or with a run in that folder."""
    if reference is None:
        return 0
    for number, group in enumerate(groups):
        if group.label == reference:
            return number
    wanted = os.path.realpath(reference)
    for number, group in enumerate(groups):
        if any(os.path.realpath(run.folder) == wanted or str(run.folder) == reference for run in group.runs):
            return number
    labels = "; ".join(group.label for group in groups)
    raise ConfigError(expected("--reference", f"one of the runs, or of the groups ({labels})", reference))
