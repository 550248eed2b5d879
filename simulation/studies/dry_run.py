"""Rounds without training: weeks of a fleet's life in minutes.

The world, the invitations and the participation rule are those of a real run (`timeline`); only nothing
is trained, and how many tokens a phone trains on is drawn from what a sample of the population would.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import hash_uint64, purpose_key
from client_model.learning.language_model import model_shape
from client_model.text.batches import training_tokens
from client_model.text.formats.base import MessageFormat
from client_model.text.population import PeopleSplit, open_population, prepare_population
from server_strategy.funnel import Funnel
from server_strategy.privacy.config import PHONES
from server_strategy.privacy.distributed_noise.hadamard import padded_size
from server_strategy.privacy.ledger import ParticipationLog
from simulation.clock import DAY_S, HOUR_S, local_hour
from simulation.config import RunConfig
from simulation.parts import Parts
from simulation.run.accepted_input import phone_names
from simulation.studies.dry_run_consent import ConsentDay, consent_day
from simulation.studies.dry_run_settings import NO_PROTECTION, Protection
from simulation.world.aggregation_settings import steps_of
from simulation.world.consent.source import consent_source
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts, make_cohorts
from simulation.world.participation import TIME_ZONE, Grouping, phone_groups
from simulation.world.sessions import running_by_group
from simulation.world.timeline import PhoneWork
from typefleet.errors import ConfigError, expected

_SAMPLE = 2000  # phones whose text is looked at
_NO_LIMIT = 2**31 - 1  # participations of a phone; the separation bounds them


@dataclass
class HourCounts:
    """Sums over moments, by hour of the day."""

    eligible: NDArray[np.float64] = field(default_factory=lambda: np.zeros(24))
    invited: NDArray[np.float64] = field(default_factory=lambda: np.zeros(24))

    def mean_eligible(self, days: int) -> list[float] | None:
        """Phones eligible at that hour, mean over the days; by local hour the sum over the time zones' moments."""
        return (self.eligible / days).tolist() if days else None


@dataclass(frozen=True, kw_only=True)
class DryRound:
    """A line of a dry run's rounds.jsonl."""

    round: int
    completed: int  # rounds so far, this one included if it would have released something
    abandoned: str | None  # why nothing would have been released, or None
    funnel: Funnel
    tokens: int  # that the reporters would have trained on

    @property
    def took_s(self) -> float:
        """Simulated seconds, selection included."""
        return self.funnel.closed_s - self.funnel.opened_s + self.funnel.selection_s

    def as_line(self) -> dict[str, Any]:
        """Flat, as it is written."""
        head = {"round": self.round, "completed": self.completed, "abandoned": self.abandoned}
        return {**head, **self.funnel.as_line(), "tokens": self.tokens}


@dataclass
class DryRun:
    """What happened to a fleet."""

    fleet: Fleet
    log: ParticipationLog
    tokens: NDArray[np.int64]  # [phones], that each trains on in a round
    groupings: list[Grouping]
    rounds: list[DryRound] = field(default_factory=list)  # all of them, in order
    by_utc_hour: HourCounts = field(default_factory=HourCounts)
    by_local_hour: HourCounts = field(default_factory=HourCounts)
    days_looked_at: int = 0  # in which the eligible phones were counted, once an hour
    consent_days: list[ConsentDay] = field(default_factory=list)  # none where everybody agrees to all
    releases: int = 0
    simulated_s: float = 0.0
    planning_s: float = 0.0  # wall seconds of the rounds
    ready_s: float = 0.0  # wall seconds before the first round

    def would_stop_at(self, abandoned_in_a_row: int) -> int | None:
        """The round after which a run stops, since so many in a row were abandoned; None: it does not."""
        in_a_row = 0
        for one in self.rounds:
            in_a_row = in_a_row + 1 if one.abandoned else 0
            if in_a_row >= abandoned_in_a_row:
                return one.round
        return None


def model_bytes(config: RunConfig) -> int:
    """Size of the download and of the upload: float32 weights."""
    return model_shape(config.model).num_weights * 4


