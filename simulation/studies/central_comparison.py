"""What federation costs: the same model, from the same start, trained on the same people's text in one place.

Central training sees all text of every training phone, also of those that a run never hears; it has no rounds, no
noise and no bound on what a person may contribute. It is one fixed recipe, two passes by plain SGD unless told
otherwise, and no upper bound: another recipe may reach more, and one federated run came to 1.009 of it. Beside them:
what counting achieves on the same people's text, and on public text alone, which is what the public start has to beat
before any phone has trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client_model.config import CentralTraining, DataConfig
from client_model.learning.language_model import Weights
from client_model.metrics.counting_baselines import Baselines, PhonesText, measure_baselines
from client_model.metrics.intervals import (
    Interval,
    PhoneColumns,
    difference_over_people,
    over_people,
    over_seeds,
    ratio_over_people,
    shown_half,
    value_and_half,
    why_so_wide,
)
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.metric import Metric
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.metrics.table import sum_counts
from client_model.text.population import open_population, prepare_population
from simulation.flags import read_config
from simulation.run.central import counted, train_in_one_place
from simulation.run.directory import RunDirectory, read_weights
from simulation.run.preparation import Prepared, prepare
from simulation.run.starting_point import starting_weights
from simulation.tables import console_for, print_table


@dataclass(frozen=True)
class Model:
    """What a model does for the held-out people that the run was measured on."""

    metrics: dict[str, Any]  # by name
    counts: PhoneColumns  # of each of them

    @classmethod
    def of(cls, prepared: Prepared, weights: Weights) -> "Model":
        """Measure a model.

        Args:
            prepared: of the run.
            weights: of the model.
        """
        found = counted(prepared, weights)
        return cls(
            prepared.metrics.values(sum_counts(found)), {n: np.array([one[n] for one in found]) for n in found[0]}
        )


@dataclass(frozen=True)
class CentralComparison:
    """A run's model beside the one that is trained in one place, and beside their start."""

    at_the_start: Model
    federated: Model
    central: Model  # of the run's own seed
    by_seed: tuple[Model, ...]  # further ones, that read the text in other orders, are behind the first
    public: Baselines | None  # of counting on a public text, if one was named

    def ratio(self, metric: Metric) -> Interval | None:
        """Federated over central, over people; None where either is missing or central is 0."""
        return ratio_over_people(metric, self.federated.counts, self.central.counts)

    def left_to_gain(self, metric: Metric) -> Interval | None:
        """Central less federated, on the same people; None where either is missing."""
        return difference_over_people(metric, self.central.counts, self.federated.counts)


def compare_with_central(
    root: Path, training: CentralTraining, public_text: Path | None = None, seeds: int = 1
) -> tuple[CentralComparison, Prepared]:
    """Train centrally what a finished run trained on its phones, and measure both and their start.

    Args:
        root: folder of a finished run.
        training: how.
        public_text: see `count_public_text`.
        seeds: central trainings, each with another order of the text; the first has the run's own seed.

    Raises:
        InputError: the folder has no finished run, its text is gone, or the public text cannot be used.
        MachineError: this process has used TensorFlow before, and its threads are set.
    """
    from client_model.learning.local_training import limit_threads

    limit_threads(1)  # the same bits on any number of cores
    prepared = prepare(read_config(root / "config.toml", begun=True), of_run=root)
    config, shape = prepared.config, prepared.shape
    public = None if public_text is None else count_public_text(public_text, prepared)  # bad text is said first
    federated = read_weights(RunDirectory(root).model / "weights.npz", shape)
    start = starting_weights(prepared.start, config, shape)
    central = [Model.of(prepared, train_in_one_place(prepared, training, start, config.seed + i)) for i in range(seeds)]
    found = CentralComparison(
        at_the_start=Model.of(prepared, start),
        federated=Model.of(prepared, federated),
        central=central[0],
        by_seed=tuple(central),
        public=public,
    )
    return found, prepared


def count_public_text(corpus: Path, prepared: Prepared) -> Baselines:
    """What counting on a public text achieves on the held-out people of a run, with the run's vocabulary.

    Args:
        corpus: messages, in a format that the ending of the file's name says.
        prepared: of the run.

    Raises:
        ConfigError, DataError: the text cannot be used.
    """
    of_run = prepared.config.data
    data = DataConfig(path=corpus, on_bad_line=of_run.on_bad_line, cache_dir=of_run.cache_dir, purpose=of_run.purpose)
    spec = prepare_population(data, prepared.config.seed, None, storage_key=prepared.config.storage.key)
    text, population = open_population(spec), prepared.population
    return measure_baselines(
        PhonesText(text, spelled_lookup(prepared.vocabulary, text), np.arange(text.num_phones)),
        PhonesText(population, spelled_lookup(prepared.vocabulary, population), prepared.people_to_score),
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
    """One row per model, what is between them, and what counting achieves; each with its interval.

    Args:
        stream: to print to.
        found: by `compare_with_central`.
        prepared: of the run.
    """
    metrics = prepared.metrics.compared
    rows = [
        [name, *(_with_half(over_people(metric, model.counts), metric) for metric in metrics)]
        for name, model in (
            ("at the start", found.at_the_start),
            ("federated", found.federated),
            ("central", found.central),
        )
    ]
    rows.append(["federated / central", *(_ratio_text(found.ratio(metric)) for metric in metrics)])
    rows.append(["central - federated", *(_difference_text(found.left_to_gain(metric), metric) for metric in metrics)])
    seeds = len(found.by_seed)
    if seeds > 1:
        over = [over_seeds_of(found, metric) for metric in metrics]
        rows.append([f"central, {seeds} seeds", *map(_with_half, over, metrics)])
    rows += _counting_rows("same people", prepared.baselines(), metrics)
    rows += [] if found.public is None else _counting_rows("public text", found.public, metrics)
    console = console_for(stream)
    print_table(console, ["", *(metric.label for metric in metrics)], rows)
    people = len(prepared.people_to_score)
    console.print(
        f"± half of the 95 % bootstrap interval over the {people:,} people; differences are paired by person."
    )
    if seeds > 1:
        wide = why_so_wide(seeds)
        note = f"{seeds} seeds: ± half of the 95 % t-interval over orders of the text, the people being the same"
        console.print(f"{note}{f': {wide}' if wide else ''}.")


def over_seeds_of(found: CentralComparison, metric: Metric) -> Interval | None:
    """What central training reaches over its seeds; None where one of them has no such value.

    Args:
        found: with several seeds.
        metric: whose value is a number.
    """
    values = [model.metrics[metric.name] for model in found.by_seed]
    return None if any(value is None for value in values) else over_seeds(values)


def _with_half(one: Interval | None, metric: Metric) -> str:
    return "-" if one is None else value_and_half(one, metric)


def _ratio_text(one: Interval | None) -> str:
    if one is None:
        return "-"
    return f"{one.mean:.3f}" if one.half_width is None else f"{one.mean:.3f} ± {one.half_width:.3f}"


def _difference_text(one: Interval | None, metric: Metric) -> str:
    if one is None:
        return "-"
    half = "" if one.half_width is None else f" ± {shown_half(metric.bare(one.half_width))}"
    return f"{metric.bare(one.mean)}{half}{' points' if metric.unit == 'percent' else ''}"
