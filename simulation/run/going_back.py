"""Where a run goes on that is to forget phones: at the newest checkpoint from before they came, or at its beginning.

`forgotten.jsonl` alone decides (`forgotten`): whoever opens the run passes over each checkpoint that has one of these
phones in a sum, whatever lies in the folder. So a run that is killed at any moment goes on without them, and what they
left is deleted once there is a checkpoint of the run without them.

A life of the run is what it does between one request to forget and the next. Each has noise of its own: the noise of
an earlier life, on another sum, would give away by subtraction the very updates that are to be forgotten. A secret is
made anew; where the noise is keyed by the seed, the number of the life is part of the key, so that it can be repeated
(`lives`).
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.protected_sum import FORGOTTEN
from server_strategy.state import State, branch, leaf, leaves_of
from simulation.engine.config import ALL
from simulation.run.account_costs import recorded
from simulation.run.account_room import require_room_to_go_back
from simulation.run.checkpoint import (
    Checkpoint,
    CheckpointError,
    RunTotals,
    flattened,
    load_newest_checkpoint,
    numbered,
    part_of,
    save_checkpoint,
    totals_of,
    whole_checkpoint,
)
from simulation.run.directory import RunDirectory
from simulation.run.lives import (
    about_going_back,
    about_life,
    begins_life,
    ledger_entries,
    life_of,
    noise_life,
    record_of,
    require_record,
)
from simulation.run.noise_secret import beginning, check_of_secret, erase_noise_secret, noise_of_new_run
from simulation.run.preparation import Prepared
from simulation.run.same_beginning import NOISE_HERE, fingerprint, require_same_beginning
from typefleet.errors import ConfigError, unwritable

# What is made of people who were measured, and of the model. What the run goes on to write replaces the rest.
_OF_PEOPLE = ("held_out.parquet", "participation.json", "report.html", "personalisation.json", "personalisation.png")
_OF_THE_MODEL = (
    *("model", "rounds.parquet", "central.json", "privacy_head.json", "privacy_head.sig", "release_signatures.json"),
    *("audit.json", "audit.html", "words_told.png", "memorisation.png", "memorisation_groups.png", "membership.png"),
    *("poison.png", "assessment.json", "assessment.md", "assessment.html"),
)
_WORDS = "vocab.txt"  # which a run with a vocabulary of its own reads there again

if TYPE_CHECKING:
    from simulation.run.lifecycle import Run


@dataclass(frozen=True)
class GoesOn:
    """Where a run goes on.

    Attributes:
        stored: the checkpoint; of one that goes back to its beginning, without a state.
        newest: the newest there is, which tells of the run whatever is to be forgotten.
        notes: on damaged ones that were passed over.
        is_new_life: whether it has yet to begin the life that it is told to.
    """

    stored: Checkpoint
    newest: Checkpoint
    notes: tuple[str, ...]
    is_new_life: bool

    @property
    def from_the_start(self) -> bool:
        """Whether no checkpoint is from before the phones came."""
        return not self.stored.state


def where_it_goes_on(folder: Path, prepared: Prepared) -> GoesOn:
    """The checkpoint from which a run goes on without the phones that it is to forget.

    Args:
        folder: of the checkpoints.
        prepared: what is settled, without these phones.

    Raises:
        CheckpointError: there is no checkpoint at all, or the newest that is whole holds something else.
        ConfigError: the settings, the text or the parts are others than the run began with, or so is the record of
            phones to forget than the one it went on by.
        LedgerError: the ledger was changed.
    """
    passed: list[Checkpoint] = []
    entries, forgotten = ledger_entries(RunDirectory(folder.parent).ledger), prepared.forgotten

    def usable(stored: Checkpoint) -> bool:
        if not passed:
            require_record(folder.parent, forgotten.requests, [part_of(stored, "began", dict), *entries])
        will_do = _will_do(stored, prepared)
        if not passed:
            passed.append(stored)
        return will_do

    try:
        stored, notes = load_newest_checkpoint(folder, usable)
    except CheckpointError:
        if not passed:
            raise
        _require_same_but_for_words(passed[0], prepared, folder.parent)
        stored, notes = _the_beginning(passed[0], prepared), []
    is_new_life = begins_life(part_of(stored, "began", dict), forgotten.life, entries)
    if is_new_life and stored.state:
        stored = stored._replace(state=_without_phones(stored.state, prepared))
    return GoesOn(stored, passed[0], tuple(notes), is_new_life)


def _will_do(stored: Checkpoint, prepared: Prepared) -> bool:
    """Whether a run can go on from a checkpoint as one in which the phones to forget never came."""
    then, forgotten = part_of(stored, "fingerprint", dict), prepared.forgotten
    if life_of(part_of(stored, "began", dict)) == forgotten.life:
        return True
    if then.get("vocabulary") != fingerprint(prepared)["vocabulary"]:  # it was counted with them, and is another
        return False
    strategy = branch(stored.state, "strategy")
    counts = leaf(branch(strategy, "participation"), "counts")
    if counts[forgotten.phones].any():
        return False
    is_over = totals_of(stored).is_over(prepared.config.rounds)
    mechanism, noise = prepared.plan.mechanism, branch(strategy, "noise")
    shared = mechanism is not None and not mechanism.independent
    # What noise that is shared between releases would go on from is gone once a run has ended.
    return is_over or not (shared and FORGOTTEN in noise and leaf(noise, "releases") > 0)


def _the_beginning(newest: Checkpoint, prepared: Prepared) -> Checkpoint:
    """A run before its first round; its state is made by who opens it."""
    about = {
        **newest.about,
        "fingerprint": fingerprint(prepared),
        "totals": asdict(RunTotals()),
        "held_out": prepared.metrics.nothing(),
        "held_out_at_start": {},
    }
    return Checkpoint({}, about, newest.path)


def _require_same_but_for_words(newest: Checkpoint, prepared: Prepared, root: Path) -> None:
    """`require_same_beginning` of a run that may have counted its words with phones that it is to forget."""
    then = part_of(newest, "fingerprint", dict)
    if prepared.plan.vocabulary is None:  # words that were drawn with noise are not drawn a second time
        then = {**then, "vocabulary": fingerprint(prepared)["vocabulary"]}
    require_same_beginning(then, prepared, root)


def state_at_the_start(at: GoesOn, strategy: State, world: State, arrays: State) -> State:
    """The state of a run before its first round.

    Args:
        at: where it goes on; its newest checkpoint has the key of digests of sums, which is that of all lives.
        strategy, world: of one that has done nothing.
        arrays: all else.
    """
    key = leaf(branch(branch(at.newest.state, "strategy"), "ledger"), "key")
    return {**arrays, "world": world, "strategy": {**strategy, "ledger": {"line": np.array(0), "key": key}}}


def noise_of_new_life(
    root: Path, prepared: Prepared, began: dict[str, str], start_sha256: str | None, *, salt: str
) -> tuple[NoiseKey, dict[str, str]]:
    """(the key of all noise from here on, what the run began with from now on).

    A secret is made now, whatever there was: nothing has been released with it.

    Args:
        root: of the run's folder.
        prepared: what is settled.
        began: what it began with.
        start_sha256: of the starting weights, if it goes back to its beginning.
        salt: of the run.

    Raises:
        AccountError: the account has no room for a new life; the secret is as it was.
        ConfigError: the file of the secret cannot be written.
        LedgerError: the ledger was changed.
    """
    plan, config, start = prepared.plan, prepared.config, start_sha256 or began["start_sha256"]
    life, ledger = prepared.forgotten.life, RunDirectory(root).ledger
    require_room_to_go_back(config, plan, salt, recorded(ledger, plan)[0])
    number = noise_life(ledger_entries(ledger), life)
    bound_to = beginning(fingerprint(prepared), start)
    if plan.mechanism is not None and plan.noise_source == "secret":
        erase_noise_secret(root)
    noise = noise_of_new_run(root, plan, config.seed, bound_to).of_life(number)
    checks = {"noise_check": check_of_secret(root, noise, bound_to), NOISE_HERE: noise.check()}
    return noise, {**began, "start_sha256": start, **checks, **about_life(life, number)}


def _without_phones(state: State, prepared: Prepared) -> State:
    """A checkpoint's state without what it has of single phones that took part in none of its sums."""
    phones, cohorts = prepared.forgotten.phones, prepared.open_world()
    cohorts.load_state(branch(state, "world"))
    cohorts.forget(phones)
    tokens = leaf(state, "tokens_by_phone")
    tokens[phones] = 0
    strategy = branch(state, "strategy")
    if measured := branch(strategy, "evaluation"):
        stay = ~np.isin(leaf(measured, "phones"), phones)
        counts = {name: values[stay] for name, values in leaves_of(branch(measured, "counts")).items()}
        strategy = {**strategy, "evaluation": {"phones": leaf(measured, "phones")[stay], "counts": counts}}
    return {**state, "world": cohorts.state(), "tokens_by_phone": tokens, "strategy": strategy}


