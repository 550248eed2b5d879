"""Export a run's weights for phones, checked on the run's held-out text."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.batches import read_pairs
from client_model.export_tflite import ExportedFile, export_model
from client_model.language_model import Weights
from client_model.vocabulary import BOS
from simulation.config import ConfigError
from simulation.flags import read_config
from simulation.preparation import Prepared, prepare
from simulation.records import RunDirectory

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


def export_run(directory: RunDirectory, prepared: Prepared) -> list[ExportedFile]:
    """Write the TFLite files of a run whose weights are on disk.

    Raises:
        ConfigError: the run has no weights yet.
        ExportError: a file failed its check; former files stay.
    """
    weights = read_weights(directory.model / "weights.npz", prepared)
    return export_model(directory.model, prepared.shape, weights, held_out_sentences(prepared))


def export_folder(root: Path) -> list[ExportedFile]:
    """`export_run` for scripts: everything is read from the run's folder."""
    config = read_config(root / "config.toml")
    return export_run(RunDirectory(root), prepare(config))


def read_weights(path: Path, prepared: Prepared) -> Weights:
    """Load model/weights.npz.

    Raises:
        ConfigError: missing, damaged, or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            weights = [stored[name] for name in prepared.shape.weight_shapes()]
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: expected the weights of a finished run, found none") from error
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: expected the weights of a run, found {error}") from error
    for (name, dims), weight in zip(prepared.shape.weight_shapes().items(), weights, strict=True):
        if weight.shape != dims:
            raise ConfigError(f"{path}: expected {name} of shape {dims}, found {weight.shape}")
    return weights
