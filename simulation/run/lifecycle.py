"""A run as an object: made or resumed, kept durable, summed up, finished."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import flatten
from server_strategy.aggregators import Exchange
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.composition import EarlierRun
from server_strategy.state import State, leaf
from simulation.config import RunConfig
from simulation.engine.config import ALL
from simulation.flags import to_toml
from simulation.run.account import RunOnAccount, free_unbegun, open_on_account, run_number
from simulation.run.aggregation import aggregation_of
from simulation.run.artefacts import keep_private
from simulation.run.checkpoint import (
    GIVEN_UP,
    RunTotals,
    part_of,
    rewrite_earlier,
    save_checkpoint,
    totals_of,
)
from simulation.run.current_weights import CurrentWeights
from simulation.run.directory import RunDirectory, new_run_directory
from simulation.run.drafts import drop_drafts
from simulation.run.forgotten import read_requests, take_over
from simulation.run.going_back import GoesOn, leave_phones_behind, state_at_the_start, where_it_goes_on
from simulation.run.going_on import (
    ELSEWHERE,
    about_kernel,
    claim_no_more,
    counts_again,
    noise_from_here,
    what_differs,
)
from simulation.run.introduction import introduction_of
from simulation.run.kept_checkpoints import kept_when_over
from simulation.run.kernel import record_kernel
from simulation.run.lives import about_life, about_record, ledger_entries, noise_life
from simulation.run.loaded_state import load_state
from simulation.run.lock import only_writer
from simulation.run.model import check_model
from simulation.run.noise_forgotten import noise_forgotten
from simulation.run.noise_secret import (
    beginning,
    check_of_secret,
    erase_noise_secret,
    noise_of_new_run,
)
from simulation.run.other_runs import ask_account, facts_of
from simulation.run.preparation import Prepared
from simulation.run.private_vocabulary import record_vocabulary
from simulation.run.progress import RunProgress
from simulation.run.reservation import words_alone_if_it_fails
from simulation.run.same_beginning import (
    NOISE_HERE,
    fingerprint,
    require_nothing_released,
    require_same_beginning,
)
from simulation.run.starting_point import starting_weights
from simulation.run.strategy import strategy_of
from simulation.storage.run_files import begin_storage
from simulation.world.fleet_cohorts import FleetCohorts
from typefleet.errors import ConfigError, expected

_AT_START = "held_out_at_start"  # in a checkpoint
_ACCOUNT = "account"  # among what a run began with: its number there, if it has one


@dataclass
class Run:
    """A run in progress."""

    prepared: Prepared
    directory: RunDirectory
    cohorts: FleetCohorts
    strategy: DPFedAvg
    exchange: Exchange  # with the hosts, in training
    weights: CurrentWeights
    salt: str
    began: Mapping[str, str]  # digests of the starting weights and of the noise's key, for a resume to compare
    totals: RunTotals = field(default_factory=RunTotals)
    held_out: Mapping[str, Any] = field(default_factory=dict)  # the last measurement, metrics by name
    held_out_at_start: Mapping[str, Any] = field(default_factory=dict)  # the measurement before the first round
    tokens_by_phone: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # trained on so far
    pays_again: bool = False  # what is on record after its checkpoint does not come out the same
    went_back: bool = False  # it has begun to go on without phones that it is to forget
    last_checkpoint_s: float = 0.0  # wall seconds, for the profile
    earlier: Sequence[EarlierRun] = ()  # whose weights it starts from
    on_account: RunOnAccount | None = None  # where it is charged
    held: ExitStack = field(default_factory=ExitStack)  # what ends with the run: the lock on its folder

    @property
    def flat(self) -> NDArray[np.float32]:
        """The weights as one vector, [num_weights]."""
        return self.weights.flat

    @property
    def config(self) -> RunConfig:
        """Settings that the run was prepared with."""
        return self.prepared.config

    @property
    def finished(self) -> bool:
        """All rounds are completed, or no further one may be."""
        return self.totals.is_over(self.config.rounds)

    def close(self) -> None:
        """Let go of the folder; another process may go on with the run."""
        self.held.close()


def start_run(prepared: Prepared, resume: bool, progress: RunProgress) -> Run:
    """Make the run's folder, or open it at its newest checkpoint; until `Run.close` no other process may.

    Raises:
        RunInUseError: another process is working on the run.
        ConfigError, LedgerError, CheckpointError: the folder does not fit the run.
    """
    with words_alone_if_it_fails(prepared.reserved), ExitStack() as held:
        run, go_on = _resume_run(prepared, progress, held) if resume else (_new_run(prepared, progress, held), None)
        among = facts_of(prepared.config, prepared.plan, prepared.task.population, prepared.start)
        run.earlier = among.earlier
        try:
            run.on_account = open_on_account(
                among, run.salt, run.directory.root, finished=run.finished, began_on_one=_ACCOUNT in run.began
            )
        except AccountError:
            if not resume:  # it has released nothing: what is left begins anew if it is resumed
                erase_noise_secret(run.directory.root)
                for path in run.directory.checkpoints.iterdir():
                    path.unlink()
            raise
        if go_on is not None:
            go_on()
        if run.pays_again and not run.finished:
            claim_no_more(run.directory.checkpoints, run.totals.server_round)
            checkpoint(run, keep_all=True)
        _keep_to_account(run)
        ask_account(run)
        keep_private(run.directory.root)
        held.callback(keep_private, run.directory.root)  # what trackers write has the modes that they give it
        progress.introduce(introduction_of(run))
        run.held = held.pop_all()
    return run


def _keep_to_account(run: Run) -> None:
    """Let a run that came to an account as it goes on know of it from now on: it does not go on without it.

    An account that it does not know could give it up and hand on what is left, and the run would go on off it.
    """
    if run.on_account is not None and _ACCOUNT not in run.began and not run.finished:
        run.began = {**run.began, _ACCOUNT: run.on_account.run}
        checkpoint(run)


def _new_run(prepared: Prepared, progress: RunProgress, held: ExitStack, directory: RunDirectory | None = None) -> Run:
    config = prepared.config
    check_model(config, prepared.parts, prepared.shape)
    at_start = _at_start(prepared)
    reserved = prepared.reserved
    if directory is None:
        folder = config.output_dir if reserved is None or reserved.made is None else reserved.made
        directory = new_run_directory(folder, to_toml(config))
        held.enter_context(only_writer(directory.root))
    begin_storage(directory.root, config.storage.key)
    # A secret of this run: labels in its logs cannot be matched with other runs or with user ids.
    salt = secrets.token_hex(16) if reserved is None else reserved.salt
    bound_to = beginning(fingerprint(prepared), at_start.sha256)
    take_over(directory.root, prepared.forgotten.requests)
    life, ledger = prepared.forgotten.life, directory.ledger
    number = noise_life(ledger_entries(ledger), life)
    noise = noise_of_new_run(directory.root, prepared.plan, config.seed, bound_to).of_life(number)
    cohorts = prepared.open_world()
    aggregation = aggregation_of(config, prepared.plan, noise, cohorts.most_reports)
    run = Run(
        prepared=prepared,
        directory=directory,
        cohorts=cohorts,
        strategy=strategy_of(prepared, cohorts, ledger, aggregation=aggregation, noise=noise, salt=salt),
        exchange=aggregation.exchange,
        weights=at_start,
        salt=salt,
        began={
            "start_sha256": at_start.sha256,
            "noise_check": check_of_secret(directory.root, noise, bound_to),
            NOISE_HERE: noise.check(),
            **about_life(life, number),
            **about_record(read_requests(directory.root)),
            **({} if config.privacy.account is None else {_ACCOUNT: run_number(salt)}),
        },
        held_out=prepared.metrics.nothing(),
        tokens_by_phone=np.zeros(len(prepared.digests), np.int64),
    )
    record_vocabulary(directory.root, run.strategy.plan, prepared.task.vocabulary)  # its cost is on the ledger now
    checkpoint(run)
    return run


def _resume_run(prepared: Prepared, progress: RunProgress, held: ExitStack) -> tuple[Run, Callable[[], None] | None]:
    """The run, and what is deleted of it before it goes on, once its account has let it."""
    config = prepared.config
    if config.output_dir is None:
        raise ConfigError(expected("--resume", "the folder of a run", "none"))
    directory = RunDirectory(config.output_dir)
    held.enter_context(only_writer(directory.root))  # before anything is read: it may be written this moment
    if not directory.has_begun:
        return _begun_anew(prepared, progress, held, directory), None
    at = where_it_goes_on(directory.checkpoints, prepared)
    for note in at.notes:
        progress.say(f"note: {note}")
    run = _run_at(at, prepared, progress, directory)

    def go_on() -> None:
        if not run.finished:  # else it has no round by this kernel
            record_kernel(directory, config)
        directory.cut_rounds_after(run.totals.server_round)
        if prepared.forgotten.life:
            leave_phones_behind(run, at, lambda forget_noise: checkpoint(run, forget_noise, keep_all=True))

    left = f", without {len(phones):,} that it is to forget" if len(phones := prepared.forgotten.phones) else ""
    progress.say(f"resuming {directory.root} after round {run.totals.rounds_completed}{left}")
    return run, go_on


def _run_at(at: GoesOn, prepared: Prepared, progress: RunProgress, directory: RunDirectory) -> Run:
    """A run as it was where it goes on; nothing of it is deleted but drafts.

    Raises:
        ConfigError, LedgerError, CheckpointError, AccountError: its folder does not fit the settings, or was given up.
    """
    stored = at.stored
    totals, salt = totals_of(stored), part_of(stored, "salt", str)
    require_same_beginning(part_of(stored, "fingerprint", dict), prepared, directory.root)
    drop_drafts(directory.root)
    began = part_of(stored, "began", dict)
    if GIVEN_UP in began:
        found = "one that was given up; that is for good: start a new run"
        raise AccountError(expected(f"--resume: {directory.root}", "a run that may go on", found))
    start = _at_start(prepared) if at.from_the_start else None
    noise, began, moved = noise_from_here(prepared, directory, at, None if start is None else start.sha256)
    if moved:
        progress.say(f"note: {directory.root} {ELSEWHERE}")
    cohorts = prepared.open_world()
    aggregation = aggregation_of(prepared.config, prepared.plan, noise, cohorts.most_reports)
    strategy = strategy_of(prepared, cohorts, directory.ledger, aggregation=aggregation, noise=noise, salt=salt)
    if start is not None:
        arrays: State = {"weights": start.flat, "tokens_by_phone": np.zeros(len(prepared.digests), np.int64)}
        stored = stored._replace(state=state_at_the_start(at, strategy.state(), cohorts.state(), arrays))
    load_state(stored, prepared, cohorts, strategy)
    why = what_differs(stored, prepared)
    run = Run(
        prepared=prepared,
        directory=directory,
        cohorts=cohorts,
        strategy=strategy,
        exchange=aggregation.exchange,
        weights=CurrentWeights(leaf(stored.state, "weights"), prepared.shape),
        salt=salt,
        began=began,
        totals=totals,
        held_out=part_of(stored, "held_out", dict),
        # A run that an earlier version began does not have it.
        held_out_at_start=part_of(stored, _AT_START, dict) if _AT_START in stored.about else {},
        tokens_by_phone=leaf(stored.state, "tokens_by_phone"),
        pays_again=moved or why is not None,
    )
    if why is not None and not moved and not strategy.ledger.is_at_its_end:
        progress.say(f"note: {directory.root} {counts_again(why, strategy.plan)}")
    return run


def _begun_anew(prepared: Prepared, progress: RunProgress, held: ExitStack, directory: RunDirectory) -> Run:
    """A run that was stopped before its first round, from its beginning."""
    require_nothing_released(prepared, directory)
    progress.say(f"{directory.root} was stopped before its first round; starting it anew")
    account, reserved = prepared.config.privacy.account, prepared.reserved
    if account is not None and account.exists():
        free_unbegun(account, directory.root, but=None if reserved is None else reserved.on_account.run)
    drop_drafts(directory.root)
    return _new_run(prepared, progress, held, directory)


def _at_start(prepared: Prepared) -> CurrentWeights:
    return CurrentWeights(flatten(starting_weights(prepared.start, prepared.config, prepared.shape)), prepared.shape)


def checkpoint(run: Run, forget_noise: bool = False, *, keep_all: bool = False) -> Path:
    """Make the run durable.

    Args:
        run: in progress, or over.
        forget_noise: of one that is over: leave the state of its noise out, here and in the earlier checkpoints that
            are kept to go back to; where those are but a number of the newest, or the noise of later rounds would
            need that state, none stays.
        keep_all: delete none, whatever the settings say.

    Returns:
        Where it is.
    """
    state: State = {
        "weights": run.flat,
        "tokens_by_phone": run.tokens_by_phone,
        "strategy": run.strategy.state(),
        "world": run.cohorts.state(),
    }
    keep = run.config.engine.keep_checkpoints
    folder, number = run.directory.checkpoints, run.totals.server_round
    behind = run.pays_again and not run.strategy.ledger.is_at_its_end
    if forget_noise:
        shared = not getattr(run.strategy.plan.mechanism, "independent", True)
        state, keep = noise_forgotten(state), kept_when_over(keep, noise_is_shared=shared)
    about = {
        "fingerprint": fingerprint(run.prepared),
        "salt": run.salt,
        **about_kernel(run.prepared, behind=behind),
        "began": dict(run.began),
        "totals": asdict(run.totals),
        "held_out": run.held_out,
        _AT_START: run.held_out_at_start,
    }
    path = save_checkpoint(folder, number, state, about, ALL if keep_all else keep)
    if forget_noise:
        rewrite_earlier(folder, number, noise_forgotten)
    return path
