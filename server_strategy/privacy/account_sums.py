"""What the costs on an account come to, what still fits beside them, and what is left."""

from dataclasses import dataclass
from pathlib import Path

from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.accounting import epsilon_of_several, rho_for
from server_strategy.privacy.costs import Cost, Terms, added_up, unbounded_of
from server_strategy.privacy.rounded_up import Bound, Left
from typefleet.errors import expected

_NO_PROTECTION = 1.0  # a delta that allows everything


@dataclass(frozen=True)
class AccountTotal:
    """What all of an account costs a phone."""

    runs: int
    zcdp_rho: float | None  # None: nothing bounds it
    delta: float | None  # None while no run had privacy
    epsilon: float | None
    unbounded: int  # runs without privacy, and starts whose cost is not known
    reserved: int  # runs whose cost is the most that they can spend


@dataclass(frozen=True)
class Charged:
    """What is charged, and the limit for all of it.

    Attributes:
        costs: one for each run; of one that is open, the most that it can spend.
        terms: those of the first private run; None before it.
        limit: the smallest total epsilon that any run was begun with; None without one.
        path: of the account, for messages.
    """

    costs: tuple[Cost, ...]
    terms: Terms | None
    limit: float | None
    path: Path

    def require_room(self, cost: Cost, terms: Terms, total_epsilon: float | None) -> None:
        """Refuse what cannot be added, and what is too much.

        Args:
            cost: to be added.
            terms: in which currency.
            total_epsilon: that may not be exceeded, beside the account's own limit.

        Raises:
            AccountError: the limit is above an earlier one, the costs are of two currencies, or they are too much; or
                the deltas add up to 1 or more, which protects nobody.
        """
        if self.limit is not None and total_epsilon is not None and total_epsilon > self.limit:
            most = f"at most {self.limit:g}, with which a run on {self.path} was begun"
            raise AccountError(expected("--privacy.total-epsilon", most, f"{total_epsilon:g}"))
        own = self.terms
        if cost.zcdp_rho is not None and own is not None and terms.currency != own.currency:
            raise AccountError(
                expected(
                    f"--privacy.account: {self.path}",
                    f"runs whose epsilon is of {own.deployment} ({own.adjacency})",
                    f"one of {terms.deployment} ({terms.adjacency}); costs of two deployments do not add up, so each "
                    "has an account of its own",
                )
            )
        others = list(self.costs)
        delta = added_up([*others, cost, Cost(0.0, (own or terms).delta or 0.0)]).own_delta
        if delta >= _NO_PROTECTION:
            where, found = f"--privacy.account: {self.path}", f"{Bound(delta):.3g} with this one"
            raise AccountError(expected(where, "runs whose deltas add up to less than 1", found))
        limits = [limit for limit in (self.limit, total_epsilon) if limit is not None]
        if limits:
            self._require_within(min(limits), cost, terms)

    def _require_within(self, limit: float, cost: Cost, terms: Terms) -> None:
        delta = (self.terms or terms).delta
        others = list(self.costs)
        before, after = added_up(others), added_up([*others, cost])
        if after.zcdp_rho is not None and delta is not None and epsilon_of_several(after.zcdp_rho, delta) <= limit:
            return
        where = f"--privacy.total-epsilon: {self.path}"
        if cost.zcdp_rho is None:
            raise AccountError(expected(where, f"runs that fit into epsilon {limit:g}", "one that nothing bounds"))
        if before.zcdp_rho is None or delta is None:
            found = f"{unbounded_of(others)} before it that nothing bounds; nothing is left"
            raise AccountError(expected(where, f"runs that fit into epsilon {limit:g}", found))
        left = max(rho_for(limit, delta, "--privacy.total-epsilon") - before.zcdp_rho, 0.0)
        alone = f"epsilon {Left(epsilon_of_several(left, delta)):.3g} for a run alone" if left else "nothing"
        fits = (
            f"a run of at most rho {Left(left):.4g} ({alone}), which {len(others)} before it leave of epsilon {limit:g}"
        )
        own = Bound(epsilon_of_several(cost.zcdp_rho, delta))
        found = f"one of up to rho {Bound(cost.zcdp_rho):.4g} (epsilon {own:.3g})"
        raise AccountError(expected(where, fits, found))

    def total(self, reserved: int) -> AccountTotal:
        """What all of it costs a phone, given how many of the costs are the most that a run can spend."""
        costs = list(self.costs)
        together, delta = added_up(costs), None if self.terms is None else self.terms.delta
        return AccountTotal(
            runs=len(costs),
            zcdp_rho=together.zcdp_rho,
            delta=None if delta is None else delta + together.own_delta,
            epsilon=None
            if together.zcdp_rho is None or delta is None
            else epsilon_of_several(together.zcdp_rho, delta),
            unbounded=unbounded_of(costs),
            reserved=reserved,
        )

    def left(self) -> Cost | None:
        """The largest rho that still fits under the limit; None without a limit, or a delta to translate it at."""
        if self.limit is None or self.terms is None or self.terms.delta is None:
            return None
        spent = added_up(list(self.costs)).zcdp_rho
        return Cost(0.0 if spent is None else max(rho_for(self.limit, self.terms.delta) - spent, 0.0))
