"""MLflow: a store in the run's folder, or one that several runs share.

A run of Typefleet is one run of MLflow, found again by a tag with its key. MLflow cannot overwrite a point of a curve;
one that it has is not told again. In a run that was killed and goes on that is the same number, but for times; in one
that went back to forget phones it is that of the round as it was with them, which docs/how-to/forget.md says.
"""

import io
import logging
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation.run.trackers.base import Outcome, TrackedRun, TrackerKind
from simulation.run.trackers.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_KEY = "typefleet.key"  # a tag
_AT_ONCE = {"params": 100, "metrics": 1000}  # most that a store takes in one call


class MLflow:
    """Parameters, metrics, figures and files of a run of MLflow."""

    def __init__(self, settings: TrackingConfig) -> None:
        self._settings = settings
        self._client: MlflowClient | None = None
        self._told: set[tuple[str, int]] = set()  # (tag, round)
        self._ended = False

    def begin(self, run: TrackedRun) -> None:
        """Open the store and the run in it, or begin one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # how it speaks with its database
            self._open(run)
        from mlflow.entities import Param

        self._log(params=[Param(name, str(value)) for name, value in run.settings.items()])

    def _open(self, run: TrackedRun) -> None:
        os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")  # read when it is imported
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they report how they make their tables
        address, artifacts = _store(self._settings.mlflow_store, run.folder)
        self._client = client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(self._settings.experiment)
        place = (
            experiment.experiment_id
            if experiment is not None
            else client.create_experiment(self._settings.experiment, artifact_location=artifacts)
        )
        found = client.search_runs([place], f"tags.`{_KEY}` = '{run.key}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            client.update_run(self._run, status="RUNNING")
            for tag in found[0].data.metrics:
                self._told |= {(tag, point.step) for point in client.get_metric_history(self._run, tag)}
        else:
            self._run = client.create_run(place, run_name=run.name, tags={_KEY: run.key}).info.run_id

    def round(self, number: int, values: Mapping[str, float]) -> None:
        """Note the numbers that the store does not have."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        new = {tag: value for tag, value in values.items() if (tag, number) not in self._told}
        self._log(metrics=[Metric(tag, float(value), now_ms, number) for tag, value in new.items()])
        self._told |= {(tag, number) for tag in new}

    def end(self, outcome: Outcome) -> None:
        """Note the summary, and copy the figures and files."""
        from PIL import Image

        if self._client is None:
            return
        self.round(outcome.last_round, {f"outcome/{name}": value for name, value in outcome.numbers.items()})
        for name, value in outcome.summary.items():
            if isinstance(value, str | bool):
                self._client.set_tag(self._run, f"outcome.{name}", str(value))
        for tag, png in outcome.figures.items():
            self._client.log_image(self._run, Image.open(io.BytesIO(png)), f"{tag}.png")
        for file in outcome.files:
            self._client.log_artifact(self._run, str(file))
        self._ended = True

    def close(self) -> None:
        """Say how the run ended: all of it, or stopped."""
        if self._client is not None:
            self._client.set_terminated(self._run, "FINISHED" if self._ended else "KILLED")
            self._client = None

    def _log(self, **items: list[Any]) -> None:
        ((kind, entities),) = items.items()
        for first in range(0, len(entities), _AT_ONCE[kind]):
            if self._client is not None:
                self._client.log_batch(self._run, **{kind: entities[first : first + _AT_ONCE[kind]]})


def _store(setting: str | None, folder: Path) -> tuple[str, str | None]:
    """(address of the store, address of a new experiment's files; None: as the store sees fit)."""
    if setting is not None and "://" in setting:
        return setting, None
    root = Path(os.path.realpath(folder / "mlflow" if setting is None else setting))
    root.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{root / 'mlflow.db'}", (root / "artifacts").as_uri()


KIND = TrackerKind("mlflow", "a run of MLflow, in a store on this machine", make=MLflow, module="mlflow")
