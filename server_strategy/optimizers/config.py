"""Settings of how the noised mean update moves the weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from server_strategy.optimizers.door import OPTIMIZERS
from typefleet.doors import FLAT, KindSettings, SettingsOf, chosen

if TYPE_CHECKING:
    from server_strategy.optimizers.base import ServerOptimizer


@dataclass(frozen=True)
class ServerOptimizerConfig:
    """How the noised mean update moves the weights."""

    name: Annotated[str, OPTIMIZERS.choice] = "adam"
    """Server optimizer; adam, yogi and adagrad as in adaptive federated optimization."""
    learning_rate: Annotated[float, Gt(0)] = 0.03
    """Server step size, at its highest."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the step size falls from the end of the warm-up to the last round."""
    warmup_rounds: Annotated[int, Ge(0)] = 0
    """Rounds in which the step size rises."""
    final_learning_rate_share: Annotated[float, Ge(0), Le(1)] = 0.05
    """Step size of the last round, as a share of the highest; with a linear or cosine schedule. With 0 that round moves
    nothing, at the price of a release."""
    settings: Annotated[KindSettings, SettingsOf("name", OPTIMIZERS), FLAT] = KindSettings()
    """Of the optimizer itself."""

    def make(self) -> "ServerOptimizer":
        """The optimizer that is named.

        Raises:
            UnknownKindError, ConfigError: nothing has that name, or the settings are another's.
        """
        kind, settings = chosen(self, "name")
        optimizer: ServerOptimizer = OPTIMIZERS.made(kind, settings)
        return optimizer
