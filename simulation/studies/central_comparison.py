"""What federation costs: the same model, from the same start, trained on the same people's text in one place.

Central training sees all text of every training phone, also of those that a run never hears; it has no rounds, no
noise and no bound on what a person may contribute. What it reaches is what the federated run could hope for at best,
were both tuned alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_model.config import CentralTraining
from client_model.metrics.table import sum_counts
from simulation.engine.phone_host import PhoneHost
from simulation.flags import read_config
from simulation.run.directory import RunDirectory, read_weights
from simulation.run.preparation import Prepared, prepare
from simulation.run.starting_point import starting_weights
from simulation.tables import console_for, print_table


@dataclass(frozen=True)
class CentralComparison:
    """Metrics by name, of the held-out people that the run was measured on."""

    at_the_start: dict[str, Any]
    federated: dict[str, Any]
    central: dict[str, Any]

    def ratio(self, metric: str) -> float | None:
        """Federated over central; None where either is missing or central is 0."""
        federated, central = self.federated[metric], self.central[metric]
        return None if federated is None or not central else float(federated / central)


def compare_with_central(
    root: Path, training: CentralTraining, say: Callable[[str], None] = print
) -> tuple[CentralComparison, Prepared]:
    """Train centrally what a finished run trained on its phones, and measure both and their start.

    Args:
        root: folder of a finished run.
        training: how.
        say: told how it goes.

    Raises:
        InputError: the folder has no finished run, or its text is gone.
        MachineError: this process has used TensorFlow before, and its threads are set.
    """
    from client_model.learning.central_training import train_centrally
    from client_model.learning.local_training import limit_threads

    limit_threads(1)  # the same bits on any number of cores
    prepared = prepare(read_config(root / "config.toml"))
    config, shape = prepared.config, prepared.shape
    federated = read_weights(RunDirectory(root).model / "weights.npz", shape)
    start = starting_weights(prepared.start, config, shape, say)
    last = [0.0]

    def progress(done: float, loss: float) -> None:
        if done >= last[0] + 0.1 or done == 1.0:
            last[0] = done
            say(f"central training: {done:4.0%}, loss {loss:.3f}")

    central = train_centrally(
        prepared.population,
        prepared.vocabulary.lookup_table(prepared.population.lexicon),
        shape,
        start,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        max_gradient_norm=config.training.max_gradient_norm,
        seed=config.seed,
        phones=prepared.training_phones.tolist(),
        progress=progress,
    )
    host = PhoneHost(prepared.task)

    def measured(weights: Any) -> dict[str, Any]:
        counts = host.score(host.load(weights), prepared.held_out_phones.tolist())
        return prepared.metrics.values(sum_counts(counts))

    return CentralComparison(measured(start), measured(federated), measured(central)), prepared


def print_comparison(stream: Any, found: CentralComparison, prepared: Prepared) -> None:
    """One row per model, and the ratio below them."""
    metrics = prepared.metrics.compared
    rows = [
        [name, *(metric.text(values[metric.name]) for metric in metrics)]
        for name, values in (
            ("at the start", found.at_the_start),
            ("federated", found.federated),
            ("central", found.central),
        )
    ]
    ratios = (found.ratio(metric.name) for metric in metrics)
    rows.append(["federated / central", *("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios)])
    print_table(console_for(stream), ["", *(metric.label for metric in metrics)], rows)