def leave_no_other(folder: Path, kept: Path, prepared: Prepared) -> None:
    """Delete every checkpoint with a forgotten phone in a sum, and take what others have of these phones out of them.

    Args:
        folder: of the checkpoints.
        kept: the one of the run without them, which is there.
        prepared: what is settled.

    Raises:
        CheckpointError: the disk refused.
    """
    here = next(number for number, path in numbered(folder).items() if path == kept)
    for number, path in numbered(folder).items():
        if number == here:
            continue
        stored = None if number > here else whole_checkpoint(path)
        if stored is None or not _will_do(stored, prepared):
            path.unlink()
        elif not _same(without := _without_phones(stored.state, prepared), stored.state):
            save_checkpoint(folder, number, without, stored.about, ALL)


def _same(one: State, other: State) -> bool:
    arrays, others = flattened(one), flattened(other)
    return arrays.keys() == others.keys() and all(np.array_equal(arrays[name], others[name]) for name in arrays)


def drop_what_was_made(directory: RunDirectory, *, is_over: bool, keeps_words: bool) -> None:
    """Delete the model of an earlier life, and what was made of it: none of it is that of the run any more.

    Args:
        directory: of the run.
        is_over: whether the model stays, since none of the phones is in it; then only what was measured goes.
        keeps_words: whether the vocabulary is read from the model's folder when the run goes on.

    Raises:
        ConfigError: something cannot be deleted.
    """
    for name in _OF_PEOPLE if is_over else (*_OF_PEOPLE, *_OF_THE_MODEL):
        path = directory.root / name
        try:
            if path == directory.model and path.is_dir() and not path.is_symlink():
                for inside in path.iterdir():
                    if inside.is_dir():
                        shutil.rmtree(inside)
                    elif not (keeps_words and inside.name == _WORDS):
                        inside.unlink()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(unwritable(path, error)) from error


def leave_phones_behind(run: "Run", at: GoesOn, save: Callable[[bool], Path]) -> None:
    """Make it durable that a run goes on without the phones that it is to forget, then delete what they left.

    Args:
        run: opened where `at` says.
        at: where it goes on; if it has begun its life before, only what a kill had left is deleted.
        save: writes its checkpoint, without the state of its noise if asked to, and deletes none.

    Raises:
        CheckpointError, ConfigError: the disk refused.
    """
    if not at.is_new_life:
        leave_no_other(run.directory.checkpoints, at.stored.path, run.prepared)
        return
    run.went_back, plan = not run.finished, run.strategy.plan
    if run.went_back:
        forgotten, server_round = run.prepared.forgotten, run.totals.server_round
        run.strategy.go_back(len(forgotten.phones), server_round, record_of(forgotten.requests))
        run.began = {**run.began, **about_going_back(ledger_entries(run.directory.ledger))}
    drop_what_was_made(run.directory, is_over=run.finished, keeps_words=plan.vocabulary is not None)
    kept = save(run.finished and plan.noise_source == "secret" and not run.config.privacy.keep_noise_secret)
    leave_no_other(run.directory.checkpoints, kept, run.prepared)
