"""Everything that is settled before the first phone trains: text, vocabulary, split, baselines, world.

All that can be wrong with the input is found here, before a folder is made or a process started.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key
from client_model.learning.language_model import ModelShape
from client_model.metrics.counting_baselines import Baselines, measure_baselines
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.metrics.table import MetricTable, metric_table
from client_model.text.batches import training_tokens
from client_model.text.population import (
    Population,
    open_population,
    prepare_population,
    split_phones,
)
from client_model.text.vocabulary import Vocabulary
from server_strategy.privacy.plan import PrivacyPlan, make_privacy_plan
from simulation.config import RunConfig
from simulation.engine.host_task import HostTask
from simulation.parts import Parts
from simulation.run.directory import check_output_dir
from simulation.run.model import host_task, shape_of_run, with_named_cell
from simulation.run.records import check_metric_names
from simulation.run.starting_point import StartingPoint, open_starting_point
from simulation.run.vocabulary import run_vocabulary
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts, make_cohorts
from simulation.world.timeline import PhoneWork, TrainingTokens
from typefleet.errors import ConfigError, UnknownKindError, said_of


@dataclass(frozen=True)
class Prepared:
    """The settled parts of a run."""

    config: RunConfig
    population: Population
    digests: NDArray[np.uint64]  # [phones]
    training_phones: NDArray[np.int64]
    held_out_phones: NDArray[np.int64]  # those evaluated
    vocabulary: Vocabulary
    baselines: Baselines
    task: HostTask
    fleet: Fleet
    work: PhoneWork
    start: StartingPoint | None  # None: random weights
    parts: Parts  # that were handed in
    metrics: MetricTable
    plan: PrivacyPlan

    @property
    def shape(self) -> ModelShape:
        """The model with the true size of the vocabulary."""
        return self.task.shape

    def open_world(self) -> FleetCohorts:
        """The fleet under the round policy, before the first round.

        Raises:
            InputError: the policy cannot have rounds on this fleet.
        """
        return make_cohorts(self.fleet, self.config.cohort, self.work)


@dataclass
class _Remembered:
    """A population that keeps the text of the phones it was asked for, for two passes over it."""

    inner: Population
    kept: dict[int, tuple] = field(default_factory=dict)

    @property
    def num_phones(self) -> int:
        return self.inner.num_phones

    @property
    def lexicon(self):
        return self.inner.lexicon

    @property
    def unlisted_word_letters(self) -> int:
        return self.inner.unlisted_word_letters

    @property
    def skipped_lines(self) -> int:
        return self.inner.skipped_lines

    def digests(self):
        return self.inner.digests()

    def message_lengths(self, phone: int):
        return self.inner.message_lengths(phone)

    def types(self, phone: int, messages=None):
        if messages is not None:
            return self.inner.types(phone, messages)
        if phone not in self.kept:
            self.kept[phone] = self.inner.types(phone)
        return self.kept[phone]

    def types_of_phones(self, phones):
        new = np.array([p for p in phones.tolist() if p not in self.kept], np.int64)
        self.kept.update(zip(new.tolist(), self.inner.types_of_phones(new), strict=True))
        return [self.kept[p] for p in phones.tolist()]


def prepare(config: RunConfig, resume: bool = False, parts: Parts | None = None) -> Prepared:
    """Open the text, build the vocabulary, measure the baselines, set up the fleet.

    Args:
        config: of the run.
        resume: the run's folder is there already.
        parts: what is handed in instead of what the configuration names.

    Raises:
        ConfigError, DataError, VocabularyError: the input cannot be used; nothing was written but
            the cache of a tokenised file.
    """
    config, parts = with_named_cell(config, parts or Parts())
    metrics = _metrics(config, parts)
    if config.output_dir is not None and not resume:
        check_output_dir(config.output_dir)
    spec = prepare_population(config.data, config.seed, config.fleet.size, parts.message_format)
    if config.cohort.goal > spec.num_phones:
        raise ConfigError(f"expected --cohort.goal <= the fleet's {spec.num_phones} phones, found {config.cohort.goal}")
    population = _Remembered(open_population(spec))
    digests = population.digests()
    training, held_out = split_phones(digests, config.seed, config.data.held_out_share)
    if config.cohort.goal > len(training):
        raise ConfigError(
            f"expected --cohort.goal <= the {len(training)} training phones of the fleet, found {config.cohort.goal}"
        )
    plan = _privacy_plan(config, parts, spec.num_phones)
    fleet = Fleet(
        config.fleet, spec.num_phones, config.seed, training, availability=parts.availability, devices=parts.devices
    )
    held_out = _sample(held_out, digests, config.seed, "evaluated phones", config.evaluation.max_phones)
    seen = _sample(training, digests, config.seed, "vocabulary phones", config.data.vocabulary_phones)
    start = open_starting_point(config)
    vocabulary = start.vocabulary if start else run_vocabulary(config, population, seen, "the training phones")
    shape = shape_of_run(config, parts, len(vocabulary))
    baselines = measure_baselines(
        population,
        spelled_lookup(vocabulary, population),
        keystroke_table(vocabulary.tokens),
        training_phones=seen,
        held_out_phones=held_out,
        max_sequences=config.evaluation.max_sequences,
        sequence_length=shape.sequence_length,
    )
    prepared = Prepared(
        config=config,
        population=population.inner,
        digests=digests,
        training_phones=training,
        held_out_phones=held_out,
        vocabulary=vocabulary,
        baselines=baselines,
        task=host_task(config, parts, shape, spec, vocabulary),
        fleet=fleet,
        work=PhoneWork(shape.num_weights * 4, _training_tokens(config, population.inner, shape)),
        start=start,
        parts=parts,
        metrics=metrics,
        plan=plan,
    )
    prepared.open_world()  # what is wrong with it is said before a folder is made
    return prepared


def _metrics(config: RunConfig, parts: Parts) -> MetricTable:
    try:
        metrics = metric_table(config.evaluation.metrics, parts.metrics)
    except UnknownKindError as error:
        raise ConfigError(said_of("--evaluation.metrics", error)) from error
    check_metric_names(metrics)
    return metrics


def _privacy_plan(config: RunConfig, parts: Parts, num_phones: int) -> PrivacyPlan:
    momentum = (parts.server_optimizer or config.server_optimizer.make()).linear_momentum
    return make_privacy_plan(
        config.cohort,
        config.privacy,
        rounds=config.rounds,
        num_phones=num_phones,
        momentum=momentum,
        mechanism=parts.mechanism,
    )


def _sample(
    phones: NDArray[np.int64], digests: NDArray[np.uint64], seed: int, purpose: str, most: int
) -> NDArray[np.int64]:
    if len(phones) <= most:
        return phones
    order = np.argsort(hash_uint64(purpose_key(seed, purpose), digests[phones]), kind="stable")
    return np.sort(phones[order[:most]])


def _training_tokens(config: RunConfig, population: Population, shape: ModelShape) -> TrainingTokens:
    def tokens(phones: NDArray[np.int64], server_round: int) -> NDArray[np.int64]:
        of_round = {"sequence_length": shape.sequence_length, "seed": config.seed, "server_round": server_round}
        return np.array(
            [training_tokens(population, phone, config.training, **of_round) for phone in phones.tolist()], np.int64
        )

    return tokens
