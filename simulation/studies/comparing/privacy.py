"""The privacy of groups of runs side by side, and whether their epsilons may be ranked at all.

An epsilon is that of a deployment: of so many reports per round, at a delta, for a unit. Two that are not of the same
one are two answers to two questions, and the smaller is no better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulation.studies.comparing.groups import RunGroup
from simulation.studies.comparing.reading import ComparedRun

NOT_RANKED = "epsilons are of different deployments, and are not ranked"
RANKED_ANYWAY = "epsilons are of different deployments, and are ranked because it was asked for"
_DIGITS = 3  # significant ones that ranks tell apart


@dataclass(frozen=True)
class Deployment:
    """Whose epsilon one is."""

    is_of: str  # in words
    modelled_cohort: int | None  # reports per round; None: of the run itself
    delta: float
    unit: str
    adjacency: str


@dataclass(frozen=True)
class GroupPrivacy:
    """What a group of runs spent; the largest of its runs' values, and None throughout without privacy.

    Attributes:
        mechanisms: of its runs.
        epsilon, delta, rho: spent.
        smallest_epsilon: of its runs.
        deployments: whose epsilon it is; several only where the runs of the group differ in it.
        is_of: the same in words.
        noise_is_repeatable: whether whoever knows the seed can subtract the noise.
        rank: 1 for the smallest epsilon; None where there is no ranking.
    """

    mechanisms: tuple[str, ...]
    epsilon: float | None
    smallest_epsilon: float | None
    delta: float | None
    rho: float | None
    deployments: tuple[Deployment, ...]
    is_of: tuple[str, ...]
    noise_is_repeatable: bool | None
    rank: int | None = None


def privacy_of_groups(
    groups: Sequence[RunGroup], rank_across_deployments: bool = False
) -> tuple[list[GroupPrivacy], str]:
    """What each group spent, and what has to be said of the ranking; empty where nothing has.

    Args:
        groups: of runs.
        rank_across_deployments: rank epsilons of different deployments as well.
    """
    found = [_privacy_of(group) for group in groups]
    deployments = {deployment for one in found for deployment in one.deployments}
    if len(deployments) > 1 and not rank_across_deployments:
        return found, NOT_RANKED
    epsilons = sorted({_rounded(one.epsilon) for one in found if one.epsilon is not None})
    ranked = [
        one if one.epsilon is None else replace(one, rank=1 + epsilons.index(_rounded(one.epsilon))) for one in found
    ]
    return ranked, RANKED_ANYWAY if len(deployments) > 1 else ""


def _rounded(epsilon: float) -> float:
    """To the nearest: a rank is no bound, and a last bit more makes none."""
    return float(format(epsilon, f".{_DIGITS}g"))


def _privacy_of(group: RunGroup) -> GroupPrivacy:
    private = [run for run in group.runs if run.summary.epsilon is not None]
    repeatable = {run.noise_is_repeatable for run in private}
    return GroupPrivacy(
        mechanisms=_each(str(run.privacy["mechanism"]) for run in group.runs),
        epsilon=_largest(run.summary.epsilon for run in private),
        smallest_epsilon=min((run.summary.epsilon for run in private if run.summary.epsilon is not None), default=None),
        delta=_largest(run.summary.delta for run in private),
        rho=_largest(run.summary.zcdp_rho for run in private),
        deployments=_each(map(deployment_of, private)),
        is_of=_each(run.summary.epsilon_is_of for run in group.runs),
        noise_is_repeatable=None if not repeatable else True in repeatable,
    )


def deployment_of(run: ComparedRun) -> Deployment:
    """Whose epsilon the run's is; of a run with privacy."""
    return Deployment(
        is_of=run.summary.epsilon_is_of,
        modelled_cohort=run.privacy["planned"].get("modelled_cohort"),
        delta=float(f"{run.summary.delta or 0:.9g}"),
        unit=str(run.privacy["unit"]),
        adjacency=str(run.privacy["adjacency"]),
    )


def _each(values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _largest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)
