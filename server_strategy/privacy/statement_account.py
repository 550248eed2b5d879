"""What a statement says of other runs: those whose weights this one starts from, and all that share its phones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server_strategy.privacy.account import Account
from server_strategy.privacy.account_sums import AccountTotal
from server_strategy.privacy.composition import EarlierRun, composed
from server_strategy.privacy.rounded_up import Bound, BoundOnEarlierRho
from typefleet.plain_names import plain

NOT_COUNTED = (
    "Other runs on the same phones are not counted here, whatever they released: a phone bears the cost of all of "
    "them. An account (--privacy.account) adds them up."
)


@dataclass(frozen=True)
class OnAccount:
    """What an account said when the statement was written."""

    file: str  # its name, without its folder
    run: str  # number of this run
    head: tuple[int, str]  # number and hash of its last line
    total: AccountTotal
    limit: float | None  # total epsilon that no run may exceed

    @staticmethod
    def of(account: Account, run: str) -> "OnAccount":
        """As it is now."""
        return OnAccount(plain(account.path.name), run, account.head, account.total, account.limit)


@dataclass(frozen=True)
class OtherRuns:
    """What is known of other runs."""

    own: EarlierRun  # this run, as a later one that starts from it will have it
    earlier: tuple[EarlierRun, ...] = ()  # that it starts from, the latest first
    vocabulary: str = "unknown"  # where its words are from, as a later run that starts from this one will say
    account: OnAccount | None = None  # None: no account is kept


def other_runs_json(others: OtherRuns) -> dict[str, Any]:
    """For programs, and for whoever starts from this run; no digest of the data is in it."""
    together = composed(others.own, others.earlier)
    return {
        "data": others.own.data,
        "run": None if others.account is None else others.account.run,
        "vocabulary": others.vocabulary,
        "earlier_runs": [one.to_json(others.own) for one in others.earlier],
        "with_earlier_runs": vars(together) if others.earlier else None,
        "account": None if others.account is None else _account_json(others.account),
        "says": other_runs_lines(others),
    }


def other_runs_markdown(content: Mapping[str, Any] | None) -> list[str]:
    """The section of the page, from what programs are told."""
    lines = [NOT_COUNTED] if content is None else content["says"]
    return ["## Other runs", "", *(f"- {line}" for line in lines), ""]


def other_runs_lines(others: OtherRuns) -> list[str]:
    """In sentences: what the start adds, then what all runs come to."""
    account = others.account
    return [*_start_lines(others), NOT_COUNTED if account is None else account_sentence(account)]


def account_sentence(account: OnAccount) -> str:
    """What all runs on an account come to, for the statement."""
    total, runs = account.total, f"The {_counted(account.total.runs, 'run')} on {account.file}, this one among them,"
    if total.epsilon is None or total.delta is None:
        return f"{runs} have no epsilon together, {_why_none(total)}: nothing bounds what all of them reveal."
    epsilon, delta, rho = Bound(total.epsilon), Bound(total.delta), Bound(total.zcdp_rho)
    return (
        f"{runs} cost each phone together at most epsilon {epsilon:.3g} at delta {delta:.2g} (rho {rho:.4g}), "
        f"whichever of them it took part in{_reserved(total)}{_limited(account)}. Runs on no account are not counted."
    )


def account_line(account: OnAccount) -> str:
    """The same in few words, for a terminal."""
    total, runs = account.total, f"{account.file}: {_counted(account.total.runs, 'run')}"
    if total.epsilon is None or total.delta is None:
        return f"{runs}, together without epsilon, {_why_none(total)}"
    epsilon, delta, rho = Bound(total.epsilon), Bound(total.delta), Bound(total.zcdp_rho)
    together = f"together epsilon {epsilon:.2f} at delta {delta:.2g} (rho {rho:.3g})"
    return f"{runs}, {together}{_reserved(total)}{_limited(account)}"


def _why_none(total: AccountTotal) -> str:
    return f"since nothing bounds {total.unbounded} of them" if total.unbounded else "since none had privacy"


def _reserved(total: AccountTotal) -> str:
    return f"; {total.reserved} of them counted at the most that it may spend" if total.reserved else ""


def _limited(account: OnAccount) -> str:
    return "" if account.limit is None else f"; no run may take it above {account.limit:g}"


def start_sentence(others: OtherRuns) -> str | None:
    """What this run and those that it starts from come to; None without any."""
    if not others.earlier:
        return None
    together, known = composed(others.own, others.earlier), _earlier_cost(others)
    if together.epsilon is None or together.delta is None:
        return f"with {known}: no epsilon can be stated, since {together.why_not}"
    epsilon, delta, rho = Bound(together.epsilon), Bound(together.delta), Bound(together.zcdp_rho)
    return f"with {known}: epsilon {epsilon:.3g} at delta {delta:.2g} (rho {rho:.4g}), by {together.rule}"


def _earlier_cost(others: OtherRuns) -> str:
    rhos = [one.cost.zcdp_rho for one in others.earlier]
    known = [f"{BoundOnEarlierRho(rho):.4g}" for rho in rhos if rho is not None]
    cost = " + ".join(known) if len(known) == len(rhos) else "of unknown or unbounded size"
    return f"{_counted(len(rhos), 'earlier run')} (rho {cost})"


def _start_lines(others: OtherRuns) -> list[str]:
    if (sentence := start_sentence(others)) is None:
        return []
    by = "; ".join(dict.fromkeys(f"known by {one.known_by}" for one in others.earlier))
    return [f"This run starts from the weights of another. Epsilon above is of this run alone; {sentence} ({by})."]


def _account_json(account: OnAccount) -> dict[str, Any]:
    line, digest = account.head
    return {
        "file": account.file,
        "run": account.run,
        "line": line,
        "line_sha256": digest,
        "total_epsilon": account.limit,
        **vars(account.total),
    }


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
