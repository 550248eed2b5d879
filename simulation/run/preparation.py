"""Everything that is settled before the first phone trains: vocabulary, baselines, world."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, model_shape
from client_model.metrics.counting_baselines import Baselines, measure_baselines
from client_model.metrics.keyboard_metrics import spelled_lookup
from client_model.metrics.keystrokes import keystroke_table
from client_model.text.batches import training_tokens
from client_model.text.population import Population, type_counts
from client_model.text.vocabulary import FIRST_WORD, Vocabulary, build_vocabulary
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.engine.host_task import HostTask
from simulation.parts import Parts
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.starting_point import StartingPoint
from simulation.world.fleet_cohorts import FleetCohorts, make_cohorts
from simulation.world.timeline import PhoneWork, TrainingTokens
from typefleet.errors import ConfigError


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
    cohorts: FleetCohorts
    training_tokens: TrainingTokens
    start: StartingPoint | None  # None: random weights
    parts: Parts
    plan: PrivacyPlan

    @property
    def shape(self) -> ModelShape:
        """The model with the true size of the vocabulary."""
        return self.task.shape


Text = tuple[NDArray[np.integer[Any]], NDArray[np.int64]]  # types of a phone's tokens, and where messages begin


@dataclass
class _Remembered:
    """A population that keeps the text of the phones it was asked for, for two passes over it."""

    inner: Population
    kept: dict[int, Text] = field(default_factory=dict)

    @property
    def num_phones(self) -> int:
        return self.inner.num_phones

    @property
    def lexicon(self) -> Sequence[str]:
        return self.inner.lexicon

    @property
    def unlisted_word_letters(self) -> int:
        return self.inner.unlisted_word_letters

    @property
    def skipped_lines(self) -> int:
        return self.inner.skipped_lines

    def digests(self) -> NDArray[np.uint64]:
        return self.inner.digests()

    def message_lengths(self, phone: int) -> NDArray[np.int64]:
        return self.inner.message_lengths(phone)

    def types(self, phone: int, messages: NDArray[np.int64] | None = None) -> Text:
        if messages is not None:
            return self.inner.types(phone, messages)
        return self.types_of_phones(np.array([phone]))[0]

    def types_of_phones(self, phones: NDArray[np.int64]) -> list[Text]:
        new = np.array([p for p in phones.tolist() if p not in self.kept], np.int64)
        self.kept.update(zip(new.tolist(), self.inner.types_of_phones(new), strict=True))
        return [self.kept[p] for p in phones.tolist()]


def prepare(config: RunConfig, resume: bool = False, parts: Parts | None = None) -> Prepared:
    """Accept the input and settle it; see `accept_input` and `settle` for what is raised."""
    return settle(accept_input(config, resume, parts))


def settle(accepted: AcceptedInput) -> Prepared:
    """Count the vocabulary, measure the baselines, set the fleet under its policy.

    Raises:
        ConfigError: there are no words, or too few phones have memory enough.
    """
    config, population = accepted.config, _Remembered(accepted.population)
    vocabulary = accepted.given_vocabulary or _counted_vocabulary(config, population, accepted.counted_phones)
    shape = model_shape(config.model, len(vocabulary))
    tokens = _training_tokens(config, accepted.population, shape)
    cohorts = make_cohorts(accepted.fleet, config.cohort, PhoneWork(shape.num_weights * 4, tokens))
    baselines = measure_baselines(
        population,
        spelled_lookup(vocabulary, population),
        keystroke_table(vocabulary.tokens),
        accepted.counted_phones,
        accepted.held_out_phones,
        max_sequences=config.evaluation.max_sequences,
        sequence_length=shape.sequence_length,
    )
    task = HostTask(
        population=accepted.spec,
        vocabulary=vocabulary.to_text(),
        shape=shape,
        training=config.training,
        evaluation_sequences=config.evaluation.max_sequences,
        seed=config.seed,
    )
    return Prepared(
        config=config,
        population=accepted.population,
        digests=accepted.digests,
        training_phones=accepted.training_phones,
        held_out_phones=accepted.held_out_phones,
        vocabulary=vocabulary,
        baselines=baselines,
        task=task,
        cohorts=cohorts,
        training_tokens=tokens,
        start=accepted.start,
        parts=accepted.parts,
        plan=accepted.plan,
    )


def _counted_vocabulary(config: RunConfig, population: Population, phones: NDArray[np.int64]) -> Vocabulary:
    size = model_shape(config.model).vocabulary_size
    vocabulary = build_vocabulary(list(population.lexicon), type_counts(population, phones), size)
    if len(vocabulary) <= FIRST_WORD:
        raise ConfigError("expected words on the training phones, found only punctuation")
    return vocabulary


def _training_tokens(config: RunConfig, population: Population, shape: ModelShape) -> TrainingTokens:
    def tokens(phones: NDArray[np.int64], server_round: int) -> NDArray[np.int64]:
        settings = (config.training, shape.sequence_length, config.seed, server_round)
        return np.array([training_tokens(population, phone, *settings) for phone in phones.tolist()], np.int64)

    return tokens
