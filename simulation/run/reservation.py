"""A run that is charged on its account before its words are drawn: the selection is a release, with noise of its own.

It comes before the run's first checkpoint, which keeps the number that the account has it by. So the number is made
here and handed on; what fails in between, a selection without words among it, is charged with the words alone. A run
that is killed in between is freed when it is begun anew in its folder, as far as it can have released nothing
(`unbegun`).
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server_strategy.privacy.costs import Cost
from server_strategy.privacy.vocabulary_cost import vocabulary_rho
from simulation.run.accepted_input import AcceptedInput
from simulation.run.account import RunOnAccount, close_on, own_delta_of, reserve_on_account
from simulation.run.directory import new_folder
from simulation.run.other_runs import facts_of


@dataclass(frozen=True)
class Reserved:
    """What a run has on its account before it has a checkpoint."""

    on_account: RunOnAccount
    salt: str  # of the run, from which its number is made
    words: Cost  # of the selection alone
    made: Path | None  # folder made for it; None where one was asked for


def reserved_for_words(accepted: AcceptedInput) -> Reserved | None:
    """Charge a run that has yet to draw its words; None where it has them, or no account.

    Raises:
        AccountError: it does not fit, and nothing is left behind.
    """
    config, plan = accepted.config, accepted.plan
    if config.privacy.account is None or plan.vocabulary is None or accepted.given_vocabulary is not None:
        return None
    made = new_folder(None) if config.output_dir is None else None
    salt, folder = secrets.token_hex(16), config.output_dir or made
    try:
        facts = facts_of(config, plan, accepted.spec, accepted.start)
        on_account = reserve_on_account(facts, salt, folder or Path())
    except BaseException:
        _removed_if_empty(made)
        raise
    if on_account is None:
        return None
    return Reserved(on_account, salt, Cost(vocabulary_rho(plan.vocabulary), own_delta_of(plan)), made)


@contextmanager
def words_alone_if_it_fails(reserved: Reserved | None) -> Iterator[None]:
    """What ends in here with an error has spent its words, and nothing else; should it go on, it reserves anew."""
    try:
        yield
    except BaseException:
        if reserved is not None:
            close_on(reserved.on_account, reserved.words, 0, abandoned=False)
            _removed_if_empty(reserved.made)
        raise


def _removed_if_empty(folder: Path | None) -> None:
    if folder is not None and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
