"""Which settings of a run a dry run does not look at, and its own; apart, so that they can be refused at once."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from typefleet.errors import ConfigError, expected

_IGNORED = {
    *("rounds", "evaluation", "privacy", "server_optimizer", "engine", "tracking", "training"),
    *(
        ("data", name)
        for name in ("held_out_share", "vocabulary_path", "vocabulary_phones", "min_phones_a_word", "keep_days")
    ),
    *(("model", name) for name in ("init", "init_epochs", "init_is_public", "init_learning_rate")),
    *(("consent", f"{purpose}_share") for purpose in ("evaluate", "personalise", "telemetry")),
    ("consent", "withdraws"),
}
# Of parts that are ignored otherwise: how much a phone sends, and how long it trains.
_LOOKED_AT = {
    ("privacy", "noise_place"),
    *(("training", name) for name in ("epochs", "max_sequences", "max_tokens")),
}


def ignores(path: tuple[str, ...]) -> bool:
    """Does a dry run not look at the setting of this path? It is about training then, or about privacy."""
    return path[:2] not in _LOOKED_AT and (path[0] in _IGNORED or path[:2] in _IGNORED)


@dataclass(frozen=True)
class Protection:
    """What hiding each update from the server adds to every phone's round, as scripts/price_aggregation.py finds it."""

    upload_mb: Annotated[float, Ge(0), Le(100_000)] = 0.0
    """Megabytes that a phone uploads beyond its update."""
    download_mb: Annotated[float, Ge(0), Le(100_000)] = 0.0
    """Megabytes that a phone downloads beyond the model."""
    compute_s: Annotated[float, Ge(0), Le(100_000)] = 0.0
    """Seconds of cryptography on a phone that trains at median speed; on a slower one it takes longer alike."""


NO_PROTECTION = Protection()
PROTECTION_FLAGS = ("--protection.upload-mb", "--protection.download-mb", "--protection.compute-s")


@dataclass(frozen=True)
class Grid:
    """Rounds with and without secure aggregation, over what it can be set to; any of these plays one fleet so."""

    cohorts: Annotated[tuple[int, ...], Ge(3), Le(65_536)] = ()
    """Sizes of the cohort; by default --cohort.goal alone."""
    neighbours: Annotated[tuple[int | Literal["fewest", "all"], ...], Ge(2), Le(65_536)] = ()
    """Phones that each shares masks with: numbers, the fewest that are safe (the default), or all others."""
    thresholds: Annotated[tuple[float | Literal["fewest"], ...], Gt(0), Le(1)] = ()
    """Shares that open a secret, as a share of the neighbours, or the fewest that are safe (the default)."""
    step_latencies_s: Annotated[tuple[float, ...], Ge(0), Le(3600)] = ()
    """Seconds of each step beside its bytes; by default --aggregation.step-latency-s, or 5."""


NO_GRID = Grid()
GRID_FLAGS = ("--grid.cohorts", "--grid.neighbours", "--grid.thresholds", "--grid.step-latencies-s")


def require_each_once(grid: Grid) -> None:
    """Refuse a grid that names a value twice.

    Args:
        grid: as it was asked for.

    Raises:
        ConfigError: names the flag.
    """
    for flag, one in zip(GRID_FLAGS, fields(grid), strict=True):
        values = getattr(grid, one.name)
        if len(set(values)) < len(values):
            raise ConfigError(expected(flag, "each value once", " ".join(map(str, values))))
