"""Settings of how the model is measured."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from client_model.metrics.door import METRICS


@dataclass(frozen=True)
class EvaluationConfig:
    """Measuring the model on phones that never train."""

    people: Literal["held-out", "validation"] = "held-out"
    """Who is measured: the phones that are held out; or, to choose settings by, the same share of the others, which
    then do not train either, so that nothing is chosen by looking at those held out."""
    every_rounds: Annotated[int, Ge(1)] = 10
    """Completed rounds from one evaluation to the next; there is one before the first and after the last as well."""
    max_phones: Annotated[int, Ge(1)] = 150
    """Held-out phones that are scored, at most; the same ones every time."""
    max_sequences: Annotated[int, Ge(1)] = 40
    """Sequences of each that are scored, at most."""
    central: bool = False
    """Once the run has ended, train the same model from the same start on the same people's text in one place, to
    compare with: a minute more of the default run, on one processor."""
    metrics: Annotated[tuple[str, ...], METRICS.choice] = ()
    """Metrics to measure beside the built-in ones, which always are."""
