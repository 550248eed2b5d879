"""A run and the earlier ones whose weights it starts from: what they cost a phone together.

The weights of an earlier run are a release about its phones, and training further on them takes nothing back: what
the last model of a row of runs reveals of a phone is bounded by what all of them reveal. Costs of runs on the same
phones add up (zCDP: Bun and Steinke 2016, arXiv:1605.02065, Lemma 1.7). Of phones that are provably others, each bears
the costs of its own runs alone, and the largest is what holds for all (parallel composition). Two files of messages may
hold text of one person under two names, which nobody can rule out by looking at them; only people who are made up are
provably nobody who wrote a message. So costs of unlike files add up as if all phones were in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from server_strategy.privacy.accounting import epsilon_of_several
from server_strategy.privacy.adjacency import ZERO_OUT
from server_strategy.privacy.costs import Cost, Terms, added_up

SYNTHETIC = "synthetic"  # the population of made-up people, whatever their seed
MADE_UP, MESSAGES = "made-up people", "messages"  # kinds of data, in statements

SAME = "the same data: rho adds up"
UNLIKE = "other data, in which the same people cannot be ruled out: rho adds up as if all phones were in all of it"
UNKNOWN = "data not known to be the same: rho adds up as if all phones were in all of it"
DISJOINT = "made-up people beside people who wrote: nobody is both, so the larger sum holds for each"


@dataclass(frozen=True)
class EarlierRun:
    """What a run cost whose weights another one starts from."""

    weights_sha256: str | None  # None: a start that is on no record
    population: str | None  # digest of its data, for no file that is passed on; None: not on record
    cost: Cost
    terms: Terms
    known_by: Literal["its ledger", "its statement", "nothing"]
    run: str | None = None  # its number on an account; None: it had none
    noise_source: str | None = None  # "secret" or "seeded"; None without noise
    noise_seed: int | None = None  # of seeded noise, for no file that is passed on; None: not on record

    @property
    def number(self) -> str:
        """Under which an account has it that did not see the run itself."""
        return self.run or f"weights-{(self.weights_sha256 or 'of no record')[:16]}"

    @property
    def data(self) -> str | None:
        """What kind of data it is; None where that is not on record."""
        return None if self.population is None else MADE_UP if self.population == SYNTHETIC else MESSAGES

    def to_json(self, later: "EarlierRun") -> dict[str, Any]:
        """For the statement of a later run; without the digest of the data, which would tell of each message in it."""
        return {
            "weights_sha256": self.weights_sha256,
            "data": self.data,
            "same_data": self.population is not None and self.population == later.population,
            "zcdp_rho": self.cost.zcdp_rho,
            "own_delta": self.cost.own_delta,
            "delta": self.terms.delta,
            "epsilon_is_of": self.terms.deployment,
            "adjacency": self.terms.adjacency,
            "known_by": self.known_by,
            "run": self.run,
            "noise_source": self.noise_source,
        }


@dataclass(frozen=True)
class Composed:
    """What a run and all earlier ones cost a phone together."""

    zcdp_rho: float | None  # None: nothing bounds it, it is not known, or the costs are of two deployments
    delta: float | None
    epsilon: float | None
    rule: str | None  # how the costs are put together; None without an earlier run
    why_not: str | None = None  # there is no epsilon


def may_share_people(one: str | None, other: str | None) -> bool:
    """Whether two populations may have a person in common."""
    return one == other or SYNTHETIC not in (one, other) or None in (one, other)


def may_share_noise(one: EarlierRun, other: EarlierRun) -> bool:
    """Whether two runs may have drawn the same noise, as seeded ones of one seed do.

    Who has the releases of both then has differences of their sums without any noise.
    """
    if one.noise_source != "seeded" or other.noise_source != "seeded":
        return False
    return None in (one.noise_seed, other.noise_seed) or one.noise_seed == other.noise_seed


def composed(own: EarlierRun, earlier: Sequence[EarlierRun]) -> Composed:
    """What a run costs together with those whose weights it starts from.

    Args:
        own: the run.
        earlier: what it starts from, over all generations.
    """
    together, delta = [own, *earlier], own.terms.delta
    rule = None if not earlier else _rule(own, earlier)
    if (why := _why_not(own, earlier)) is not None or delta is None:
        return Composed(None, None, None, rule, why)
    of_kinds = (
        [one.cost for one in together if one.population in (SYNTHETIC, None)],
        [one.cost for one in together if one.population != SYNTHETIC],
    )
    sums = [added_up(costs) for costs in of_kinds]
    rho = max(one.zcdp_rho or 0.0 for one in sums)
    own_delta = max(one.own_delta for one in sums)
    return Composed(rho, delta + own_delta, epsilon_of_several(rho, delta), rule)


def _rule(own: EarlierRun, earlier: Sequence[EarlierRun]) -> str:
    if all(one.population is not None and one.population == own.population for one in earlier):
        return SAME
    if all(one.population in (None, own.population) for one in earlier):
        return UNKNOWN
    return UNLIKE if all(may_share_people(own.population, one.population) for one in earlier) else DISJOINT


def _why_not(own: EarlierRun, earlier: Sequence[EarlierRun]) -> str | None:
    """Why no epsilon can be stated; None if one can."""
    if own.cost.zcdp_rho is None:
        return "this run had no privacy"
    for one in earlier:
        if one.known_by == "nothing":
            return "what the starting weights cost is not known"
        if one.cost.zcdp_rho is None:
            return "an earlier run had no privacy"
        if one.terms.currency != own.terms.currency:
            return (
                f"the costs are of two deployments, {own.terms.deployment} ({own.terms.adjacency}) and "
                f"{one.terms.deployment} ({one.terms.adjacency}), which do not add up"
            )
    if any(may_share_noise(one, other) for one, other in combinations([own, *earlier], 2)):
        return (
            "runs among them have, or may have, the same noise, keyed by one seed: nothing is guaranteed against who "
            "has the releases of both (see --privacy.noise-source)"
        )
    return None


def of_unknown_cost(weights_sha256: str | None) -> EarlierRun:
    """A start of which nothing is on record."""
    terms = Terms("nobody knows what", ZERO_OUT, None)
    return EarlierRun(weights_sha256, None, Cost(None), terms, "nothing")
