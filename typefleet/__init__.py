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
    from client_model.learning.cells.base import Cell, CellSizes, CellWeight, glorot, starting_at
    from client_model.learning.cells.door import CELLS
    from client_model.learning.local_optimizers.base import LocalOptimizer
    from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
    from client_model.metrics.config import EvaluationConfig
    from client_model.metrics.door import METRICS
    from client_model.metrics.keystrokes import KeystrokeTable
    from client_model.metrics.metric import Baseline, Metric
    from client_model.metrics.scored_tokens import ScoredTokens, TokenScores
    from client_model.text.formats.base import DataError, Message, MessageFormat, message_of
    from client_model.text.formats.columns import Columns
    from client_model.text.formats.door import FORMATS
    from server_strategy.aggregation.config import AggregationConfig
    from server_strategy.cohorts import CohortSource, RoundPlan, UniformCohorts
    from server_strategy.config import CohortConfig
    from server_strategy.dp_fedavg import DPFedAvg
    from server_strategy.funnel import Funnel
    from server_strategy.optimizers.base import ServerOptimizer
    from server_strategy.optimizers.config import ServerOptimizerConfig
    from server_strategy.optimizers.door import OPTIMIZERS
    from server_strategy.policies import POLICIES
    from server_strategy.pooled_evaluation import PhoneCounts
    from server_strategy.privacy.config import PrivacyConfig
    from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
    from server_strategy.privacy.ledger_lines import PrivacySpent
    from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, MechanismKind, NoiseStream
    from server_strategy.privacy.mechanisms.door import MECHANISMS
    from server_strategy.privacy.noise_key import NoiseKey
    from server_strategy.privacy.plan import AdaptiveClipping, PrivacyPlan
    from server_strategy.privacy.planning import make_privacy_plan
    from server_strategy.privacy.vocabulary_cost import VocabularyCost
    from server_strategy.protocol import Briefing, EvaluateReply, EvaluateRequest, TrainReply, TrainRequest
    from server_strategy.shard_reply import HostProfile
    from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError
    from simulation.api import RunResult, resume, simulate
    from simulation.config import RunConfig
    from simulation.device.keyboard import Keyboard
    from simulation.engine.config import EngineConfig
    from simulation.engine.engine import Engine
    from simulation.engine.profile import RoundProfile
    from simulation.flags import read_config
    from simulation.run.records import RoundRecord
    from simulation.run.trackers.config import TrackingConfig
    from simulation.run.trackers.door import TRACKERS
    from simulation.start_up import Span
    from simulation.storage.config import StorageConfig
    from simulation.world.availability.base import Availability, WorldFacts
    from simulation.world.availability.door import AVAILABILITY
    from simulation.world.config import FleetConfig
    from simulation.world.consent.config import ConsentConfig
    from simulation.world.devices import Devices
    from simulation.world.sessions import Sessions
    from typefleet.doors import Door, Kind, KindSettings, PlotStyle
    from typefleet.errors import ConfigError, InputError, MachineError, TypefleetError, UnknownKindError

