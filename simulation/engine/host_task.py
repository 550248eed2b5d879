"""What a host needs to train and evaluate phones, as one text that travels in every message."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property

from client_model.config import TrainingConfig
from client_model.learning.language_model import ModelShape
from client_model.metrics.table import MetricTable, metric_table
from client_model.text.population import PopulationSpec


@dataclass(frozen=True)
class HostTask:
    """The constant part of a run, as phones see it."""

    population: PopulationSpec
    vocabulary: str
    shape: ModelShape
    training: TrainingConfig
    evaluation_sequences: int
    seed: int
    metric_names: tuple[str, ...] = ()
    """Metrics to count beside the built-in ones."""

    @cached_property
    def metrics(self) -> MetricTable:
        """What is counted on a held-out phone."""
        return metric_table(self.metric_names)

    def to_json(self) -> str:
        """Inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "HostTask":
        """Inverse of `to_json`."""
        d = json.loads(text)
        return HostTask(
            PopulationSpec(**d["population"]),
            d["vocabulary"],
            ModelShape(**d["shape"]),
            TrainingConfig(**d["training"]),
            d["evaluation_sequences"],
            d["seed"],
            tuple(d["metric_names"]),
        )
