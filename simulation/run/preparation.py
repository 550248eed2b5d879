"""Everything that is settled before the first phone trains: vocabulary, model, world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape
from client_model.metrics.counting_baselines import Baselines, PhonesText, measure_baselines
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.metrics.table import MetricTable
from client_model.text.batches import training_tokens
from client_model.text.kept_text import KeptText
from client_model.text.population import OnAnother, Population, text_key_of
from client_model.text.vocabulary import Vocabulary
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.engine.host_task import HostTask
from simulation.parts import Parts
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.account import drawn_on_account
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import NOBODY, Forgotten
from simulation.run.model import host_task, shape_of_run
from simulation.run.private_vocabulary import noise_of_vocabulary, private_vocabulary
from simulation.run.reservation import Reserved, reserved_for_words, words_alone_if_it_fails
from simulation.run.starting_point import StartingPoint
from simulation.run.vocabulary import run_vocabulary
from simulation.world.aggregation_settings import noised_upload_bytes, steps_of
from simulation.world.consent.config import EVALUATE
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts, make_cohorts
from simulation.world.sliding_text import SlidingText
from simulation.world.timeline import PhoneWork
from typefleet.steps import step


@dataclass(frozen=True)
class Prepared:
    """The settled parts of a run."""

    config: RunConfig
    population: Population
    digests: NDArray[np.uint64]  # [phones]
    training_phones: NDArray[np.int64]  # whose owners ever agree to it
    counted_phones: NDArray[np.int64]  # training phones that vocabulary and baselines are counted on
    held_out_phones: NDArray[np.int64]  # those evaluated
    vocabulary: Vocabulary
    baselines: "MeasuredLater"
    task: HostTask
    fleet: Fleet  # it keeps the sessions of the last days it was asked about, and gives the same answers without
    work: PhoneWork
    start: StartingPoint | None  # None: random weights
    parts: Parts  # that were handed in
    metrics: MetricTable
    plan: PrivacyPlan
    reserved: Reserved | None = None  # on its account, before its words were drawn
    forgotten: Forgotten = NOBODY  # phones that are in none of the above
    asked_at_s: float = 0.0  # simulated moment at which owners are asked outside the rounds

    @property
    def shape(self) -> ModelShape:
        """The model with the true size of the vocabulary."""
        return self.task.shape

    @cached_property
    def text_key(self) -> bytes:
        """Of the tokenised text, for the hosts that read it; empty where it is not encrypted."""
        return text_key_of(self.task.population)

    @property
    def people_to_score(self) -> NDArray[np.int64]:
        """Who is measured outside the rounds: of the people held out, those who agree to it then."""
        return self.fleet.agreeing(EVALUATE, self.held_out_phones, self.asked_at_s)

    def open_world(self) -> FleetCohorts:
        """The fleet under the round policy, before the first round.

        Raises:
            InputError: the policy cannot have rounds on this fleet.
        """
        return make_cohorts(self.fleet, self.config.cohort, self.work)


class MeasuredLater:
    """What counting achieves, measured when first asked for: no phone has to wait for it."""

    def __init__(self, measure: Callable[[], Baselines]) -> None:
        self._found: Baselines | Callable[[], Baselines] = measure

    def __call__(self) -> Baselines:
        if not isinstance(self._found, Baselines):
            self._found = self._found()  # and the text is let go of
        return self._found


Text = tuple[NDArray[np.integer[Any]], NDArray[np.int64]]  # types of a phone's tokens, and where messages begin


@dataclass
class _Remembered(OnAnother):
    """A population that keeps the text of the phones it was asked for, for two passes over it."""

    inner: Population
    kept: dict[int, Text] = field(default_factory=dict)

    @property
    def lexicon(self) -> Sequence[str]:
        return self.inner.lexicon

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


def prepare(
    config: RunConfig, resume: bool = False, parts: Parts | None = None, of_run: Path | None = None
) -> Prepared:
    """Accept the input and settle it; see `accept_input` and `settle` for what is asked and raised."""
    prepared = settle(accept_input(config, resume, parts, of_run))
    if of_run is None or prepared.fleet.consents is None:
        return prepared
    return replace(prepared, asked_at_s=RunDirectory(of_run).read_summary().simulated_seconds)


def settle(accepted: AcceptedInput) -> Prepared:
    """Count the vocabulary, set the fleet under its policy.

    A run with an account is charged on it before words are drawn with noise, whatever comes of them.

    Raises:
        ConfigError: there are no words, or too few phones have memory enough.
        AccountError: the run does not fit on its account.
    """
    reserved = reserved_for_words(accepted)
    with words_alone_if_it_fails(reserved):
        prepared = replace(_settled(accepted), reserved=reserved)
        if reserved is not None:
            drawn_on_account(reserved.on_account, reserved.words, accepted.plan)
        return prepared


def _settled(accepted: AcceptedInput) -> Prepared:
    config, parts, population = accepted.config, accepted.parts, _Remembered(accepted.population)
    vocabulary = accepted.given_vocabulary or _counted_vocabulary(accepted, population)
    shape = shape_of_run(config, parts, len(vocabulary))
    prepared = Prepared(
        config=config,
        population=accepted.population,
        digests=accepted.digests,
        training_phones=accepted.training_phones,
        counted_phones=accepted.counted_phones,
        held_out_phones=accepted.held_out_phones,
        vocabulary=vocabulary,
        baselines=MeasuredLater(partial(_measure_baselines, accepted, population, vocabulary, shape.sequence_length)),
        task=host_task(config, parts, shape, accepted.spec, vocabulary),
        fleet=accepted.fleet,
        work=_work(accepted, shape),
        start=accepted.start,
        parts=parts,
        metrics=accepted.metrics,
        plan=accepted.plan,
        forgotten=accepted.forgotten,
    )
    with step("preparing the choice of phones"):
        prepared.open_world()  # what is wrong with it is said before a folder is made
    return prepared


def _work(accepted: AcceptedInput, shape: ModelShape) -> PhoneWork:
    """What a phone of a round does: where it adds the noise, what it sends is of another size than the model."""
    config, noise = accepted.config, accepted.plan.phone_noise
    numbers = None if noise is None else noise.padded
    size = None if numbers is None else noised_upload_bytes(config.aggregation, config.cohort, numbers)
    population, tokens_of = accepted.population, partial(_training_tokens, config, shape)
    sliding = SlidingText(population, tokens_of) if isinstance(population, KeptText) and population.slides else None
    return PhoneWork(
        shape.num_weights * 4,
        partial(tokens_of, population),
        steps_of(config.aggregation, config.cohort, shape.num_weights, config.seed, noised=numbers),
        upload_bytes=size,
        sliding=sliding,
    )


def _counted_vocabulary(accepted: AcceptedInput, population: Population) -> Vocabulary:
    config, phones = accepted.config, accepted.counted_phones
    if accepted.plan.vocabulary is not None:
        return private_vocabulary(config, population, phones, accepted.plan, noise_of_vocabulary(config))
    return run_vocabulary(config, population, phones, "the training phones", config.data.min_phones_a_word)


def _measure_baselines(
    accepted: AcceptedInput, population: Population, vocabulary: Vocabulary, sequence_length: int
) -> Baselines:
    spelled = spelled_lookup(vocabulary, population)
    return measure_baselines(
        PhonesText(population, spelled, accepted.counted_phones),
        PhonesText(population, spelled, accepted.counted_held_out),
        keystroke_table(vocabulary.tokens),
        max_sequences=accepted.config.evaluation.max_sequences,
        sequence_length=sequence_length,
    )


def _training_tokens(
    config: RunConfig, shape: ModelShape, population: Population, phones: NDArray[np.int64], server_round: int
) -> NDArray[np.int64]:
    of_round = {"sequence_length": shape.sequence_length, "seed": config.seed, "server_round": server_round}
    return training_tokens(population, phones, config.training, **of_round)
