"""A run on an account that nobody will go on with: charged with what its ledger records, so that the rest is free.

What is free again can be spent by others, so that the ledger has to be the run's, and whole: with the plan that the run
was opened with, and with every release that checkpoint, rounds.jsonl and privacy.json know of. Where it is not, what
the run spent is on no record, and it stays charged with the most that it could.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client_model.learning.language_model import weights_sha256
from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import OPENED, RESERVED, AccountError
from server_strategy.privacy.costs import Cost
from server_strategy.privacy.ledger_lines import is_bound, last_release, read_ledger
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.state import StateError, branch, leaf
from simulation.files import read_json_object
from simulation.run.account import (
    RunOnAccount,
    close_on,
    free_unbegun,
    most_of,
    recorded,
    run_number,
    terms_of,
)
from simulation.run.checkpoint import (
    GIVEN_UP,
    Checkpoint,
    CheckpointError,
    load_newest_checkpoint,
    numbered,
    part_of,
    save_checkpoint,
    totals_of,
)
from simulation.run.directory import RunDirectory
from simulation.run.lock import only_writer
from simulation.run.noise_forgotten import noise_forgotten
from simulation.run.noise_secret import erase_noise_secret
from typefleet.errors import ConfigError, expected, said_of
from typefleet.untrusted.toml_tables import read_toml

_SAME = 1e-6  # share of itself by which a cost may differ that was computed again
_STAYS = "; the run stays charged with the most that it could spend"


def abandon(root: Path, account: Path | None = None) -> None:
    """Put down what a run has spent that nobody will go on with, so that what it had reserved is free again.

    It is closed for good: its checkpoint says so, whatever account somebody would go on with, and its noise is
    forgotten, as that of a run that has ended. Only the very folder in which it was charged can be given up: of a run
    of which there is a copy, another process may go on. One that was killed before its first checkpoint is freed by
    the place of its folder, which may be gone (`unbegun`).

    Args:
        root: folder of the run.
        account: that it is charged on; by default the one of its settings.

    Raises:
        RunInUseError: a process works on the run.
        ConfigError: it is no run on an account; nothing is written.
        AccountError, LedgerError, CheckpointError: the account or the run was changed, or its ledger is not whole.
    """
    from simulation.flags import read_config

    directory = RunDirectory(root)
    is_run, path = directory.config.is_file(), account
    if path is None and is_run:
        path = read_config(directory.config, begun=True).privacy.account
    if not is_run or not numbered(directory.checkpoints):
        if path is not None and path.exists() and free_unbegun(path, root):
            return
        found = "another one" if root.is_dir() else "none"
        what = "the folder of a run with a checkpoint, or of one that was killed before it and released nothing"
        raise ConfigError(expected(f"--abandon: {root}", what, found))
    if path is None:
        raise ConfigError(expected(root, "a run on an account (--privacy.account)", "one without"))
    with only_writer(root):
        stored, _ = load_newest_checkpoint(directory.checkpoints)
        here = RunOnAccount(path, run_number(part_of(stored, "salt", str)))
        on_record = Account.read(path)
        charge = on_record.require(here.run)
        on_record.require_folder(here.run, root)
        if charge.cost.zcdp_rho is None:
            close_on(here, charge.cost, 0, abandoned=True)
            _close_folder(directory, stored)
            return
        _require_whole_ledger(directory, stored, on_record, here.run)
        rho, releases = recorded(directory.ledger, None)
        close_on(here, Cost(max(rho, charge.spent), charge.cost.own_delta), releases, abandoned=True)
        _close_folder(directory, stored)


def _close_folder(directory: RunDirectory, stored: Checkpoint) -> None:
    """Leave nothing to go on with in the folder of a run that was given up; one whose rounds are done stays as is."""
    totals, settings = totals_of(stored), read_toml(directory.config, "the settings of a run", ConfigError)
    if totals.is_over(settings["rounds"]):
        return
    keeps = settings.get("privacy", {}).get("keep_noise_secret", False)
    save_checkpoint(
        directory.checkpoints,
        max(numbered(directory.checkpoints)),  # which may be of a damaged one
        stored.state if keeps else noise_forgotten(stored.state),
        {**stored.about, "began": {**part_of(stored, "began", dict), GIVEN_UP: "for good"}},
        keep=1,
    )
    if not keeps:
        erase_noise_secret(directory.root)


def given_up(root: Path) -> None:
    """`abandon` a run that may be on an account, and has not ended; any other is left alone."""
    from simulation.flags import read_config

    directory = RunDirectory(root)
    if not directory.config.exists() or (root / "participation.json").exists():
        return
    if read_config(directory.config, begun=True).privacy.account is not None:
        abandon(root)


def _require_whole_ledger(directory: RunDirectory, stored: Checkpoint, account: Account, run: str) -> None:
    """Refuse a ledger that is not that of the run, or that lacks releases which the run is known to have made.

    Raises:
        AccountError: it is one; the account is as it was.
    """
    path = directory.ledger
    entries = read_ledger(path)[0] if path.exists() else []
    if not entries:
        raise AccountError(expected(path, "the ledger of the run", f"none{_STAYS}"))
    opened = next(one for one in account.entries if one["kind"] in (OPENED, RESERVED) and one["run"] == run)
    plan = plan_on_record(path, entries, None)
    most = most_of(plan).zcdp_rho
    is_same = most is not None and math.isclose(most, opened["zcdp_rho"], rel_tol=_SAME)
    if not is_same or terms_of(plan).currency != account.charges[run].terms.currency:
        raise AccountError(expected(f"{path}:1", "the plan that the run was opened with", f"another one{_STAYS}"))
    made = last_release(entries)
    for whose, releases in _releases_known(directory, stored):
        if made < releases:
            what = f"at least the {releases} releases that {whose} knows of"
            raise AccountError(expected(path, what, f"{made}{_STAYS}"))
    led_to = {entry["weights_sha256"] for entry in entries if "weights_sha256" in entry}
    bound = all(is_bound(entry) for entry in entries[1:])  # lines of earlier versions name no weights
    for whose, weights in _weights_known(directory, stored):
        if bound and weights not in led_to:
            what = f"the release that led to the weights of {whose}"
            raise AccountError(expected(path, what, f"none{_STAYS}"))


def _releases_known(directory: RunDirectory, stored: Checkpoint) -> Iterator[tuple[str, int]]:
    """How many releases a run has made, by each of its files that knows."""
    yield stored.path.name, _releases_of(stored)
    yield directory.rounds.name, max((int(line["completed"]) for line in directory.read_rounds()), default=0)
    statement = directory.root / "privacy.json"
    if statement.exists():
        spent: Any = read_json_object(statement, "the privacy statement of a run", ("spent",))["spent"]
        releases = spent.get("releases") if isinstance(spent, dict) else None
        if type(releases) is not int:
            raise AccountError(expected(statement, "how many releases were made", f"no number{_STAYS}"))
        yield statement.name, releases


def _weights_known(directory: RunDirectory, stored: Checkpoint) -> Iterator[tuple[str, str]]:
    """Weights that a release led to, by the files that have them or their digest."""
    if _releases_of(stored):
        yield stored.path.name, weights_sha256(leaf(stored.state, "weights"))
    rounds = directory.read_rounds()
    yield from ((directory.rounds.name, str(line["weights_sha256"])) for line in rounds if line["abandoned"] is None)


def _releases_of(stored: Checkpoint) -> int:
    try:
        return int(leaf(branch(branch(stored.state, "strategy"), "noise"), "releases"))
    except StateError as error:
        raise CheckpointError(said_of(stored.path, error)) from error
