"""Every time that a run asked one phone, and what became of it.

A run keeps who was in each sum, and not who was asked. But the world of a run follows from its settings, its seed and
who was in the sums before: so its rounds are planned once more, nothing is trained, and what comes out is held against
the ledger. Where the two do not agree, nothing is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.population import PeopleSplit, phone_labels
from server_strategy.policies import POLICIES
from server_strategy.privacy import ledger_paths
from server_strategy.privacy.ledger_lines import decode_labels, is_release, read_ledger
from server_strategy.privacy.ledger_paths import way_to
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.privacy.participation_log import ParticipationLog
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.flags import read_config
from simulation.run.accepted_input import user_digests
from simulation.run.checkpoint import newest_about
from simulation.run.directory import RunDirectory
from simulation.run.kernel import for_reading
from simulation.run.preparation import Prepared, prepare
from simulation.storage.deletion_log import found_gone
from simulation.studies.phone_story.finding import find_phone
from simulation.studies.phone_story.own_cost import own_cost
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, WITHDRAWN, Attempts
from simulation.world.check_ins import CheckIns
from simulation.world.consent.config import EVALUATE, TRAIN
from simulation.world.consent.times import NEVER_GIVEN
from simulation.world.fleet import Fleet
from simulation.world.fleet_cohorts import FleetCohorts
from simulation.world.timeline import Timeline
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected
from typefleet.steps import each

GIVEN, NOISED, COUNTED = "given", "chosen with noise", "counted without noise"  # the words that the model knows
TRAINS, MEASURED, HELD_OUT, REFUSED, SMALL, FORGOTTEN = (  # what a phone is there for in a run
    "may be asked to train",
    "held out, and measured",
    "held out, and never measured",
    "its owner does not agree to training",
    "too little memory",
    "taken out of the run",
)
IN_SUM, NOT_USED = "in the sum", "not used"
ENDED = {
    FAILED: "training failed",
    INELIGIBLE: "taken up or unplugged",
    UPLOAD_FAILED: "upload broke off",
    WITHDRAWN: "consent withdrawn",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One time that the phone was asked to train."""

    round: int
    began_s: float  # simulated seconds since the run began
    minutes: float  # until it was over
    tokens: int  # that it trained on, or set out to
    outcome: str  # IN_SUM, NOT_USED, or one of ENDED
    download_bytes: int
    upload_bytes: int  # 0 if nothing went out


@dataclass(frozen=True, kw_only=True)
class PhoneHistory:
    """A phone's part in a run."""

    label: str  # as the run's records show it
    role: str  # TRAINS, MEASURED, HELD_OUT, REFUSED, SMALL or FORGOTTEN
    asked: tuple[Asked, ...]  # in the rounds that led to the model
    given_up: int  # sums that it was in and that did not: those rounds were played again
    rounds: int  # of the run
    releases: int
    most_participations: int  # that the run's epsilon is of
    epsilon: float | None  # of the run; None without noise
    own_epsilon: float | None  # by the phone's own participations
    delta: float | None
    plan: PrivacyPlan
    words: str  # GIVEN, NOISED or COUNTED
    words_counted: bool  # whether this phone's words were, with noise or without

    @property
    def in_sum(self) -> tuple[Asked, ...]:
        """The times that its update was in a sum."""
        return tuple(one for one in self.asked if one.outcome == IN_SUM)


class _WatchedTimeline(Timeline):
    """A timeline that remembers every attempt: (round, moment, attempts), in `seen`."""

    seen: list[tuple[int, float, Attempts]]

    def invite(self, checked_in: CheckIns, wanted: int, server_round: int, draw: int = 0) -> Attempts:
        attempts = super().invite(checked_in, wanted, server_round, draw)
        self.seen.append((server_round, self.now_s, attempts))
        return attempts


