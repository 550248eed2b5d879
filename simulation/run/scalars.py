"""TensorBoard scalars of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from client_model.metrics.table import MetricTable
from simulation.run.records import RoundRecord


class ScalarWriter:
    """Writes the known numbers of a record; use as a context manager."""

    def __init__(self, folder: Path, metrics: MetricTable) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))
        self._metrics = metrics

    def __enter__(self) -> "ScalarWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write_round(self, record: RoundRecord) -> None:
        """Write what the record has; values that do not exist are left out."""
        of_whom = "" if record.epsilon_is_of == "this run" else "_of_modelled_deployment"
        scalars = {
            "training/loss_nats_per_token": record.loss,
            "training/clipped_share": record.clipped_share,
            "training/clip_norm": record.clip_norm,
            "round/reports": record.reports,
            "round/checked_in": None if record.funnel is None else record.funnel.checked_in,
            "engine/tokens_per_second": record.tokens_per_second,
            f"privacy/epsilon{of_whom}": record.epsilon,
            f"privacy/zcdp_rho{of_whom}": record.zcdp_rho,
        }
        self._write(record.round, {**self._held_out(record.held_out or {}), **scalars})

    def write_held_out(self, step: int, held_out: Mapping[str, Any]) -> None:
        """Write a measurement before the first round."""
        self._write(step, self._held_out(held_out))

    def _held_out(self, held_out: Mapping[str, Any]) -> dict[str, float | None]:
        tagged = ((metric.scalar_tag, metric.name) for metric in self._metrics.metrics)
        return {tag: held_out.get(name) for tag, name in tagged if tag is not None}

    def _write(self, step: int, scalars: Mapping[str, float | None]) -> None:
        with self._writer.as_default():
            for tag, number in scalars.items():
                if number is not None:
                    with np.errstate(over="ignore"):  # the perplexity of a model that diverged: infinite here
                        value = np.float32(number)
                    tf.summary.scalar(tag, value, step=step)
        self._writer.flush()
