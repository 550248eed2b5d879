"""The whole configuration of a run: one frozen tree.

Three kinds of settings never mix. What is learned and how it is protected (data, model, training,
cohort, privacy, server optimizer) and the simulated world (fleet, consent) change results. The engine, the
trackers and the storage must not change one bit of the result, so they are left out of the fingerprint that a
resume checks.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from client_model.config import DataConfig, ModelConfig, TrainingConfig, check_model, default_start
from client_model.metrics.config import EvaluationConfig
from client_model.public_start import RANDOM_START
from server_strategy.aggregation.config import AggregationConfig, check_aggregation
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig, check_privacy, with_default_noise
from server_strategy.privacy.mechanisms.base import Horizon
from server_strategy.privacy.mechanisms.door import mechanism_kind
from server_strategy.robust.config import check_robust
from simulation.engine.config import EngineConfig
from simulation.run.trackers.config import TrackingConfig
from simulation.settings import check_bounds, check_kinds, choose, typed
from simulation.storage.config import StorageConfig
from simulation.unused import refuse_replaced, refuse_unused
from simulation.world.config import FleetConfig, check_fleet
from simulation.world.consent.config import ConsentConfig, check_consent
from typefleet.errors import ConfigError, expected
from typefleet.sealed.storage_key import check_place

if TYPE_CHECKING:
    from simulation.parts import Parts


@dataclass(frozen=True)
class RunConfig:
    """A simulation, from nothing to an exported keyboard."""

    output_dir: Path | None = None
    """Folder for the run, new or empty; by default runs/ with the date and time."""
    rounds: Annotated[int, Ge(1)] = 100
    """Completed rounds to run for; abandoned rounds come on top."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Key of everything random but secret noise. Whoever knows it can subtract seeded noise."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    cohort: CohortConfig = field(default_factory=CohortConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    aggregation: AggregationConfig = field(default_factory=AggregationConfig)
    server_optimizer: ServerOptimizerConfig = field(default_factory=ServerOptimizerConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    consent: ConsentConfig = field(default_factory=ConsentConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)


def settled(config: RunConfig, parts: "Parts | None" = None, *, begun: bool = False) -> RunConfig:
    """A configuration as it will run, checked: with the settings of every chosen kind, the default noise and the start.

    Args:
        config: the settings.
        parts: objects handed in, in the place of kinds that they name.
        begun: it is that of a run which began earlier, and was checked then.

    Raises:
        ConfigError: a setting that cannot be used.
    """
    config, mechanism = typed(config), None
    if parts is not None:
        mechanism = parts.mechanism
        if not begun:
            refuse_replaced(config, parts)
    config = choose(config, {})
    config = replace(config, privacy=with_default_noise(config.privacy, mechanism))
    if config.model.init is None:
        own_cell = parts is not None and parts.cell is not None
        init = RANDOM_START if own_cell else default_start(config.data, config.model)
        config = replace(config, model=replace(config.model, init=init))
    check(config, parts)
    return config


def check(config: RunConfig, parts: "Parts | None" = None) -> None:
    """Check every type, every bound and the rules between settings.

    Args:
        config: the settings.
        parts: objects handed in, in the place of kinds that they name.

    Raises:
        ConfigError: "--flag: expected a number > 0, found -1".
    """
    check_bounds(typed(config))
    check_kinds(config)
    refuse_unused(config)
    cohort, fleet = config.cohort, config.fleet
    mechanism, optimizer = (None, None) if parts is None else (parts.mechanism, parts.server_optimizer)
    momentum = (optimizer or config.server_optimizer.make()).linear_momentum
    horizon = Horizon.planned(config.rounds, cohort.min_separation_rounds, cohort.max_participations, momentum)
    check_privacy(config.privacy, cohort, horizon, mechanism)
    if fleet.size is not None and cohort.goal > fleet.size:
        raise ConfigError(expected("--cohort.goal", f"a number <= --fleet.size = {fleet.size}", cohort.goal))
    check_aggregation(config.aggregation, cohort, config.privacy.noise_place)
    is_private = mechanism is not None or mechanism_kind(config.privacy.mechanism).private
    check_robust(config.aggregation, cohort, is_private)
    check_fleet(fleet)
    check_consent(config.consent)
    if config.storage.key is not None:
        check_place(config.storage.key)
    check_model(config.model)
    _check_local_optimizer(config, parts)


def _check_local_optimizer(config: RunConfig, parts: "Parts | None") -> None:
    """Refuse phones at once for another optimizer than plain SGD."""
    engine, handed_in = config.engine, None if parts is None else parts.local_optimizer
    is_at_once = engine.phones_at_a_time is not None or engine.device == "gpu"
    plain = type(TrainingConfig().make_optimizer())
    if not is_at_once or type(config.training.make_optimizer(handed_in)) is plain:
        return
    found = config.training.optimizer if handed_in is None else type(handed_in).__name__
    at_once = "--engine.phones-at-a-time" if engine.phones_at_a_time is not None else "--engine.device gpu"
    raise ConfigError(expected("--training.optimizer", f"sgd with {at_once}", found))
