"""Settings of how the model is measured."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from client_model.metrics.door import METRICS


@dataclass(frozen=True)
class EvaluationConfig:
    """Measuring the model on phones that never train."""

    every_rounds: Annotated[int, Ge(1)] = 10
    """Evaluate after every so many completed rounds, before the first and after the last."""
    max_phones: Annotated[int, Ge(1)] = 150
    """At most so many held-out phones, the same ones every time."""
    max_sequences: Annotated[int, Ge(1)] = 40
    """At most so many sequences of each."""
    metrics: Annotated[tuple[str, ...], METRICS.choice] = ()
    """Metrics to measure beside the built-in ones, which always are."""
