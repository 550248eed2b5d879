"""Export a run's weights for phones, checked on the run's held-out text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.batches import read_pairs
from client_model.export_tflite import DEFAULT_KINDS, FILES, ExportedFile, export_model
from client_model.vocabulary import BOS
from simulation.config import ConfigError
from simulation.flags import read_config
from simulation.model_card import associated_files, model_card
from simulation.preparation import Prepared, prepare
from simulation.records import RunDirectory, read_weights

CHECKED_SENTENCES = 150


def held_out_sentences(prepared: Prepared, most: int = CHECKED_SENTENCES) -> list[NDArray[np.int32]]:
    """Sentences of held-out phones, each starting with <bos>, spread evenly over the phones."""
    lookup = prepared.vocabulary.lookup_table(prepared.population.lexicon)
    per_phone = max(most // max(len(prepared.held_out_phones), 1), 1)
    sentences: list[NDArray[np.int32]] = []
    for phone in prepared.held_out_phones:
        inputs, _ = read_pairs(prepared.population, lookup, int(phone))
        starts = np.flatnonzero(inputs == BOS)
        sentences += np.split(inputs, starts[1:])[-per_phone:]
        if len(sentences) >= most:
            break
    return sentences[:most]


def export_run(directory: RunDirectory, prepared: Prepared, kinds: Sequence[str] = DEFAULT_KINDS) -> list[ExportedFile]:
    """Write the TFLite files of a run whose weights are on disk.

    Raises:
        ConfigError: the run has no weights yet.
        ExportError: a file failed its check; former files stay.
    """
    weights = read_weights(directory.model / "weights.npz", prepared.shape)
    card = model_card(prepared.config, prepared.shape, *_outcome(directory))
    return export_model(
        directory.model,
        prepared.shape,
        weights,
        held_out_sentences(prepared),
        kinds,
        prepared.config.training.max_gradient_norm,
        associated_files(card, prepared.vocabulary.to_text()),
    )


def _outcome(directory: RunDirectory) -> tuple[dict[str, Any], dict[str, Any]]:
    """summary.json and privacy.json."""
    found = []
    for path in (directory.summary, directory.root / "privacy.json"):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: expected the outcome of a finished run, found {error}") from error
    return found[0], found[1]


def export_folder(root: Path) -> list[ExportedFile]:
    """All files, for scripts: everything is read from the run's folder."""
    config = read_config(root / "config.toml")
    return export_run(RunDirectory(root), prepare(config), tuple(FILES))
