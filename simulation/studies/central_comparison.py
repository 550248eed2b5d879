"""What federation costs: the same model, from the same start, trained on the same people's text in one place.

Central training sees all text of every training phone, also of those that a run never hears; it has no rounds, no
noise and no bound on what a person may contribute. What it reaches is what the federated run could hope for at best,
were both tuned alike. Beside them: what counting achieves on the same people's text, and on public text alone, which is
what the public start has to beat before any phone has trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client_model.config import CentralTraining, DataConfig
from client_model.metrics.counting_baselines import Baselines, PhonesText, measure_baselines
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.metric import Metric
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.text.population import open_population, prepare_population
from simulation.flags import read_config
from simulation.run.central import measured, train_in_one_place
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
    public: Baselines | None  # of counting on a public text, if one was named

    def ratio(self, metric: str) -> float | None:
        """Federated over central; None where either is missing or central is 0."""
        federated, central = self.federated[metric], self.central[metric]
        return None if federated is None or not central else float(federated / central)


def compare_with_central(
    root: Path,
    training: CentralTraining,
    public_text: Path | None = None,
) -> tuple[CentralComparison, Prepared]:
    """Train centrally what a finished run trained on its phones, and measure both and their start.

    Args:
        root: folder of a finished run.
        training: how.
        public_text: see `count_public_text`.

    Raises:
        InputError: the folder has no finished run, its text is gone, or the public text cannot be used.
        MachineError: this process has used TensorFlow before, and its threads are set.
    """
    from client_model.learning.local_training import limit_threads

    limit_threads(1)  # the same bits on any number of cores
    prepared = prepare(read_config(root / "config.toml"))
    config, shape = prepared.config, prepared.shape
    public = None if public_text is None else count_public_text(public_text, prepared)  # bad text is said first
    federated = read_weights(RunDirectory(root).model / "weights.npz", shape)
    start = starting_weights(prepared.start, config, shape)
    central = measured(prepared, train_in_one_place(prepared, training, start))
    return CentralComparison(measured(prepared, start), measured(prepared, federated), central, public), prepared


def count_public_text(corpus: Path, prepared: Prepared) -> Baselines:
    """What counting on a public text achieves on the held-out people of a run, with the run's vocabulary.

    Args:
        corpus: messages, in a format that the ending of the file's name says.
        prepared: of the run.

    Raises:
        ConfigError, DataError: the text cannot be used.
    """
    of_run = prepared.config.data
    data = DataConfig(path=corpus, on_bad_line=of_run.on_bad_line, cache_dir=of_run.cache_dir)
    spec = prepare_population(data, prepared.config.seed, None)
    text, population = open_population(spec), prepared.population
    return measure_baselines(
        PhonesText(text, spelled_lookup(prepared.vocabulary, text), np.arange(text.num_phones)),
        PhonesText(population, spelled_lookup(prepared.vocabulary, population), prepared.held_out_phones),
        keystroke_table(prepared.vocabulary.tokens),
        max_sequences=prepared.config.evaluation.max_sequences,
        sequence_length=prepared.shape.sequence_length,
    )


def _counting_rows(name: str, baselines: Baselines, metrics: Sequence[Metric]) -> Iterator[list[str]]:
    """One row for pairs of words, one for threes."""
    for kind in ("bigram", "trigram"):
        own = ([b for b in metric.baselines if b.name == kind] for metric in metrics)
        found = (getattr(baselines, one[0].key.removeprefix("baseline_")) if one else None for one in own)
        yield [f"{kind}, {name}", *(metric.text(value) for metric, value in zip(metrics, found, strict=True))]


def print_comparison(stream: Any, found: CentralComparison, prepared: Prepared) -> None:
    """One row per model, the ratio below them, and what counting achieves.

    Args:
        stream: to print to.
        found: by `compare_with_central`.
        prepared: of the run.
    """
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
    rows += _counting_rows("same people", prepared.baselines(), metrics)
    rows += [] if found.public is None else _counting_rows("public text", found.public, metrics)
    print_table(console_for(stream), ["", *(metric.label for metric in metrics)], rows)
