"""What a run's own folder says of its account: the line that its statement names, and whether anything was released."""

from pathlib import Path
from typing import Any

from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.ledger_lines import read_ledger
from simulation.files import read_json_object
from simulation.run.directory import RunDirectory
from simulation.run.earlier_runs import SECTION
from typefleet.errors import expected


def line_stated(root: Path, number: str) -> tuple[Any, Any] | None:
    """(number, hash) of the line of an account that the statement of a run names; None if it names none."""
    if not (root / "privacy.json").exists():
        return None
    stated: Any = read_json_object(root / "privacy.json", "the privacy statement of a run").get(SECTION)
    found = stated.get("account") if isinstance(stated, dict) else None
    if not isinstance(found, dict) or found.get("run") != number:
        return None
    return found.get("line"), found.get("line_sha256")


def has_released(root: Path) -> bool:
    """Whether the ledger in a run's folder has a release on record."""
    ledger = RunDirectory(root).ledger
    return ledger.exists() and any(entry["release"] for entry in read_ledger(ledger)[0])


def require_what_was_stated(account: Account, stated: tuple[Any, Any] | None, root: Path) -> None:
    """Refuse an account that lacks lines which a statement of this run names: an older copy of it, or another.

    Raises:
        AccountError: it does.
    """
    if stated is None:
        return
    line, digest = stated
    if type(line) is not int or not 1 <= line <= len(account.entries) or account.entries[line - 1]["hash"] != digest:
        what = f"the line that {root / 'privacy.json'} names"
        raise AccountError(expected(f"{account.path}:{line if type(line) is int else 1}", what, "another, or none"))
