"""A privacy account as a person or a program sees it: what each run costs, what all do, what is left."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from server_strategy.privacy.account import Account, Charge
from server_strategy.privacy.accounting import epsilon_of_several
from server_strategy.privacy.rounded_up import Bound, Left
from server_strategy.privacy.statement_account import OnAccount, account_line
from simulation.tables import console_for, print_facts, print_table

_HEADINGS = ("run", "begun", "state", "releases", "rho", "epsilon\nalone")


def print_account(stream: TextIO, path: Path) -> None:
    """Print an account as a table, and below it what all runs cost each phone together.

    Raises:
        AccountError: it cannot be read, or was changed.
    """
    account, console = Account.read(path), console_for(stream)
    delta = None if account.terms is None else account.terms.delta
    rows = [
        (
            charge.name,
            charge.date,
            "reserved" if charge.is_open else charge.state,
            "-" if charge.releases is None else f"{charge.releases:,}",
            _number(charge.cost.zcdp_rho, ".4g"),
            _number(_epsilon(charge, delta), ".2f"),
        )
        for charge in account.charges.values()
    ]
    if rows:
        print_table(console, _HEADINGS, rows, left=(0, 1, 2))
    print_facts(console, [("account of", [account.about]), *_totals(account), ("last line", [_head(account)])])


def account_json(stream: TextIO, path: Path) -> None:
    """Print an account as one JSON object; arguments and errors as of `print_account`."""
    account = Account.read(path)
    terms, left = account.terms, account.left()
    line, digest = account.head
    delta = None if terms is None else terms.delta
    content: dict[str, Any] = {
        "about": account.about,
        "epsilon_is_of": None if terms is None else terms.deployment,
        "adjacency": None if terms is None else terms.adjacency,
        "runs": [
            {
                "run": charge.run,
                "name": charge.name,
                "date": charge.date,
                "state": charge.state,
                "reserved": charge.is_open,
                "releases": charge.releases,
                "zcdp_rho": charge.cost.zcdp_rho,
                "own_delta": charge.cost.own_delta,
                "epsilon": _epsilon(charge, delta),
            }
            for charge in account.charges.values()
        ],
        "total": vars(account.total),
        "total_epsilon": account.limit,
        "left_zcdp_rho": None if left is None else left.zcdp_rho,
        "left_epsilon": None if left is None or delta is None else epsilon_of_several(left.zcdp_rho or 0.0, delta),
        "line": line,
        "line_sha256": digest,
    }
    json.dump(content, stream, indent=2)
    stream.write("\n")


def account_lines(settings: Mapping[str, Any]) -> list[str]:
    """What all runs on the account of a study come to, its own among them; nothing where no run is charged.

    Args:
        settings: of every run of the study, as a tree.

    Raises:
        AccountError: the account was changed.
    """
    privacy = settings.get("privacy", {})
    path = privacy.get("account") if isinstance(privacy, Mapping) else None
    if not isinstance(path, str) or not Path(path).exists():
        return []
    return [f"privacy account {account_line(OnAccount.of(Account.read(Path(path)), run=''))}"]


def _totals(account: Account) -> list[tuple[str, list[str]]]:
    total, terms = account.total, account.terms
    if total.epsilon is None or total.delta is None or terms is None:
        why = f"nothing bounds {total.unbounded} of the runs" if total.unbounded else "no run had privacy so far"
        return [("together", [f"no epsilon: {why}"])]
    counted = f"; {total.reserved} counted at the most that it may spend" if total.reserved else ""
    epsilon, delta, rho = Bound(total.epsilon), Bound(total.delta), Bound(total.zcdp_rho)
    rows = [
        ("together", [f"epsilon {epsilon:.3g} at delta {delta:.2g} (rho {rho:.4g}){counted}"]),
        ("epsilon is of", [f"{terms.deployment}, {terms.adjacency}"]),
    ]
    left = account.left()
    if account.limit is not None and left is not None and terms.delta is not None:
        rho_left, alone = Left(left.zcdp_rho or 0.0), Left(epsilon_of_several(left.zcdp_rho or 0.0, terms.delta))
        rows.append(
            ("left", [f"rho {rho_left:.4g} of epsilon {account.limit:g} in all: epsilon {alone:.3g} for one run"])
        )
    return rows


def _head(account: Account) -> str:
    line, digest = account.head
    return f"{line}, {digest[:16]}...: what later statements name"


def _epsilon(charge: Charge, delta: float | None) -> float | None:
    """Of one run alone, at the account's delta."""
    rho = charge.cost.zcdp_rho
    return None if rho is None or delta is None else epsilon_of_several(rho, delta)


def _number(value: float | None, form: str) -> str:
    return "no bound" if value is None else f"{Bound(value):{form}}"
