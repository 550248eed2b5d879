"""The world of a configuration: its recorded trace, if any, and its rounds."""

from server_strategy.config import CohortConfig
from simulation.world.buffered_timeline import BufferedCohorts
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.timeline import FleetCohorts, TrainingTokens
from simulation.world.traces.reader import read_trace
from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import ConfigError


def trace_of(config: FleetConfig) -> Trace:
    """The trace that the settings name.

    Raises:
        TraceError: it cannot be used.
    """
    if config.trace is None:
        raise TraceError("expected --fleet.trace, found none")
    return read_trace(config.trace, config.trace_coverage, config.trace_devices, config.trace_idle)


def make_cohorts(
    fleet: Fleet,
    cohort: CohortConfig,
    world: FleetConfig,
    seed: int,
    model_bytes: int,
    training_tokens: TrainingTokens,
) -> FleetCohorts:
    """The world under the policy of its settings; arguments as for FleetCohorts.

    Raises:
        ConfigError: fewer phones may train than a round waits for.
    """
    may_train = int(fleet.may_train.sum())
    if cohort.goal > may_train:
        raise ConfigError(
            f"expected --cohort.goal <= the {may_train} training phones with --fleet.memory-floor-gb "
            f"{world.memory_floor_gb:g} or more, found {cohort.goal}"
        )
    kind = BufferedCohorts if cohort.policy == "buffered" else FleetCohorts
    return kind(fleet, cohort, world, seed, model_bytes, training_tokens)