class RunHistory:
    """The phones' parts in a run, found again."""

    def __init__(self, root: Path, asked_of: Sequence[str] = ()) -> None:
        """Plan the rounds of a run once more.

        Args:
            root: folder of the run.
            asked_of: names of phones, see `find_phone`; one that is nobody's is refused before the rounds are planned.

        Raises:
            ConfigError: there is no run or no such phone, or the rounds do not come out as they were.
            LedgerError, CheckpointError: the run's records are missing or damaged.
        """
        directory = RunDirectory(root)
        config = for_reading(read_config(directory.config, begun=True))  # rounds are planned, nothing is trained
        self._salt = str(newest_about(directory.checkpoints)["salt"])
        self._entries, _ = read_ledger(directory.ledger)
        releases = (at for at, entry in enumerate(self._entries) if is_release(entry) and entry["release"])
        self._last = max(releases, default=None)
        self._way = [] if self._last is None else [self._entries[at] for at in way_to(self._entries, self._last)]
        self._rounds = _rounds_of(directory, self._way)
        if asked_of:
            digests, named = user_digests(config, root)
            for name in asked_of:
                find_phone(name, digests, named, self._salt)
        self._prepared = prepare(config, of_run=root)
        self._plan = plan_on_record(directory.ledger, self._entries, self._prepared.plan.mechanism)
        hexadecimal = phone_labels(self._salt, self._prepared.digests)
        self._labels = np.array([int(label, 16) for label in hexadecimal], np.uint64)
        self._replay = _Replay(self._prepared, self._plan, _participants(self._way, self._labels))
        self._replay.play(self._rounds)

    def _given_up(self, label: np.uint64) -> int:
        """Sums that a phone was in, and that led to no model, or to one that was given up."""
        if self._last is None:
            return 0
        lines = ledger_paths.given_up(self._entries, self._last, everything=True, sums=True)
        return sum(bool(label in decode_labels(self._entries[line]["participants"])) for line in lines)

    @property
    def config(self) -> RunConfig:
        """Of the run."""
        return self._prepared.config

    @property
    def num_phones(self) -> int:
        """Of the run's fleet."""
        return len(self._labels)

    def of(self, name: str) -> PhoneHistory:
        """One phone's part.

        Args:
            name: the phone, see `find_phone`.

        Raises:
            ConfigError: no phone has that name.
        """
        prepared = self._prepared
        phone = find_phone(name, prepared.digests, prepared.task.population.num_named, self._salt)
        spent = self._way[-1]["spent"] if self._way else {"max_participations": 0, "epsilon": None, "delta": None}
        return PhoneHistory(
            label=f"{int(self._labels[phone]):016x}",
            role=role_of(prepared, phone),
            asked=tuple(self._replay.told(phone)),
            given_up=self._given_up(self._labels[phone]),
            rounds=self._rounds,
            releases=len(self._way),
            most_participations=spent["max_participations"],
            epsilon=spent["epsilon"],
            own_epsilon=_own_cost(self._entries, self._last, self._plan, self._labels[phone]),
            delta=spent["delta"],
            plan=self._plan,
            words=(words := _origin_of_words(prepared)),
            words_counted=words != GIVEN and phone in prepared.counted_phones,
        )


def _rounds_of(directory: RunDirectory, way: Sequence[Mapping[str, Any]]) -> int:
    """How many rounds a run had whose releases are these.

    Raises:
        ConfigError: its record of them is gone or short, so that of some rounds nothing could be told.
    """
    rounds = len(directory.read_rounds())
    last = max((line["round"] for line in way), default=0)
    if rounds < last:
        found = f"{rounds} of them" if directory.rounds.exists() else found_gone(directory.root, directory.rounds.name)
        raise ConfigError(expected(directory.rounds, f"the {last} rounds that the run's ledger has", found))
    return rounds


def role_of(prepared: Prepared, phone: int) -> str:
    """What a phone is there for in a run: TRAINS, MEASURED, HELD_OUT, REFUSED, SMALL or FORGOTTEN.

    Args:
        prepared: the run, as of its end.
        phone: number in the fleet.
    """
    config, fleet, one = prepared.config, prepared.fleet, np.array([phone])
    if phone in prepared.forgotten.phones:
        return FORGOTTEN
    if phone in prepared.held_out_phones:
        return MEASURED if _ever_agreed(fleet, EVALUATE, one, prepared.asked_at_s) else HELD_OUT
    split = PeopleSplit(config.seed, config.data.held_out_share, config.evaluation.people == "validation")
    people = len(prepared.digests) - prepared.task.population.further
    if phone < people and phone not in split.of(prepared.digests[:people])[0]:
        return HELD_OUT
    if not _ever_agreed(fleet, TRAIN, one, prepared.asked_at_s):
        return REFUSED
    return TRAINS if fleet.may_train[phone] else SMALL


def _ever_agreed(fleet: Fleet, purpose: str, one: NDArray[np.int64], end_s: float) -> bool:
    """Whether a phone's owner agreed to a purpose at some time of a run that ended at `end_s`."""
    if fleet.consents is None:
        return True
    times = fleet.consents.times[purpose]
    return bool(times.holds_from(one, 0.0)[0] and times.state(one, end_s)[0] != NEVER_GIVEN)


