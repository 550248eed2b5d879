"""A run on the account of its population: opened before its first release, settled when it has ended.

The order of events: checkpoint 0 with the salt from which the run's number is made -> the account's line, durable ->
rounds. One that draws its words with noise has its line before them (`reservation`). A run that is killed in between
finds its line by its number and goes on with it; one that never comes back stays charged with the most that it could
spend, until somebody says that it is abandoned. The account is changed by one process at a time, and replaced as a
whole.

An account that is gone before the first release of a run is begun anew when the run goes on: of this run nothing was
released, and it cannot be told from one that was killed before its line. What other runs had cost is gone with the
file; their own statements still name its lines, and they do not go on without it.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client_model.text.population import PopulationSpec, text_source
from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.composition import EarlierRun, may_share_people
from server_strategy.privacy.costs import Cost
from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.ledger_lines import read_ledger
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.files import read_json_object, write_text_atomically
from simulation.run.account_costs import most_of as most_of
from simulation.run.account_costs import own_delta_of as own_delta_of
from simulation.run.account_costs import recorded as recorded
from simulation.run.account_costs import terms_of as terms_of
from simulation.run.directory import RunDirectory
from simulation.run.earlier_runs import SECTION, population_named
from simulation.run.lock import in_turn
from simulation.run.unbegun import with_unbegun_freed
from typefleet.errors import ConfigError, expected, unwritable


@dataclass(frozen=True)
class RunOnAccount:
    """Where a run is charged."""

    path: Path  # of the account
    run: str  # its number


@dataclass(frozen=True)
class RunFacts:
    """What an account asks of a run."""

    config: RunConfig
    plan: PrivacyPlan
    population: PopulationSpec
    earlier: Sequence[EarlierRun]  # whose weights it starts from


def population_of(spec: PopulationSpec) -> str:
    """The digest of a population, as `population_named` makes it."""
    return population_named(None if spec.cache_folder is None else Path(spec.cache_folder).name)


def run_number(salt: str) -> str:
    """The number of a run on accounts, from the salt that its checkpoints keep."""
    return hashlib.sha256(f"number on an account {salt}".encode()).hexdigest()[:16]


def check_account(facts: RunFacts) -> None:
    """Refuse a run that its account has no room for, before anything is started; nothing is written.

    What one is charged that was killed in the same folder before it had begun is free for it.

    Raises:
        AccountError, ConfigError: the account was changed, is of other data, or has too little left.
    """
    path = facts.config.privacy.account
    if path is None:
        return
    real = _real(path)
    if not real.parent.is_dir() or real.is_dir() or real.is_symlink():  # a link still: it leads in a circle
        found = f"the folder {path}" if path.is_dir() else f"{path}"
        raise ConfigError(expected("--privacy.account", "a file in a folder that is there", found))
    account = Account.read(path) if path.exists() else None
    if account is not None and facts.config.output_dir is not None:
        account = with_unbegun_freed(account, facts.config.output_dir, _today())
    _opened(account, path, "of this run", facts, name="this run")


def reserve_on_account(facts: RunFacts, salt: str, root: Path) -> RunOnAccount | None:
    """Charge a run that has released nothing, and says by `drawn_on_account` and `open_on_account` what it may have.

    Those that were killed in the same folder before they had begun are freed.

    Args:
        facts: of the run.
        salt: of the run.
        root: its folder, which need not be there.

    Returns:
        None without an account.

    Raises:
        AccountError: the account was changed, is of other data, or has too little left.
    """
    path, number = facts.config.privacy.account, run_number(salt)
    if path is None:
        return None

    def reserved(account: Account | None) -> Account:
        account = None if account is None else with_unbegun_freed(account, root, _today())
        return _opened(account, path, number, facts, name=root.name, root=root)

    _change(path, reserved)
    return RunOnAccount(path, number)


def drawn_on_account(on_account: RunOnAccount, words: Cost, plan: PrivacyPlan) -> None:
    """Put down that a reserved run has drawn its words, before anybody sees them.

    Raises:
        AccountError: the account was changed, or is another one; or somebody freed the run, and has used what it left.
    """
    run, most = on_account.run, most_of(plan)
    _change(on_account.path, lambda account: _there(account, on_account).drawn(run, words, most, _today()))


def free_unbegun(path: Path, root: Path, *, but: str | None = None) -> bool:
    """Free what runs are charged that were killed in a folder before they had released anything.

    Args:
        path: of the account.
        root: the folder, which need not be there.
        but: number of a run that is alive.

    Returns:
        Whether there was any.

    Raises:
        AccountError, LedgerError: the account or the ledger was changed.
    """
    heads = []

    def freed(account: Account | None) -> Account:
        if account is None:
            raise AccountError(expected(path, "a privacy account", "none"))
        after = with_unbegun_freed(account, root, _today(), but=but)
        heads.extend([account.head, after.head])
        return after

    _change(path, freed)
    return heads[0] != heads[1]


def open_on_account(
    facts: RunFacts, salt: str, root: Path, *, finished: bool, began_on_one: bool = False
) -> RunOnAccount | None:
    """Charge a run with the most that it can spend; one that goes on finds its charge, and so does one that is done.

    Args:
        facts: of the run.
        salt: of the run, already durable.
        root: its folder.
        finished: no round is left.
        began_on_one: its checkpoints know that it has an account.

    Returns:
        None without an account.

    Raises:
        AccountError: the account is missing, was changed, lacks lines, is of other data, or has too little left; or
            the run was given up, or goes on in a copy of its folder.
    """
    path, number = facts.config.privacy.account, run_number(salt)
    line = _line_stated(root, number)
    if path is None:
        if line is None and not began_on_one:
            return None
        what = f"the account that {root if line is None else root / 'privacy.json'} names"
        raise AccountError(expected("--privacy.account", what, "none"))
    here = RunOnAccount(path, number)
    released = line is not None or (began_on_one and _has_released(root))

    def opened(account: Account | None) -> Account:
        if account is not None:
            _require_what_was_stated(account, line, root)
        if released and (account is None or here.run not in account.charges):
            found = "none" if account is None else "one without it"
            raise AccountError(expected(path, f"the account that {root} was charged on before its releases", found))
        if account is not None and finished and here.run in account.charges:
            return account
        if account is not None and here.run in account.charges:
            account.require_folder(here.run, root)
        account = _opened(account, path, here.run, facts, name=root.name, begins_in=root)
        return account.begun_by(here.run, _today(), account.folder_of(root))

    _change(path, opened)
    return here


def settle_on(on_account: RunOnAccount, plan: PrivacyPlan, spent: PrivacySpent, ledger: Path) -> None:
    """Put down what a run did spend: what its ledger records, if that is more than it says.

    Args:
        on_account: where it is charged.
        plan: of the run.
        spent: as the run counts it.
        ledger: of the run.

    Raises:
        AccountError: the account was changed, or is another one.
        LedgerError: the ledger was changed.
    """
    cost, releases = Cost(None), spent.releases
    if spent.zcdp_rho is not None:
        rho, releases = recorded(ledger, plan)
        cost = Cost(max(spent.zcdp_rho, rho), own_delta_of(plan))
    close_on(on_account, cost, releases, abandoned=False)


def keep_charged(on_account: RunOnAccount, plan: PrivacyPlan, spent: PrivacySpent) -> None:
    """Put down what a run has spent beyond what it reserved; nothing is written where it has not.

    Raises:
        AccountError: the account was changed, or is another one.
    """
    cost = Cost(spent.zcdp_rho, own_delta_of(plan))
    account = read_account(on_account)
    if account.outgrown(on_account.run, cost, _today()) is not account:
        _change(on_account.path, lambda now: _there(now, on_account).outgrown(on_account.run, cost, _today()))


def charge_next(on_account: RunOnAccount, plan: PrivacyPlan, spent: PrivacySpent) -> None:
    """Reserve what a run will have spent with its next release, where that is beyond what it reserved.

    Raises:
        AccountError: there is no room for it, or the run was given up; or the account was changed, or is another one.
    """
    run, cost = on_account.run, Cost(spent.zcdp_rho, own_delta_of(plan))
    account = read_account(on_account)
    account.require_going(run)
    if account.reopened(run, cost, _today()) is not account:
        _change(on_account.path, lambda now: _there(now, on_account).reopened(run, cost, _today()))


def read_account(on_account: RunOnAccount) -> Account:
    """The account as it is now.

    Raises:
        AccountError: it was changed, or has the run no more.
    """
    account = Account.read(on_account.path)
    account.require(on_account.run)
    return account


def _opened(
    account: Account | None,
    path: Path,
    run: str,
    facts: RunFacts,
    *,
    name: str,
    root: Path | None = None,
    begins_in: Path | None = None,
) -> Account:
    """The account with a run and what it starts from; with its folder, as one that has yet to begin, or that begins."""
    population, date = population_of(facts.population), _today()
    if account is None or run not in account.charges:
        _require_own_noise(facts.plan)
    if account is None:
        account = Account.begun(path, population, text_source(facts.config.data), date)
    account.require_population(population)
    for one in facts.earlier:
        if may_share_people(population, one.population) and one.number not in account.charges:
            account = account.with_earlier(one.number, "starting weights", one.cost, one.terms, date)
    return account.opened(
        run,
        most_of(facts.plan),
        terms_of(facts.plan),
        date,
        name=name,
        phones=facts.population.num_phones,
        total_epsilon=facts.config.privacy.total_epsilon,
        place=None if root is None else account.place_of(root),
        folder=None if begins_in is None else account.folder_of(begins_in),
    )


def _require_own_noise(plan: PrivacyPlan) -> None:
    """Refuse noise that other runs may have as well: who has the releases of both can take it away.

    Raises:
        ConfigError: it is keyed by the seed.
    """
    if plan.mechanism is not None and plan.noise_source == "seeded":
        found = "seeded; what runs cost cannot be added that share their noise"
        raise ConfigError(expected("--privacy.noise-source", "secret, with --privacy.account", found))


def close_on(on_account: RunOnAccount, cost: Cost, releases: int, *, abandoned: bool) -> None:
    """Put down what a run cost in the end, and that nothing more of it is to come.

    Raises:
        AccountError: the account was changed, or is another one.
    """

    def closed(account: Account | None) -> Account:
        return _there(account, on_account).closed(on_account.run, cost, releases, _today(), abandoned=abandoned)

    _change(on_account.path, closed)


def _there(account: Account | None, on_account: RunOnAccount) -> Account:
    if account is None:
        raise AccountError(expected(on_account.path, "the account that the run was opened on", "none"))
    return account


def _real(path: Path) -> Path:
    """Where a path leads through all links; if in a circle, one of them, for which `Path.resolve` has no error."""
    return Path(os.path.realpath(path))


def _change(path: Path, change: Callable[[Account | None], Account]) -> Account:
    """Replace an account by what follows from it, while nobody else does."""
    path = _real(path)  # so that a link goes on leading to it
    try:
        with in_turn(path):
            before = Account.read(path) if path.exists() else None
            after = change(before)
            if before is None or after.head != before.head:
                write_text_atomically(path, after.to_text(), private=True)
    except OSError as error:
        raise ConfigError(unwritable(f"--privacy.account: {path}", error)) from error
    return after


def _line_stated(root: Path, number: str) -> tuple[Any, Any] | None:
    """(number, hash) of the line of an account that the statement of a run names; None if it names none."""
    if not (root / "privacy.json").exists():
        return None
    stated: Any = read_json_object(root / "privacy.json", "the privacy statement of a run").get(SECTION)
    found = stated.get("account") if isinstance(stated, dict) else None
    if not isinstance(found, dict) or found.get("run") != number:
        return None
    return found.get("line"), found.get("line_sha256")


def _has_released(root: Path) -> bool:
    ledger = RunDirectory(root).ledger
    return ledger.exists() and any(entry["release"] for entry in read_ledger(ledger)[0])


def _require_what_was_stated(account: Account, stated: tuple[Any, Any] | None, root: Path) -> None:
    """Refuse an account that lacks lines which a statement of this run names: an older copy of it, or another."""
    if stated is None:
        return
    line, digest = stated
    if type(line) is not int or not 1 <= line <= len(account.entries) or account.entries[line - 1]["hash"] != digest:
        what = f"the line that {root / 'privacy.json'} names"
        raise AccountError(expected(f"{account.path}:{line if type(line) is int else 1}", what, "another, or none"))


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
