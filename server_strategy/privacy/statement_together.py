"""What stands beside a statement's headline: what the run costs with those it starts from, and with its account."""

from collections.abc import Mapping
from typing import Any

from server_strategy.privacy.rounded_up import Bound

EARLIER, ACCOUNT = "statement_with_earlier_runs", "statement_with_account"
"""Keys of privacy.json; None without earlier runs, or without an account."""


def together_json(other_runs: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Both totals in the headline's words.

    Args:
        other_runs: see `statement_account.other_runs_json`; None: nobody looked.
    """
    said = other_runs or {}
    return {EARLIER: _with_earlier(said), ACCOUNT: _with_account(said)}


def together_markdown(other_runs: Mapping[str, Any] | None) -> list[str]:
    """The lines beneath the headline."""
    return [line for text in together_json(other_runs).values() if text is not None for line in (f"**{text}.**", "")]


def _with_earlier(said: Mapping[str, Any]) -> str | None:
    total, earlier = said.get("with_earlier_runs"), said.get("earlier_runs")
    if not isinstance(total, Mapping) or not isinstance(earlier, list):
        return None
    runs = "the run it starts from" if len(earlier) == 1 else f"the {len(earlier):,} runs it starts from"
    if (cost := _cost(total)) is None:
        return f"With {runs}: no epsilon can be stated, since {total.get('why_not')}"
    return f"With {runs}: {cost}, by {total.get('rule')}"


def _with_account(said: Mapping[str, Any]) -> str | None:
    total = said.get("account")
    if not isinstance(total, Mapping):
        return None
    number = total.get("runs")
    runs = f"With all that is on {total.get('file')} ({number} {'run' if number == 1 else 'runs'})"
    cost = _cost(total)
    return f"{runs}: no epsilon can be stated" if cost is None else f"{runs}: at most {cost}"


def _cost(total: Mapping[str, Any]) -> str | None:
    values = [total.get(name) for name in ("epsilon", "delta", "zcdp_rho")]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return None
    epsilon, delta, rho = numbers
    return f"({Bound(epsilon):.3g}, {Bound(delta):.2g})-differential privacy for each phone ({Bound(rho):.4g}-zCDP)"
