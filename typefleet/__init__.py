"""Typefleet: simulate a fleet of phones that learn a keyboard's next-word model together.

This is the public face: what stands in `__all__` keeps its name and meaning. Everything is imported when it is first
used, so that `import typefleet` is quick.

    from typefleet import RunConfig, simulate

    result = simulate(RunConfig(rounds=20))
    result.summary["top1_recall"], result.rounds["loss"], result.path
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client_model.config import DataConfig, ModelConfig, TrainingConfig
    from client_model.learning.cells.base import Cell, CellSizes, CellWeight
    from client_model.learning.cells.door import CELLS
    from client_model.metrics.config import EvaluationConfig
    from client_model.metrics.door import METRICS
    from client_model.metrics.metric import Metric
    from client_model.text.formats.door import FORMATS
    from server_strategy.cohorts import RoundPlan, UniformCohorts
    from server_strategy.config import CohortConfig
    from server_strategy.dp_fedavg import DPFedAvg
    from server_strategy.optimizers.config import ServerOptimizerConfig
    from server_strategy.optimizers.door import OPTIMIZERS
    from server_strategy.policies import POLICIES
    from server_strategy.privacy.config import PrivacyConfig
    from server_strategy.privacy.mechanisms.base import Horizon, MechanismKind
    from server_strategy.privacy.mechanisms.door import MECHANISMS
    from simulation.api import RunResult, resume, simulate
    from simulation.config import RunConfig
    from simulation.device.keyboard import Keyboard
    from simulation.engine.config import EngineConfig
    from simulation.engine.engine import Engine
    from simulation.flags import read_config
    from simulation.run.trackers.config import TrackingConfig
    from simulation.run.trackers.door import TRACKERS
    from simulation.storage.config import StorageConfig
    from simulation.world.availability.door import AVAILABILITY
    from simulation.world.config import FleetConfig
    from typefleet.doors import Door, Kind, KindSettings, PlotStyle
    from typefleet.errors import ConfigError, InputError, MachineError, TypefleetError, UnknownKindError

_PLACES = {
    "client_model.config": ("DataConfig", "ModelConfig", "TrainingConfig"),
    "client_model.metrics.config": ("EvaluationConfig",),
    "client_model.metrics.door": ("METRICS",),
    "client_model.metrics.metric": ("Metric",),
    "client_model.text.formats.door": ("FORMATS",),
    "client_model.learning.cells.base": ("Cell", "CellSizes", "CellWeight"),
    "client_model.learning.cells.door": ("CELLS",),
    "server_strategy.cohorts": ("RoundPlan", "UniformCohorts"),
    "server_strategy.config": ("CohortConfig",),
    "server_strategy.dp_fedavg": ("DPFedAvg",),
    "server_strategy.optimizers.config": ("ServerOptimizerConfig",),
    "server_strategy.optimizers.door": ("OPTIMIZERS",),
    "server_strategy.policies": ("POLICIES",),
    "server_strategy.privacy.config": ("PrivacyConfig",),
    "server_strategy.privacy.mechanisms.base": ("Horizon", "MechanismKind"),
    "server_strategy.privacy.mechanisms.door": ("MECHANISMS",),
    "simulation.api": ("RunResult", "resume", "simulate"),
    "simulation.config": ("RunConfig",),
    "simulation.device.keyboard": ("Keyboard",),
    "simulation.engine.config": ("EngineConfig",),
    "simulation.engine.engine": ("Engine",),
    "simulation.flags": ("read_config",),
    "simulation.run.trackers.config": ("TrackingConfig",),
    "simulation.run.trackers.door": ("TRACKERS",),
    "simulation.storage.config": ("StorageConfig",),
    "simulation.world.availability.door": ("AVAILABILITY",),
    "simulation.world.config": ("FleetConfig",),
    "typefleet.doors": ("Door", "Kind", "KindSettings", "PlotStyle"),
    "typefleet.errors": ("ConfigError", "InputError", "MachineError", "TypefleetError", "UnknownKindError"),
}
_PLACE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AVAILABILITY",
    "CELLS",
    "FORMATS",
    "MECHANISMS",
    "METRICS",
    "OPTIMIZERS",
    "POLICIES",
    "TRACKERS",
    "Cell",
    "CellSizes",
    "CellWeight",
    "CohortConfig",
    "ConfigError",
    "DPFedAvg",
    "DataConfig",
    "Door",
    "Engine",
    "EngineConfig",
    "EvaluationConfig",
    "FleetConfig",
    "Horizon",
    "InputError",
    "Keyboard",
    "Kind",
    "KindSettings",
    "MachineError",
    "MechanismKind",
    "Metric",
    "ModelConfig",
    "PlotStyle",
    "PrivacyConfig",
    "RoundPlan",
    "RunConfig",
    "RunResult",
    "ServerOptimizerConfig",
    "StorageConfig",
    "TrackingConfig",
    "TrainingConfig",
    "TypefleetError",
    "UniformCohorts",
    "UnknownKindError",
    "read_config",
    "resume",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PLACE:
        raise AttributeError(f"module 'typefleet' has no attribute {name!r}")
    return getattr(import_module(_PLACE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
