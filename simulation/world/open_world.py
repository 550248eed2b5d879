"""The recorded trace of a configuration."""

from simulation.world.config import FleetConfig
from simulation.world.traces.reader import read_trace
from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import expected


def trace_of(config: FleetConfig) -> Trace:
    """The trace that the settings name.

    Raises:
        TraceError: it cannot be used.
    """
    if config.trace is None:
        raise TraceError(expected("--fleet.trace", "a trace", "none"))
    return read_trace(config.trace, config.trace_coverage, config.trace_devices, config.trace_idle)
