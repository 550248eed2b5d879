"""What a run is made of, as far as it can be refused: opened and held to each other, before anything is started.

All that can be wrong with the input is found here, or when the vocabulary turns out empty or the memory of the
phones too small, before a folder is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import model_shape
from client_model.metrics.table import MetricTable, metric_table
from client_model.text.kept_text import KeptText
from client_model.text.population import (
    PeopleSplit,
    Population,
    PopulationSpec,
    open_population,
    prepare_population,
)
from client_model.text.tokenised_file import TokenisedFile
from client_model.text.vocabulary import Vocabulary, read_vocabulary
from server_strategy.fit_together import optimizer_of
from server_strategy.privacy.config import PHONES
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from simulation.clock import first_day_s
from simulation.config import RunConfig
from simulation.engine.clusters import check_network
from simulation.engine.devices import check_device, device_of
from simulation.parts import Parts
from simulation.run.counted_phones import counted_and_measured
from simulation.run.directory import RunDirectory, check_output_dir
from simulation.run.earlier_runs import run_of
from simulation.run.forgotten import Forgotten, Request, forgotten_by, read_requests
from simulation.run.kernel import with_kernel
from simulation.run.model import shape_of_run
from simulation.run.named_cell import with_named_cell
from simulation.run.own_record import own_requests
from simulation.run.private_vocabulary import recorded_vocabulary
from simulation.run.records import check_metric_names
from simulation.run.starting_point import StartingPoint, open_starting_point
from simulation.run.trackers.base import make_trackers
from simulation.storage.config import StorageConfig
from simulation.storage.run_files import place_for, require_storage
from simulation.world.aggregation_settings import full_graph, phones_add
from simulation.world.consent.config import TRAIN
from simulation.world.consent.labels import PhoneLabels
from simulation.world.consent.source import consent_source
from simulation.world.fleet import Fleet
from typefleet.errors import ConfigError, UnknownKindError, expected, said_of
from typefleet.sealed.storage_key import require_key
from typefleet.steps import step


@dataclass(frozen=True)
class AcceptedInput:
    """Settings and data that fit together."""

    config: RunConfig
    parts: Parts
    spec: PopulationSpec
    population: Population
    digests: NDArray[np.uint64]  # [phones]
    training_phones: NDArray[np.int64]  # whose owners ever agree to it
    counted_phones: NDArray[np.int64]  # training phones that vocabulary and baselines are counted on
    held_out_phones: NDArray[np.int64]  # those evaluated
    fleet: Fleet
    counted_held_out: NDArray[np.int64]  # those of them whom baselines are measured on
    plan: PrivacyPlan
    metrics: MetricTable
    start: StartingPoint | None  # None: random weights
    given_vocabulary: Vocabulary | None  # None: to be counted
    forgotten: Forgotten  # phones that are in none of the above


def accept_input(
    config: RunConfig,
    resume: bool = False,
    parts: Parts | None = None,
    of_run: Path | None = None,
    to_forget: Sequence[Request] = (),
) -> AcceptedInput:
    """Open what the settings name, and refuse what cannot be used.

    Args:
        config: the settings.
        resume: whether the run in its output folder goes on.
        parts: objects handed in, in the place of kinds that they name.
        of_run: folder of a run that ended, whose settings these are: words that it selected with noise are read there.
        to_forget: phones, besides those that the run is on record as having forgotten.

    Raises:
        InputError: nothing was written but the cache of a tokenised file.
        EngineError: the same, of a cluster that anybody could reach.
    """
    begun = config.output_dir if resume else of_run
    config, parts = _as_carried_out(config, parts or Parts(), begun, plays=of_run is None)
    metrics = _metrics(config, parts)
    _check_without_text(config, resume)
    split, config = _split_of(config), _with_place_of_key(config, resume, of_run)
    spec = _text_of(config, parts, split)
    _check_goal(config, spec.num_phones, "the fleet's {} phones")
    population = open_population(spec)
    digests = population.digests()
    start = open_starting_point(config)
    forgotten = forgotten_by((*_requests_of(begun, start, of_run), *to_forget), spec, digests)
    people, held_out = (np.setdiff1d(some, forgotten.phones) for some in split.of(digests[: spec.num_people]))
    training = _training_phones(config, spec, people, forgotten)
    _check_kept(config, population, training)
    plan, vocabulary = _plan_and_words(config, parts, spec.num_phones, start, begun=begun, plays=of_run is None)
    with step("setting up the fleet"):
        fleet = _fleet_of(config, parts, spec, training)
        agreeing = _who_agree(fleet, training)
    counted, measured, scored = counted_and_measured(config, fleet, people, held_out, digests)
    return AcceptedInput(
        config=config,
        parts=parts,
        spec=spec,
        population=population,
        digests=digests,
        training_phones=agreeing,
        counted_phones=counted,
        held_out_phones=measured,
        counted_held_out=scored,
        fleet=fleet,
        plan=plan,
        metrics=metrics,
        start=start,
        given_vocabulary=vocabulary,
        forgotten=forgotten,
    )


def _as_carried_out(config: RunConfig, parts: Parts, begun: Path | None, *, plays: bool) -> tuple[RunConfig, Parts]:
    """The settings and what is handed in, with the device, the cell and the kernel that they come to here.

    Args:
        config, parts: as they were given.
        begun: folder of the run that goes on, or that they are of; None: it is a new one.
        plays: whether rounds are carried out by them; else they were, on whatever device.
    """
    if config.engine.address is not None:
        check_network(config.engine.address, config.engine.trust_network)
    if plays:
        check_device(config.engine)
        config = replace(config, engine=replace(config.engine, device=device_of(config.engine)))
    config, parts = with_named_cell(config, parts)
    return with_kernel(config, parts, begun), parts


def _plan_and_words(
    config: RunConfig,
    parts: Parts,
    num_phones: int,
    start: StartingPoint | None,
    *,
    begun: Path | None,
    plays: bool,
) -> tuple[PrivacyPlan, Vocabulary | None]:
    """The privacy plan, and the words that the run does not count: None if it does."""
    counts_words = start is None and config.data.vocabulary_path is None
    listed = None if counts_words else _given_vocabulary(config, start)
    most_weights = _most_weights(config, parts, listed)
    plan = _privacy_plan(config, parts, num_phones, most_weights, counts_words=counts_words, plays=plays)
    return plan, recorded_vocabulary(begun, plan) if counts_words and begun else listed


def user_digests(config: RunConfig, of_run: Path) -> tuple[NDArray[np.uint64], int]:
    """Of the user ids of a run's phones, and of nothing else that its settings name.

    Args:
        config: the settings of the run.
        of_run: its folder.

    Returns:
        uint64 [phones], and how many of them, the first ones, have a user id in the text.

    Raises:
        InputError: there is no such text.
    """
    split = _split_of(config)
    config, parts = with_named_cell(config, Parts())
    spec = _text_of(_with_place_of_key(config, False, of_run), parts, split)
    return open_population(spec).digests(), spec.num_named


def _split_of(config: RunConfig) -> PeopleSplit:
    return PeopleSplit(config.seed, config.data.held_out_share, config.evaluation.people == "validation")


def _requests_of(begun: Path | None, start: StartingPoint | None, of_run: Path | None) -> tuple[Request, ...]:
    """What phones a run is on record as having forgotten; one that begins, also the run whose weights it starts from.

    A run that was killed before its first round begins anew, and may not have taken over all lines. The record of one
    that goes on is held to its checkpoint when that is opened.
    """
    if of_run is not None:
        return own_requests(of_run)
    own = () if begun is None else read_requests(begun)
    goes_on = begun is not None and RunDirectory(begun).has_begun
    if goes_on or start is None or start.corpus is not None or start.ships_with_us:
        return own
    known = {one.salt for one in own}
    theirs = (replace(one, taken_over=True) for one in own_requests(run_of(start.path)))
    return (*own, *(one for one in theirs if one.salt not in known))


def _text_of(config: RunConfig, parts: Parts, split: PeopleSplit) -> PopulationSpec:
    """The text of the phones, tokenised, and how many of them there are."""
    size, key, begins_s = config.fleet.size, config.storage.key, first_day_s(config.fleet.start_date)
    return prepare_population(
        *(config.data, config.seed, size, parts.message_format, split), start_s=begins_s, storage_key=key
    )


def _fleet_of(config: RunConfig, parts: Parts, spec: PopulationSpec, training: NDArray[np.int64]) -> Fleet:
    """The phones, with what is handed in, and to what their owners agree."""
    return Fleet(
        config.fleet,
        spec.num_phones,
        config.seed,
        training,
        availability=parts.availability,
        devices=parts.devices,
        consents=consent_source(config.consent, config.seed, lambda: phone_names(spec)),
    )


def _with_place_of_key(config: RunConfig, resume: bool, of_run: Path | None) -> RunConfig:
    """The settings with the place where a run that is there has its storage key, which may have moved."""
    key = config.storage.key
    if resume and config.output_dir is not None:
        key = require_storage(config.output_dir, key)
    elif of_run is not None:
        key = place_for(of_run, key)
    elif key is not None:  # a run that is there has an envelope that says where it is
        require_key(key)
    return replace(config, storage=StorageConfig(key))


def _check_without_text(config: RunConfig, resume: bool) -> None:
    make_trackers(config.tracking)
    if config.aggregation.is_summed:
        full_graph(config.aggregation, config.cohort)
    if config.output_dir is not None and not resume:
        check_output_dir(config.output_dir)


def _training_phones(
    config: RunConfig, spec: PopulationSpec, people: NDArray[np.int64], forgotten: Forgotten
) -> NDArray[np.int64]:
    further = np.arange(spec.num_people, spec.num_phones)
    training: NDArray[np.int64] = np.concatenate([people, np.setdiff1d(further, forgotten.phones)])
    _check_goal(config, len(training), "the {} training phones of the fleet")
    return training


def _who_agree(fleet: Fleet, training: NDArray[np.int64]) -> NDArray[np.int64]:
    """The training phones whose owners agree to training at any time.

    Raises:
        ConfigError: nobody does.
    """
    if fleet.consents is None:
        return training
    agreeing = training[fleet.consents.times[TRAIN].holds_from(training, 0.0)]
    if not len(agreeing):
        raise ConfigError(expected("--consent", "somebody who agrees to training", "nobody who ever does"))
    return agreeing


def phone_names(spec: PopulationSpec) -> PhoneLabels:
    """What the phones of a population are called in a file of consents.

    Args:
        spec: of the population.
    """
    nobody = np.zeros(0, np.uint64)
    if spec.cache_folder is None:
        return PhoneLabels(spec.num_phones, nobody, nobody)
    people = open_population(spec).digests()[: spec.num_people]
    everybody = TokenisedFile(Path(spec.cache_folder)).digests()
    return PhoneLabels(spec.num_phones, people, everybody)


def _check_kept(config: RunConfig, population: Population, training: NDArray[np.int64]) -> None:
    """Refuse a calendar on whose first day every message is too old, or not there yet."""
    if isinstance(population, KeptText) and not population.has_text()[training].any():
        day = f"a day on which phones have messages of the last {config.data.keep_days:g} days (--data.keep-days)"
        raise ConfigError(expected("--fleet.start-date", day, f"{config.fleet.start_date}, when none has any"))


def _check_goal(config: RunConfig, most: int, which: str) -> None:
    """Refuse a round of more phones than there are; `which` are they, with a place for their number."""
    if config.cohort.goal > most:
        hint = "a larger --fleet.size adds phones with messages of the same people"
        words = f"at most {which.format(most)}"
        raise ConfigError(f"{expected('--cohort.goal', words, config.cohort.goal)}; {hint}")


def _given_vocabulary(config: RunConfig, start: StartingPoint | None) -> Vocabulary | None:
    """The words that come with the start, or from a list; None: they are to be counted."""
    if start is not None:
        return start.vocabulary
    return None if config.data.vocabulary_path is None else read_vocabulary(config.data.vocabulary_path)


def _metrics(config: RunConfig, parts: Parts) -> MetricTable:
    try:
        metrics = metric_table(config.evaluation.metrics, parts.metrics)
    except UnknownKindError as error:
        raise ConfigError(said_of("--evaluation.metrics", error)) from error
    check_metric_names(metrics)
    return metrics


def _most_weights(config: RunConfig, parts: Parts, vocabulary: Vocabulary | None) -> int | None:
    """Weights of the model, at most: words that are yet to be counted may turn out fewer. None if nobody asks."""
    if config.privacy.noise_place != PHONES:
        return None
    if vocabulary is not None:
        return shape_of_run(config, parts, len(vocabulary)).num_weights
    return model_shape(config.model, None, parts.cell).num_weights


def _privacy_plan(
    config: RunConfig, parts: Parts, num_phones: int, most_weights: int | None, *, counts_words: bool, plays: bool
) -> PrivacyPlan:
    optimizer = optimizer_of(config.server_optimizer, parts.server_optimizer)
    return make_privacy_plan(
        config.cohort,
        config.privacy,
        rounds=config.rounds,
        num_phones=num_phones,
        momentum=optimizer.linear_momentum,
        mechanism=parts.mechanism,
        counts_words=counts_words,
        phones_add=None
        if most_weights is None
        else phones_add(config.privacy, config.aggregation, config.cohort, most_weights),
        begun=not plays,
    )
