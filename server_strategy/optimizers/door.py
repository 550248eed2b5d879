"""The door for server optimizers. To add one: a module with a `KIND` like `sgd`'s, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from server_strategy.optimizers.base import ServerOptimizer

OPTIMIZERS: "Door[ServerOptimizer]" = Door(
    "server optimizer",
    "typefleet.server_optimizers",
    {
        "sgd": "server_strategy.optimizers.sgd:KIND",
        "momentum": "server_strategy.optimizers.momentum:KIND",
        "adam": "server_strategy.optimizers.adam:KIND",
        "yogi": "server_strategy.optimizers.yogi:KIND",
        "adagrad": "server_strategy.optimizers.adagrad:KIND",
    },
    needs=("linear_momentum", "initial_state", "step"),
)
"""`make(settings)` gives the optimizer."""