def _origin_of_words(prepared: Prepared) -> str:
    if prepared.plan.vocabulary is not None:
        return NOISED
    return COUNTED if prepared.start is None and prepared.config.data.vocabulary_path is None else GIVEN


def _own_cost(entries: list[dict[str, Any]], last: int | None, plan: PrivacyPlan, label: np.uint64) -> float | None:
    """Epsilon of one phone's own participations, in every release and sum on record; None: nothing bounds it."""
    spent = own_cost(entries, last, plan, np.array([label], np.uint64))
    return 0.0 if spent.zcdp_rho == 0 else spent.epsilon


def _participants(way: list[dict[str, Any]], labels: NDArray[np.uint64]) -> dict[int, NDArray[np.int64]]:
    """Phones in the sum of each round that made a release."""
    order = np.argsort(labels)
    found = {}
    for line in way:
        there = decode_labels(line["participants"])
        at = np.minimum(np.searchsorted(labels, there, sorter=order), len(labels) - 1)
        phones = order[at]
        if not np.array_equal(labels[phones], there):
            raise _not_as_it_was(line["round"])
        found[line["round"]] = np.sort(phones)
    return found


def _not_as_it_was(server_round: int) -> ConfigError:
    return ConfigError(
        expected(
            f"round {server_round} of the run",
            "to come out as its ledger has it when it is planned again, by the settings and the data of the run",
            "another one: the data has changed, or a round was played again without phones that had failed, or phones "
            "that it had asked were forgotten since",
        )
    )


class _Replay:
    """The rounds of a run, planned once more."""

    def __init__(self, prepared: Prepared, plan: PrivacyPlan, participants: dict[int, NDArray[np.int64]]) -> None:
        self._cohort, self._work, self._plan = prepared.config.cohort, prepared.work, plan
        self._participants = participants
        kind, settings = chosen(self._cohort, "policy")
        self._timeline = _WatchedTimeline(prepared.fleet, self._cohort, prepared.work)
        self._timeline.seen = []
        self._cohorts = FleetCohorts(self._timeline, POLICIES.made(kind, settings, self._timeline))
        self._in_sum: set[tuple[int, int]] = set()  # (round in which it began, phone) of each update in a sum
        self._up_bytes = prepared.work.model_bytes if prepared.work.upload_bytes is None else prepared.work.upload_bytes

    def play(self, rounds: int) -> None:
        """Plan so many rounds, each with the phones that the ledger leaves.

        Raises:
            ConfigError: one has other phones in its sum than the ledger has.
        """
        log, made = ParticipationLog(self._timeline.fleet.num_phones), 0
        separation, most = self._cohort.min_separation_rounds, self._plan.max_participations
        for number in each("planning the rounds again", range(1, rounds + 1), rounds):
            planned = self._cohorts.plan_round(number, log.may_participate(made + 1, separation, most))
            summed = self._participants.get(number)
            if summed is None:
                continue
            if planned.abandoned or not np.isin(summed, planned.reporters).all():
                raise _not_as_it_was(number)
            made += 1
            log.record(made, summed)
            began = (
                planned.started_round if planned.started_round is not None else np.full(len(planned.reporters), number)
            )
            there = np.isin(planned.reporters, summed)
            self._in_sum.update(zip(began[there].tolist(), planned.reporters[there].tolist(), strict=True))

    def told(self, phone: int) -> Iterator[Asked]:
        """Each time that a phone was asked."""
        for server_round, began_s, attempts in self._timeline.seen:
            for at in np.flatnonzero(attempts.phone == phone).tolist():
                ended = int(attempts.outcome[at])
                used = ended == DONE and (server_round, phone) in self._in_sum
                one = Asked(
                    round=server_round,
                    began_s=began_s,
                    minutes=float(attempts.end_s[at] - began_s) / 60,
                    tokens=int(attempts.tokens[at]),
                    outcome=IN_SUM if used else ENDED.get(ended, NOT_USED),
                    download_bytes=self._work.model_bytes,
                    upload_bytes=self._up_bytes if ended == DONE else 0,
                )
                yield self._with_steps(one)

    def _with_steps(self, one: Asked) -> Asked:
        """With the messages of secure aggregation, which a phone in a sum sends and hears in several steps."""
        steps = self._timeline.steps
        if steps is None or one.outcome != IN_SUM:
            return one
        sizes = steps.bytes_of(len(self._participants[one.round])).values()
        down = one.download_bytes + sum(int(step.down) for step in sizes)
        return replace(one, download_bytes=down, upload_bytes=sum(int(step.up) for step in sizes))
