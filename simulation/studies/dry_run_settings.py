"""Which settings of a run a dry run does not look at, and its own; apart, so that they can be refused at once."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

_IGNORED = {
    *("rounds", "evaluation", "privacy", "server_optimizer", "engine", "tracking"),
    *(("data", name) for name in ("held_out_share", "vocabulary_path", "vocabulary_phones", "min_phones_a_word")),
    *(("model", name) for name in ("init", "init_epochs", "init_is_public", "init_learning_rate")),
    *(("training", name) for name in ("learning_rate", "max_gradient_norm", "batch_size")),
    ("cohort", "max_abandoned_in_a_row"),
}
_LOOKED_AT = {("privacy", "noise_place")}  # of a part that is ignored: it decides how much a phone sends


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
