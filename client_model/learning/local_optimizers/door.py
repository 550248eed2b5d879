"""The door for local optimizers. To add one: a module with a `KIND` like `proximal`'s, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from client_model.learning.local_optimizers.base import LocalOptimizer

LOCAL_OPTIMIZERS: "Door[LocalOptimizer]" = Door(
    "local optimizer",
    "typefleet.local_optimizers",
    {
        "sgd": "client_model.learning.local_optimizers.sgd:KIND",
        "proximal": "client_model.learning.local_optimizers.proximal:KIND",
        "momentum": "client_model.learning.local_optimizers.momentum:KIND",
    },
    needs=("initial_state", "step"),
)
"""`make(settings)` gives the optimizer."""
