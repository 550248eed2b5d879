"""What matrix mechanisms are optimised for: a setting that their kinds share."""

from dataclasses import dataclass
from typing import Literal

from server_strategy.privacy.mechanisms.base import Horizon
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class WorkloadSettings(KindSettings):
    """Settings of kinds that are optimised for what the server makes of the updates."""

    workload: Literal["prefix", "momentum"] = "prefix"
    """What the noise is optimised for: the sums of the updates, or the sums as the server's momentum weighs them,
    which has more noise in each single round."""

    def momentum_of(self, horizon: Horizon) -> float:
        """The momentum to optimise for; 0 for the plain sums.

        Raises:
            ConfigError: the server's momentum is asked for, and it has none.
        """
        if self.workload == "prefix":
            return 0.0
        if not horizon.momentum:
            raise ConfigError(
                expected("workload", "momentum only with a server that has linear momentum", "one without")
            )
        return horizon.momentum
