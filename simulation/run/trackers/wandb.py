"""Weights & Biases, offline: a file in the run's folder that `wandb sync` uploads when somebody runs it.

Nothing is sent, and nothing is written of the machine, its user, its Git repository or its other software. A run that
goes on begins its file anew, with the rounds so far, so that the file has each round once.
"""

import io
import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulation.run.trackers.base import Outcome, TrackedRun, TrackerKind
from simulation.run.trackers.config import TrackingConfig

if TYPE_CHECKING:
    from wandb import Settings


class WeightsAndBiases:
    """An offline run in wandb/, whose id is the run's key."""

    def __init__(self, settings: TrackingConfig) -> None:
        self._settings = settings
        self._run: Any = None
        self._ended = False

    def begin(self, run: TrackedRun) -> None:
        """Begin the file, with the rounds so far."""
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when it is imported
        import wandb

        for earlier in (run.folder / "wandb").glob(f"offline-run-*-{run.key}"):
            shutil.rmtree(earlier)
        self._run = wandb.init(
            mode="offline",
            dir=str(run.folder),
            project=self._settings.experiment,
            name=run.name,
            id=run.key,
            config=dict(run.settings),
            reinit="create_new",  # in a notebook, another run may be open
            settings=_settings(),
        )
        for number, values in run.told.items():
            self.round(number, values)

    def round(self, number: int, values: Mapping[str, float]) -> None:
        """Note the numbers of a round."""
        self._run.log(dict(values), step=number)

    def end(self, outcome: Outcome) -> None:
        """Note the summary, the figures and the files."""
        import wandb
        from PIL import Image

        pictures = {tag: wandb.Image(Image.open(io.BytesIO(png))) for tag, png in outcome.figures.items()}
        self._run.log(pictures, step=outcome.last_round)
        self._run.summary.update({f"outcome/{name}": value for name, value in outcome.summary.items()})
        for file in outcome.files:
            shutil.copy(file, self._run.dir)
        self._ended = True

    def close(self) -> None:
        """Write what is left; a run that stopped before its end counts as failed until it goes on."""
        if self._run is not None:
            self._run.finish(exit_code=0 if self._ended else 1)
            self._run = None


def _settings() -> "Settings":
    """Silent, and without a word about the machine."""
    import wandb

    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        save_code=False,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


KIND = TrackerKind(
    "wandb", "an offline run of Weights & Biases, on this machine", make=WeightsAndBiases, module="wandb"
)
