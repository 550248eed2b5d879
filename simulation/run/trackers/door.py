"""The door for trackers. A new one of ours: its module here, and a line below."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from simulation.run.trackers.base import Tracker

TRACKERS: "Door[Tracker]" = Door(
    "tracker",
    "typefleet.trackers",
    {
        "tensorboard": "simulation.run.trackers.tensorboard:KIND",
        "mlflow": "simulation.run.trackers.mlflow:KIND",
        "wandb": "simulation.run.trackers.wandb:KIND",
    },
    needs=("begin", "round", "end", "close"),
)
"""`make(settings)` gives a tracker; `settings` are a `TrackingConfig`."""
