"""Settings of how a run can be followed."""

from dataclasses import dataclass
from typing import Annotated

from simulation.run.trackers.door import TRACKERS


@dataclass(frozen=True)
class TrackingConfig:
    """Where the curves of a run go; nothing here changes a result."""

    trackers: Annotated[tuple[str, ...], TRACKERS.choice] = ("tensorboard",)
    """Programs that the run can be looked at with, any number. mlflow and wandb are installed as extras of these names,
    and write to the run's folder only: nothing leaves the machine, unless mlflow_store says so."""
    experiment: str = "typefleet"
    """What MLflow (experiment) and Weights & Biases (project) file the run under."""
    mlflow_store: str | None = None
    """A folder that several runs share as MLflow's store, or the address of a store or server of yours, such as
    sqlite:///mlflow.db; by default mlflow/ in the run's folder."""
