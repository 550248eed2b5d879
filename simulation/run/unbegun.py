"""Runs that were killed between their line on an account and their first checkpoint: when what they reserved is free.

Such a run has no folder that knows its number, so it is told by the place of its folder, whose digest is on the
account. Three lines bound what it can have released, each of them durable before it can: `reserved`, nothing; `drawn`,
its words, which nobody sees before; `begun`, anything.

* Reserved: it is freed.
* Drawn: it is charged with its words alone.
* Begun, or anything in the folder that such a run does not write (then the account is an older copy of itself): it
  stays charged with the most that it could spend.

Whoever frees a run that is alive takes nothing from the account: it reserves anew before it goes on, or ends; one that
had drawn its words ends.
"""

from pathlib import Path

from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import DRAWN, RESERVED
from server_strategy.privacy.ledger_lines import read_ledger
from simulation.run.directory import RunDirectory


def with_unbegun_freed(account: Account, root: Path, date: str, *, but: str | None = None) -> Account:
    """An account without what runs reserved that were killed in a folder before they could release it.

    Args:
        account: as it is.
        root: the folder, which need not be there.
        date: YYYY-MM-DD.
        but: number of a run that is alive.

    Returns:
        The same account if there is none.

    Raises:
        LedgerError: the ledger in the folder was changed.
        OSError: the folder cannot be looked into.
    """
    place, directory = account.place_of(root), RunDirectory(root)
    for charge in [one for one in account.charges.values() if one.place == place and one.run != but]:
        if charge.state == RESERVED and not (_has_words(directory) or _has_begun(directory)):
            account = account.freed(charge.run, date)
        elif charge.state == DRAWN and charge.words is not None and not _has_begun(directory):
            account = account.closed(charge.run, charge.words, 0, date, abandoned=True)
    return account


def _has_words(directory: RunDirectory) -> bool:
    """Whether a folder holds what runs write once they have drawn their words."""
    return _is_there(directory.ledger) or _is_there(directory.model / "vocab.txt")


def _has_begun(directory: RunDirectory) -> bool:
    """Whether a folder tells of rounds, or of a run that can go on with its own number."""
    files = (directory.rounds, directory.summary, directory.root / "privacy.json", directory.model / "weights.npz")
    if any(map(_is_there, files)) or any(directory.checkpoints.glob("checkpoint-*")):
        return True
    return _is_there(directory.ledger) and len(read_ledger(directory.ledger)[0]) > 1


def _is_there(path: Path) -> bool:
    """Whether anything is at a path, be it a link to nothing; what cannot be looked at raises, and is not absent."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
