"""The same model trained in one place by one fixed recipe, to hold a run to: kept in its folder as central.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from client_model.config import CentralTraining
from client_model.learning.language_model import Weights
from client_model.metrics.metric import Counts
from client_model.metrics.table import sum_counts
from simulation.engine.phone_host import PhoneHost
from simulation.files import read_json_object, write_text_atomically
from simulation.run.preparation import Prepared
from simulation.run.starting_point import starting_weights
from simulation.world.consent.config import TRAIN
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

FILE_NAME = "central.json"
_LARGEST = 1e300


@dataclass(frozen=True)
class CentralTrained:
    """What central training reached on the people that the run was measured on."""

    epochs: int
    learning_rate: float
    metrics: dict[str, Any]  # by name


def train_in_one_place(
    prepared: Prepared, training: CentralTraining, start: Weights, seed: int | None = None
) -> Weights:
    """Train on all text of every training phone whose owner agrees to it, from the run's start.

    Args:
        prepared: of the run.
        training: how.
        start: weights that the run started from.
        seed: of the order in which the text is read; by default that of the run.
    """
    from client_model.learning.central_training import train_centrally

    config = prepared.config
    return train_centrally(
        prepared.population,
        prepared.vocabulary.lookup_table(prepared.population.lexicon),
        prepared.shape,
        start,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        max_gradient_norm=config.training.max_gradient_norm,
        seed=config.seed if seed is None else seed,
        kernel=prepared.task.kernel,
        phones=prepared.fleet.agreeing(TRAIN, prepared.training_phones, prepared.asked_at_s).tolist(),
    )


def counted(prepared: Prepared, weights: Weights) -> list[Counts]:
    """What is counted on each of the people who are measured outside the rounds, in their order."""
    host = PhoneHost(prepared.task.on_processor)
    with step("scoring the people held out"):
        return host.score(host.load(weights), prepared.people_to_score.tolist())


def measured(prepared: Prepared, weights: Weights) -> dict[str, Any]:
    """Metrics by name, of the people that the run is measured on."""
    return prepared.metrics.values(sum_counts(counted(prepared, weights)))


def compare_at_the_end(prepared: Prepared, folder: Path) -> CentralTrained | None:
    """Central training at the end of a run that asks for it; what is in the folder already is not made again.

    Args:
        prepared: of the run.
        folder: of the run.

    Returns:
        None if the run does not ask for it.
    """
    if not prepared.config.evaluation.central:
        return None
    if (folder / FILE_NAME).exists():
        return read_central(folder)
    training = CentralTraining()
    start = starting_weights(prepared.start, prepared.config, prepared.shape)
    weights = train_in_one_place(prepared, training, start)
    found = CentralTrained(training.epochs, training.learning_rate, measured(prepared, weights))
    write_central(folder, found)
    return found


def write_central(folder: Path, found: CentralTrained) -> None:
    """Replace central.json in a run's folder, whole or not at all."""
    write_text_atomically(folder / FILE_NAME, json.dumps(asdict(found), indent=2) + "\n", private=True)


def read_central(folder: Path) -> CentralTrained | None:
    """What central training reached; None if nobody has made it.

    Raises:
        ConfigError: the file is damaged, or another one.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    what = "what central training reached"
    found = read_json_object(path, what, ("epochs", "learning_rate", "metrics"))
    metrics = found["metrics"]
    usable = isinstance(metrics, dict) and type(found["epochs"]) is int and isinstance(found["learning_rate"], float)
    usable = usable and all(
        isinstance(v, list | None) or (type(v) in (int, float) and abs(v) < _LARGEST) for v in metrics.values()
    )
    if not usable:
        raise ConfigError(expected(path, what, "another file"))
    return CentralTrained(found["epochs"], found["learning_rate"], metrics)