def tokens_of_phones(
    config: RunConfig,
    num_phones: int,
    message_format: MessageFormat | None = None,
) -> NDArray[np.int64]:
    """int64 [num_phones]: tokens that each phone trains on in a round, drawn from a sample of the population.

    Args:
        config: the text, and what is trained on.
        num_phones: of the fleet.
        message_format: reads the text's file, in the place of the one that is named.
    """
    sample_size = _SAMPLE if config.data.is_synthetic else None
    data = replace(config.data, keep_days=None)  # no message is trained on, so none is too old
    spec = prepare_population(data, config.seed, sample_size, message_format, storage_key=config.storage.key)
    population, length = open_population(spec), config.model.sequence_length
    looked_at = np.arange(min(spec.num_phones, _SAMPLE))
    sample = training_tokens(
        population, looked_at, config.training, sequence_length=length, seed=config.seed, server_round=1
    )
    drawn = hash_uint64(purpose_key(config.seed, "tokens of a phone"), np.arange(num_phones))
    return sample[(drawn % np.uint64(len(sample))).astype(np.int64)].astype(np.int64)


@dataclass(frozen=True)
class DryFleet:
    """The phones of dry runs: one fleet may play many, of other cohorts and other ways to add up."""

    fleet: Fleet
    tokens: NDArray[np.int64]  # [phones], that each trains on in a round
    groupings: list[Grouping]


def prepare_fleet(config: RunConfig, parts: Parts | None = None) -> DryFleet:
    """Make the fleet of `config`, or of the parts of it that are handed in; every phone may train.

    Args:
        config: of the run that is dry.
        parts: that are handed in.

    Raises:
        ConfigError, DataError: the settings or the files cannot be used.
    """
    parts = parts or Parts()
    text = (replace(config.data, keep_days=None), config.seed, None, parts.message_format)
    num_phones = config.fleet.size or prepare_population(*text, storage_key=config.storage.key).num_phones
    _require_phones(config, num_phones)
    tokens = tokens_of_phones(config, num_phones, parts.message_format)
    everybody = np.arange(num_phones)
    split = PeopleSplit(config.seed, config.data.held_out_share)
    fleet = Fleet(
        config.fleet,
        num_phones,
        config.seed,
        everybody,
        availability=parts.availability,
        devices=parts.devices,
        consents=consent_source(
            config.consent,
            config.seed,
            lambda: phone_names(prepare_population(config.data, config.seed, num_phones, parts.message_format, split)),
        ),
    )
    return DryFleet(fleet, tokens, phone_groups(fleet, tokens))


def _require_phones(config: RunConfig, num_phones: int) -> None:
    if config.cohort.goal > num_phones:
        raise ConfigError(expected("--cohort.goal", f"a number <= --fleet.size = {num_phones}", config.cohort.goal))


def rounds_of(
    config: RunConfig, phones: DryFleet, protection: Protection = NO_PROTECTION
) -> tuple[DryRun, FleetCohorts]:
    """A dry run that no round of has been played yet.

    Args:
        config: of the run that is dry, with the text, the fleet and the seed that the phones were made with.
        phones: who play it.
        protection: what it adds to each phone's round that the server sees no single update.

    Raises:
        ConfigError: the settings cannot be used with so many phones.
    """
    fleet, tokens = phones.fleet, phones.tokens
    _require_phones(config, fleet.num_phones)
    if config.aggregation.is_summed and config.aggregation.step_latency_s is None:
        only = "only with --aggregation.step-latency-s in a dry run: else its steps take no time and lose nobody"
        raise ConfigError(expected("--aggregation.protocol", only, config.aggregation.protocol))
    cohorts = make_cohorts(fleet, config.cohort, _work(config, tokens, protection))
    return DryRun(fleet, ParticipationLog(fleet.num_phones), tokens, phones.groupings), cohorts


