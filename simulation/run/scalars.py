"""TensorBoard scalars of a run."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

_TAGS = {
    "top1_recall": "held_out/top1_recall",
    "top3_recall": "held_out/top3_recall",
    "impression_recall": "held_out/impression_recall",
    "keystroke_savings": "held_out/keystroke_savings",
    "perplexity": "held_out/perplexity",
    "loss": "training/loss_nats_per_token",
    "clipped_share": "training/clipped_share",
    "clip_norm": "training/clip_norm",
    "reports": "round/reports",
    "checked_in": "round/checked_in",
    "tokens_per_second": "engine/tokens_per_second",
    "epsilon": "privacy/epsilon",
    "zcdp_rho": "privacy/zcdp_rho",
}


class ScalarWriter:
    """Writes the known numbers of a record; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> "ScalarWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, step: int, record: dict[str, Any]) -> None:
        """Write what the record has; values that do not exist are left out."""
        with self._writer.as_default():
            for name, tag in _TAGS.items():
                if record.get(name) is not None:
                    modelled = tag.startswith("privacy/") and record.get("epsilon_is_of") != "this run"
                    with np.errstate(over="ignore"):  # the perplexity of a model that diverged: infinite here
                        value = np.float32(record[name])
                    tf.summary.scalar(tag + "_of_modelled_deployment" * modelled, value, step=step)
        self._writer.flush()
