"""The account of a population: what all runs on its phones cost together (an odometer).

A phone that takes part in several runs loses what it loses in each of them. In zCDP these costs add up, also when a
later run is set up after looking at an earlier one (Bun and Steinke 2016, arXiv:1605.02065, Lemma 1.7). So the account
adds rho, and translates the sum once, at one delta. A part with a delta of its own, such as words that are chosen above
a threshold, adds its delta.

If it is also the number of runs and what each may cost that depends on earlier ones, the sum is a bound only beside a
limit that was fixed before the first run and that stops whatever would exceed it, a filter: Feldman and Zrnic,
arXiv:2008.11193; Whitehouse et al., arXiv:2203.05481; as odometers without a limit have to pay for that freedom (Rogers
et al., arXiv:1605.08294). So each account can have a limit, the smallest that a run was ever begun with.

Every run on the population counts, whichever phones it held out, since another seed holds out others: for each phone
the sum over all runs is at least what it lost. Before a run releases anything it puts down the most that it can spend
(reserved); when it has ended, what it did spend. A run that dies in between stays reserved at the most; only one that
is on record as reserved, and not as begun, has released nothing for certain, or its words alone, and is freed.

Costs of different deployments, or of different adjacencies, are no sums of one currency: a modelled deployment of N
phones per round is one that adds N / goal times the noise of the run, so its rho says nothing of what the run's own
files cost. One account has one of them, that of its first private run.
"""