def prepare_dry_run(
    config: RunConfig, parts: Parts | None = None, protection: Protection = NO_PROTECTION
) -> tuple[DryRun, FleetCohorts]:
    """Set up the fleet of `config`, or of the parts of it that are handed in; every phone may train.

    Args:
        config: of the run that is dry.
        parts: that are handed in.
        protection: what it adds to each phone's round that the server sees no single update.

    Raises:
        ConfigError, DataError: the settings or the files cannot be used.
    """
    began = time.perf_counter()
    run, cohorts = rounds_of(config, prepare_fleet(config, parts), protection)
    run.fleet.check_ins(0.0)  # the first day's sessions are made at the first query
    run.ready_s = time.perf_counter() - began
    return run, cohorts


def _work(config: RunConfig, tokens: NDArray[np.int64], protection: Protection) -> PhoneWork:
    size = model_bytes(config)
    noised = padded_size(size // 4) if config.privacy.noise_place == PHONES else None
    return PhoneWork(
        size + round(protection.download_mb * 1e6),
        lambda phones, _: tokens[phones],
        upload_bytes=size + round(protection.upload_mb * 1e6),
        extra_s=protection.compute_s,
        steps=steps_of(config.aggregation, config.cohort, size // 4, config.seed, noised=noised),
    )


def run_days(
    config: RunConfig,
    run: DryRun,
    cohorts: FleetCohorts,
    days: float,
    tick: Callable[[DryRun], None] = lambda _: None,
    *,
    most_releases: int = _NO_LIMIT,
) -> None:
    """Run rounds until the simulated days are over, or so many rounds would have released something."""
    cohort, began = config.cohort, time.perf_counter()
    limit = cohort.max_participations or _NO_LIMIT
    number, day = 0, -1
    while cohorts.now_s < days * DAY_S and run.releases < most_releases:
        number += 1
        if int(cohorts.now_s // DAY_S) > day:
            day = int(cohorts.now_s // DAY_S)
            _look_at_day(run, day)
        admitted = run.log.may_participate(run.releases + 1, cohort.min_separation_rounds, limit)
        plan = cohorts.plan_round(number, admitted)
        _count_invited(run, cohorts)
        if plan.abandoned is None:
            run.releases += 1
            run.log.record(run.releases, plan.reporters)
        if plan.funnel is None:
            raise RuntimeError(expected("a simulated world", "a funnel", "none"))
        record = DryRound(
            round=number,
            completed=run.releases,
            abandoned=plan.abandoned,
            funnel=plan.funnel,
            tokens=int(plan.tokens.sum()),
        )
        run.rounds.append(record)
        run.simulated_s = cohorts.now_s
        run.planning_s = time.perf_counter() - began
        tick(run)


def _count_invited(run: DryRun, cohorts: FleetCohorts) -> None:
    for moment_s, phone in cohorts.invitations:
        clock = local_hour(moment_s, run.fleet.availability.utc_offset_h[phone])
        run.by_local_hour.invited += np.bincount(clock.astype(np.int64), minlength=24)
        run.by_utc_hour.invited[int(moment_s % DAY_S // HOUR_S)] += len(phone)


def _look_at_day(run: DryRun, day: int) -> None:
    """Count the eligible phones in the middle of each hour of a UTC day."""
    sessions, fleet = run.fleet.availability.sessions_around(day), run.fleet
    moments_s = day * DAY_S + (np.arange(24) + 0.5) * HOUR_S  # [24]
    zones = next(grouping for grouping in run.groupings if grouping.name == TIME_ZONE)
    zone, zones_h = zones.member, np.empty(len(zones.members))
    zones_h[zone] = fleet.availability.utc_offset_h
    running = running_by_group(sessions, moments_s, np.where(fleet.may_train, zone, len(zones_h)), len(zones_h))
    for moment_s, phones in zip(moments_s, running.T, strict=True):  # [zones]
        clock = local_hour(moment_s, zones_h).astype(np.int64)
        run.by_local_hour.eligible += np.bincount(clock, phones, minlength=24)
    run.by_utc_hour.eligible += running.sum(0)
    run.days_looked_at += 1
    if (of_day := consent_day(fleet, run.log, day)) is not None:
        run.consent_days.append(of_day)
