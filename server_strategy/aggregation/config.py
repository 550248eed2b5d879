"""Settings of how updates are added up: what the server sees of a single phone."""

from dataclasses import dataclass
from typing import Literal

from server_strategy.config import CohortConfig
from typefleet.errors import ConfigError, expected

_WHY_NOT_BUFFERED = (
    "a buffer is full when its phones have long gone, and nobody is there to take the masks out; that needs clients "
    "who speak once, or a trusted machine"
)


@dataclass(frozen=True)
class AggregationConfig:
    """How the server gets the sum of the updates."""

    protocol: Literal["none", "arithmetic"] = "none"
    """none: the server sees each host's sum, and the norm, loss and tokens of each phone. arithmetic: it gets sums over
    phones alone, as it would of masked vectors, without any key or mask; it hides nothing."""

    @property
    def is_summed(self) -> bool:
        """Whether the server gets sums over phones alone, at least by what it is told."""
        return self.protocol != "none"


def check_aggregation(aggregation: AggregationConfig, cohort: CohortConfig) -> None:
    """Refuse settings that do not go together, before anything is computed.

    Args:
        aggregation, cohort: settings, each within its bounds.

    Raises:
        ConfigError: names the flag.
    """
    if aggregation.is_summed and cohort.policy == "buffered":
        flag = f"--aggregation.protocol {aggregation.protocol}"
        raise ConfigError(expected(flag, f"only with rounds that follow one another ({_WHY_NOT_BUFFERED})", "buffered"))