import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from server_strategy.privacy.account_charges import Charge as Charge
from server_strategy.privacy.account_charges import charge_after
from server_strategy.privacy.account_lines import (
    ABANDONED,
    BEGUN,
    DRAWN,
    EARLIER,
    FREED,
    OPENED,
    REOPENED,
    RESERVED,
    SETTLED,
    AccountError,
    first_line,
    next_line,
    read_account_lines,
    salted,
    to_text,
)
from server_strategy.privacy.accounting import epsilon_by_rdp, rho_for
from server_strategy.privacy.costs import Cost, Terms, added_up, covers, unbounded_of
from typefleet.errors import expected, unreadable

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
class Account:
    """The lines of an account, and what they come to; adding one gives another account.

    Attributes:
        entries: the lines.
        charges: by the number of the run.
        limit: the smallest total epsilon that any run was begun with; None without one.
        terms: those of the first private run; None before it.
        path: of the file, for messages.
    """

    entries: tuple[dict[str, Any], ...]
    charges: dict[str, Charge] = field(default_factory=dict)
    limit: float | None = None
    terms: Terms | None = None
    path: Path = Path("the account")

    @staticmethod
    def begun(path: Path, population: str, about: str, date: str) -> "Account":
        """An account without any run."""
        return Account((first_line(population, about, date, secrets.token_hex(16)),), path=path)

    @staticmethod
    def read(path: Path) -> "Account":
        """The account in a file.

        Raises:
            AccountError: it is none, was changed, or has a second name.
        """
        first, *others = read_account_lines(path)
        _require_one_name(path)
        account = Account((first,), path=path)
        for entry in others:
            account = account._with(entry)
        return account

    @property
    def about(self) -> str:
        """Whose text it is, in words."""
        return str(self.entries[0]["about"])

    @property
    def head(self) -> tuple[int, str]:
        """(number, hash) of the last line."""
        return len(self.entries), str(self.entries[-1]["hash"])

    def to_text(self) -> str:
        """The content of the file."""
        return to_text(list(self.entries))

    def opened(
        self,
        run: str,
        cost: Cost,
        terms: Terms,
        date: str,
        *,
        place: str | None = None,
        folder: str | None = None,
        **about: Any,
    ) -> "Account":
        """With the most that a run can spend, before it spends any.

        Args:
            run: its number.
            cost: the most.
            terms: in which currency.
            date: YYYY-MM-DD.
            place: the digest of its folder, of one that says when it has `drawn` its words and when it has begun.
            folder: what `folder_of` gives for its folder, of one that begins at once.
            about: `name`, `phones` and `total_epsilon` of the run.

        Raises:
            AccountError: the run does not fit, or the costs cannot be added.
        """
        if run in self.charges:
            return self.reopened(run, cost, date, about["total_epsilon"])
        self.require_room(cost, terms, about["total_epsilon"])
        line = {"run": run, **vars(cost), **vars(terms), **about}
        if place is None or cost.zcdp_rho is None:
            return self._grown(OPENED, date, {**line, **({} if folder is None else {"folder": folder})})
        return self._grown(RESERVED, date, {**line, "place": place})

    def drawn(self, run: str, words: Cost, most: Cost, date: str) -> "Account":
        """With the word of a reserved run that it has drawn its words, before anybody sees them.

        Args:
            run: its number.
            words: what they cost.
            most: it can spend; reserved anew if somebody has freed it, who took it for dead.
            date: YYYY-MM-DD.

        Raises:
            AccountError: the run is not on the account, or there is no room for it any more.
        """
        if self.require(run).state == RESERVED:
            return self._grown(DRAWN, date, {"run": run, **vars(words)})
        return self.reopened(run, most, date)

    def begun_by(self, run: str, date: str, folder: str | None = None) -> "Account":
        """With the word of a reserved run that it may release anything from here on; the same account of others.

        Raises:
            AccountError: the run is not on the account.
        """
        is_told = self.require(run).state in (RESERVED, DRAWN)
        about = {"run": run, **({} if folder is None else {"folder": folder})}
        return self._grown(BEGUN, date, about) if is_told else self

    def freed(self, run: str, date: str) -> "Account":
        """With the word that a reserved run never came to its words; the same account if it is not known to be one.

        Raises:
            AccountError: the run is not on the account.
        """
        return self._grown(FREED, date, {"run": run}) if self.require(run).state == RESERVED else self

    def place_of(self, folder: Path) -> str:
        """The digest of a run's folder as this account has it; nobody can try out where runs lie without the file."""
        return salted(f"place {os.path.realpath(folder)}", self.entries[0]["salt"])

    def folder_of(self, folder: Path) -> str:
        """The digest of a very folder, by device and inode: no copy of it has the same, wherever it lies."""
        there = folder.stat()
        return salted(f"folder {there.st_dev} {there.st_ino}", self.entries[0]["salt"])

    def require_folder(self, run: str, folder: Path) -> None:
        """Refuse a run's copy: what it has released says nothing of what the run itself has, or will.

        Of one that has yet to begin the path is held to what is on record; lines of earlier versions name neither.

        Raises:
            AccountError: it is charged in another folder, or the run is not on the account.
        """
        charge = self.require(run)
        is_same = (charge.folder or self.folder_of(folder)) == self.folder_of(folder)
        if charge.folder is None and charge.place is not None:
            is_same = charge.place == self.place_of(folder)
        if not is_same:
            what = f"the very folder in which {charge.name} was charged on {self.path}"
            found = "another one: a copy of it, or moved to another disk; the run stays charged as it is"
            raise AccountError(expected(folder, what, found))

    def require_going(self, run: str) -> None:
        """Refuse a run that somebody gave up: what it had reserved may be spent by others.

        Raises:
            AccountError: it was, or it is not on the account.
        """
        if (charge := self.require(run)).given_up:
            found = f"{charge.name}, which was given up; that is for good: start a new run"
            raise AccountError(expected(f"--privacy.account: {self.path}", "a run that may go on", found))

    def reopened(self, run: str, cost: Cost, date: str, total_epsilon: float | None = None) -> "Account":
        """With the most that a run can spend which goes on; the same account if that is reserved already.

        Raises:
            AccountError: it does not fit, or was given up.
        """
        self.require_going(run)
        charge = self.charges[run]
        if charge.is_open and covers(charge.cost, cost):
            return self
        most = cost if cost.zcdp_rho is None else replace(cost, zcdp_rho=max(cost.zcdp_rho, charge.spent))
        self.require_room(most, charge.terms, total_epsilon, beside=run)
        return self._grown(REOPENED, date, {"run": run, **vars(most), "total_epsilon": total_epsilon})

    def outgrown(self, run: str, cost: Cost, date: str) -> "Account":
        """With what a run has spent beyond what it reserved, as one does that repeats releases with another sum.

        It is spent, whether there was room for it or not; the same account if the reservation covers it.

        Raises:
            AccountError: the run is not on the account.
        """
        charge = self.require(run)
        if covers(charge.cost, cost):
            return self
        return self._grown(REOPENED, date, {"run": run, **vars(cost), "total_epsilon": None})

    def closed(self, run: str, cost: Cost, releases: int, date: str, *, abandoned: bool = False) -> "Account":
        """With what a run did spend; the same account if it says so already.

        Raises:
            AccountError: the run is not on the account.
        """
        charge = self.require(run)
        kind = ABANDONED if abandoned else SETTLED
        if charge.cost == cost and charge.releases == releases and not charge.is_open:
            return self
        return self._grown(kind, date, {"run": run, **vars(cost), "releases": releases})

    def with_earlier(self, run: str, name: str, cost: Cost, terms: Terms, date: str) -> "Account":
        """With what weights cost that a run starts from; the same account if they are charged already.

        Raises:
            AccountError: the costs cannot be added, or are too much.
        """
        if run in self.charges:
            return self
        self.require_room(cost, terms, None)
        return self._grown(EARLIER, date, {"run": run, "name": name, **vars(cost), **vars(terms)})

    def require(self, run: str) -> Charge:
        """What the account has of a run.

        Raises:
            AccountError: it has nothing.
        """
        if run not in self.charges:
            raise AccountError(expected(self.path, "the account that the run was opened on", "one without it"))
        return self.charges[run]

    def require_population(self, population: str) -> None:
        """Refuse the account of other phones.

        Raises:
            AccountError: it is.
        """
        first = self.entries[0]
        if salted(population, first["salt"]) != first["population"]:
            found = f"one of {self.about}, whose digest is another"
            raise AccountError(expected(f"--privacy.account: {self.path}", "the account of this run's data", found))

    def require_room(self, cost: Cost, terms: Terms, total_epsilon: float | None, *, beside: str | None = None) -> None:
        """Refuse what cannot be added, and what is too much.

        Args:
            cost: to be added.
            terms: in which currency.
            total_epsilon: that may not be exceeded, beside the account's own limit.
            beside: a run whose charge it takes the place of.

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
        others = [charge.cost for run, charge in self.charges.items() if run != beside]
        delta = added_up([*others, cost, Cost(0.0, (own or terms).delta or 0.0)]).own_delta
        if delta >= _NO_PROTECTION:
            where, found = f"--privacy.account: {self.path}", f"{delta:.3g} with this one"
            raise AccountError(expected(where, "runs whose deltas add up to less than 1", found))
        limits = [limit for limit in (self.limit, total_epsilon) if limit is not None]
        if limits:
            self._require_within(min(limits), cost, terms, beside)

    def _require_within(self, limit: float, cost: Cost, terms: Terms, beside: str | None) -> None:
        delta = (self.terms or terms).delta
        others = [charge.cost for run, charge in self.charges.items() if run != beside]
        before, after = added_up(others), added_up([*others, cost])
        if after.zcdp_rho is not None and delta is not None and epsilon_by_rdp(after.zcdp_rho, delta) <= limit:
            return
        where = f"--privacy.total-epsilon: {self.path}"
        if cost.zcdp_rho is None:
            raise AccountError(expected(where, f"runs that fit into epsilon {limit:g}", "one that nothing bounds"))
        if before.zcdp_rho is None or delta is None:
            found = f"{unbounded_of(others)} before it that nothing bounds; nothing is left"
            raise AccountError(expected(where, f"runs that fit into epsilon {limit:g}", found))
        left = max(rho_for(limit, delta, "--privacy.total-epsilon") - before.zcdp_rho, 0.0)
        alone = f"epsilon {epsilon_by_rdp(left, delta):.3g} for a run alone" if left else "nothing"
        fits = f"a run of at most rho {left:.4g} ({alone}), which {len(others)} before it leave of epsilon {limit:g}"
        found = f"one of up to rho {cost.zcdp_rho:.4g} (epsilon {epsilon_by_rdp(cost.zcdp_rho, delta):.3g})"
        raise AccountError(expected(where, fits, found))

    @property
    def total(self) -> AccountTotal:
        """What all runs together cost a phone, those that are reserved at the most that they can."""
        costs = [charge.cost for charge in self.charges.values()]
        together, delta = added_up(costs), None if self.terms is None else self.terms.delta
        return AccountTotal(
            runs=len(costs),
            zcdp_rho=together.zcdp_rho,
            delta=None if delta is None else delta + together.own_delta,
            epsilon=None if together.zcdp_rho is None or delta is None else epsilon_by_rdp(together.zcdp_rho, delta),
            unbounded=unbounded_of(costs),
            reserved=sum(charge.is_open for charge in self.charges.values()),
        )

    def left(self) -> Cost | None:
        """The largest rho that still fits under the limit; None without a limit, or a delta to translate it at."""
        if self.limit is None or self.terms is None or self.terms.delta is None:
            return None
        spent = self.total.zcdp_rho
        return Cost(0.0 if spent is None else max(rho_for(self.limit, self.terms.delta) - spent, 0.0))

    def _grown(self, kind: str, date: str, fields: dict[str, Any]) -> "Account":
        return self._with(next_line(list(self.entries), kind, date, fields))

    def _with(self, entry: dict[str, Any]) -> "Account":
        """With one line more.

        Raises:
            AccountError: it does not follow from those before it.
        """
        where, run = f"{self.path}:{entry['line']}", entry["run"]
        charge = charge_after(self.charges.get(run), entry, where)
        cost = charge.cost
        own = self.terms
        if cost.zcdp_rho is not None and own is not None and charge.terms.currency != own.currency:
            raise AccountError(expected(where, "a cost of the account's deployment and adjacency", "one of another"))
        limits = [one for one in (self.limit, entry.get("total_epsilon")) if one is not None]
        return replace(
            self,
            entries=(*self.entries, entry),
            charges={**self.charges, run: charge},
            limit=min(limits) if limits else None,
            terms=self.terms or (None if cost.zcdp_rho is None else charge.terms),
        )


def _require_one_name(path: Path) -> None:
    """Refuse a file with hard links: a change replaces it under one name, and under the other it stays as it was.

    Raises:
        AccountError: it has some, or cannot be looked at.
    """
    try:
        names = path.stat().st_nlink
    except OSError as error:
        raise AccountError(unreadable(path, error)) from error
    if names > 1:
        found = f"{names}; each would lead to an account of its own: remove the others"
        raise AccountError(expected(path, "an account with one name (no hard links)", found))