_PLACES = {
    "client_model.config": ("DataConfig", "ModelConfig", "TrainingConfig"),
    "client_model.learning.cells.base": ("Cell", "CellSizes", "CellWeight", "glorot", "starting_at"),
    "client_model.learning.cells.door": ("CELLS",),
    "client_model.learning.local_optimizers.base": ("LocalOptimizer",),
    "client_model.learning.local_optimizers.door": ("LOCAL_OPTIMIZERS",),
    "client_model.metrics.config": ("EvaluationConfig",),
    "client_model.metrics.door": ("METRICS",),
    "client_model.metrics.keystrokes": ("KeystrokeTable",),
    "client_model.metrics.metric": ("Baseline", "Metric"),
    "client_model.metrics.scored_tokens": ("ScoredTokens", "TokenScores"),
    "client_model.text.formats.base": ("DataError", "Message", "MessageFormat", "message_of"),
    "client_model.text.formats.columns": ("Columns",),
    "client_model.text.formats.door": ("FORMATS",),
    "server_strategy.aggregation.config": ("AggregationConfig",),
    "server_strategy.cohorts": ("CohortSource", "RoundPlan", "UniformCohorts"),
    "server_strategy.config": ("CohortConfig",),
    "server_strategy.dp_fedavg": ("DPFedAvg",),
    "server_strategy.funnel": ("Funnel",),
    "server_strategy.optimizers.base": ("ServerOptimizer",),
    "server_strategy.optimizers.config": ("ServerOptimizerConfig",),
    "server_strategy.optimizers.door": ("OPTIMIZERS",),
    "server_strategy.policies": ("POLICIES",),
    "server_strategy.pooled_evaluation": ("PhoneCounts",),
    "server_strategy.privacy.config": ("PrivacyConfig",),
    "server_strategy.privacy.distributed_noise.phone_noise": ("PhoneNoise",),
    "server_strategy.privacy.ledger_lines": ("PrivacySpent",),
    "server_strategy.privacy.mechanisms.base": ("Horizon", "Mechanism", "MechanismKind", "NoiseStream"),
    "server_strategy.privacy.mechanisms.door": ("MECHANISMS",),
    "server_strategy.privacy.noise_key": ("NoiseKey",),
    "server_strategy.privacy.plan": ("AdaptiveClipping", "PrivacyPlan"),
    "server_strategy.privacy.planning": ("make_privacy_plan",),
    "server_strategy.privacy.vocabulary_cost": ("VocabularyCost",),
    "server_strategy.protocol": ("Briefing", "EvaluateReply", "EvaluateRequest", "TrainReply", "TrainRequest"),
    "server_strategy.shard_reply": ("HostProfile",),
    "server_strategy.update_sum": ("FixedPointSum", "NonFiniteUpdateError"),
    "simulation.api": ("RunResult", "resume", "simulate"),
    "simulation.config": ("RunConfig",),
    "simulation.device.keyboard": ("Keyboard",),
    "simulation.engine.config": ("EngineConfig",),
    "simulation.engine.engine": ("Engine",),
    "simulation.engine.profile": ("RoundProfile",),
    "simulation.flags": ("read_config",),
    "simulation.run.records": ("RoundRecord",),
    "simulation.run.trackers.config": ("TrackingConfig",),
    "simulation.run.trackers.door": ("TRACKERS",),
    "simulation.start_up": ("Span",),
    "simulation.storage.config": ("StorageConfig",),
    "simulation.world.availability.base": ("Availability", "WorldFacts"),
    "simulation.world.availability.door": ("AVAILABILITY",),
    "simulation.world.config": ("FleetConfig",),
    "simulation.world.consent.config": ("ConsentConfig",),
    "simulation.world.devices": ("Devices",),
    "simulation.world.sessions": ("Sessions",),
    "typefleet.doors": ("Door", "Kind", "KindSettings", "PlotStyle"),
    "typefleet.errors": ("ConfigError", "InputError", "MachineError", "TypefleetError", "UnknownKindError"),
}
_PLACE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AVAILABILITY",
    "CELLS",
    "FORMATS",
    "LOCAL_OPTIMIZERS",
    "MECHANISMS",
    "METRICS",
    "OPTIMIZERS",
    "POLICIES",
    "TRACKERS",
    "AdaptiveClipping",
    "AggregationConfig",
    "Availability",
    "Baseline",
    "Briefing",
    "Cell",
    "CellSizes",
    "CellWeight",
    "CohortConfig",
    "CohortSource",
    "Columns",
    "ConfigError",
    "ConsentConfig",
    "DPFedAvg",
    "DataConfig",
    "DataError",
    "Devices",
    "Door",
    "Engine",
    "EngineConfig",
    "EvaluateReply",
    "EvaluateRequest",
    "EvaluationConfig",
    "FixedPointSum",
    "FleetConfig",
    "Funnel",
    "Horizon",
    "HostProfile",
    "InputError",
    "Keyboard",
    "KeystrokeTable",
    "Kind",
    "KindSettings",
    "LocalOptimizer",
    "MachineError",
    "Mechanism",
    "MechanismKind",
    "Message",
    "MessageFormat",
    "Metric",
    "ModelConfig",
    "NoiseKey",
    "NoiseStream",
    "NonFiniteUpdateError",
    "PhoneCounts",
    "PhoneNoise",
    "PlotStyle",
    "PrivacyConfig",
    "PrivacyPlan",
    "PrivacySpent",
    "RoundPlan",
    "RoundProfile",
    "RoundRecord",
    "RunConfig",
    "RunResult",
    "ScoredTokens",
    "ServerOptimizer",
    "ServerOptimizerConfig",
    "Sessions",
    "Span",
    "StorageConfig",
    "TokenScores",
    "TrackingConfig",
    "TrainReply",
    "TrainRequest",
    "TrainingConfig",
    "TypefleetError",
    "UniformCohorts",
    "UnknownKindError",
    "VocabularyCost",
    "WorldFacts",
    "glorot",
    "make_privacy_plan",
    "message_of",
    "read_config",
    "resume",
    "simulate",
    "starting_at",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _PLACE:
        raise AttributeError(f"module 'typefleet' has no attribute {name!r}")
    return getattr(import_module(_PLACE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
