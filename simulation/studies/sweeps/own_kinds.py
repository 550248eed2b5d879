"""Whether the processes that carry out a study's runs know the kinds that its settings name."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from client_model.metrics.door import METRICS
from simulation.config import RunConfig
from simulation.run.trackers.door import TRACKERS
from typefleet.doors import Door, settings_fields
from typefleet.errors import ConfigError, expected


def require_found_by_runs(config: RunConfig) -> None:
    """Refuse a kind that was registered in this process alone: each run of a study is in another one.

    Raises:
        ConfigError: there is one; names the setting.
    """
    for where, name, door in _kinds_of(config):
        if name in door.names and not door.every_process_finds(name):
            what = "the name of a kind that every process finds, by an entry point of an installed package"
            raise ConfigError(expected(where, what, f"{name!r}, registered in this process alone"))


def _kinds_of(config: RunConfig) -> Iterator[tuple[str, str, Door[Any]]]:
    """(setting, the name that it has, the door behind which that is)."""
    for section in fields(config):
        part = getattr(config, section.name)
        if is_dataclass(part) and not isinstance(part, type):
            for mark in settings_fields(type(part)).values():
                yield f"{section.name}.{mark.selector}", getattr(part, mark.selector), mark.door
    yield from (("evaluation.metrics", name, METRICS) for name in config.evaluation.metrics)
    yield from (("tracking.trackers", name, TRACKERS) for name in config.tracking.trackers)
