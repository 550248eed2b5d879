"""How many rounds are played again to forget a phone, by the checkpoints that are kept.

The rule that decides which checkpoints are kept is the one that runs go by (`simulation.run.kept_checkpoints`): it is
asked at every write. Nothing here is a formula for what it comes to.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulation.engine.config import KeepCheckpoints
from simulation.run.kept_checkpoints import kept_when_over, to_drop
from simulation.studies.forgetting.arrivals import Arrivals

KEEPS: tuple[KeepCheckpoints, ...] = (1, 2, 5, "spaced", "all")


@dataclass(frozen=True)
class Kept:
    """What is there under one rule as a run goes on."""

    keep: KeepCheckpoints
    written: tuple[int, ...]

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """What is left after each write."""
        left: list[tuple[int, ...]] = []
        there: tuple[int, ...] = ()
        for number in self.written:
            dropped = set(to_drop([*there, number], self.keep))
            there = tuple(one for one in (*there, number) if one not in dropped)
            left.append(there)
        return tuple(left)

    @property
    def most(self) -> int:
        """The largest number of checkpoints that ever are there after a write."""
        return max(map(len, self.after))

    def when_over(self, forgets_noise: bool) -> tuple[int, ...]:
        """What is left when the run is over.

        Args:
            forgets_noise: its noise was secret, and its secret is erased.
        """
        there = self.after[-1]
        dropped = set(to_drop(there, kept_when_over(self.keep))) if forgets_noise else set()
        return tuple(one for one in there if one not in dropped)

    def at(self, moment: int) -> tuple[int, ...]:
        """What is there after a round of a run that goes on."""
        return self.after[bisect_right(self.written, moment) - 1]


def rounds_again(first: NDArray[np.int64], now: int, there: Sequence[int]) -> NDArray[np.int64]:
    """Rounds to play again for each phone, from the newest checkpoint before it came, or from the beginning.

    Args:
        first: int64 [phones], round in which each first took part.
        now: round that the run is at.
        there: rounds of the checkpoints, in order.

    Returns:
        int64 [phones].
    """
    from_beginning = np.array([0, *there], np.int64)
    return now - from_beginning[np.searchsorted(there, first - 1, "right")]


def shares_by_arrival(
    arrivals: Arrivals, there: Sequence[int], edges: Sequence[float]
) -> list[tuple[float, float | None]]:
    """For each stretch of a run: (share of the phones that first came in it, mean share of the rounds to play again).

    Args:
        arrivals: of the run, which is over.
        there: rounds of its checkpoints, in order.
        edges: of the stretches, as shares of the rounds, from 0 to 1.

    Returns:
        The second is None where nobody came.
    """
    cost = rounds_again(arrivals.first, arrivals.rounds, there) / arrivals.rounds
    place = np.searchsorted(np.array(edges) * arrivals.rounds, arrivals.first, "left") - 1  # in (low, high]
    found: list[tuple[float, float | None]] = []
    for number in range(len(edges) - 1):
        here = cost[place == number]
        found.append((len(here) / len(cost), float(here.mean()) if len(here) else None))
    return found


def mean_share(arrivals: Arrivals, there: Sequence[int], together: int = 1) -> float | None:
    """Share of the rounds that some phones of those that took part cost on average, drawn at random, without one twice.

    Args:
        arrivals: of the run, which is over.
        there: rounds of its checkpoints, in order.
        together: phones that are forgotten at once; the earliest of them decides.

    Returns:
        None where fewer took part.
    """
    n = len(arrivals.first)
    if together > n:
        return None
    # The chance that the earliest of `together` phones is the i-th of n in order: what is left for the others, by each.
    chance, left = np.zeros(n), 1.0
    for i in range(n - together + 1):
        chance[i] = left * together / (n - i)
        left -= chance[i]
    return float(chance @ rounds_again(arrivals.first, arrivals.rounds, there)) / arrivals.rounds


def mean_when_asked(arrivals: Arrivals, kept: Kept, later: int) -> float | None:
    """Rounds that a phone costs on average which asks so many rounds after it first took part, of a run that goes on.

    Args:
        arrivals: of the run.
        kept: what it keeps.
        later: rounds, of which those in which the phone first took part is not one.

    Returns:
        None where nobody came so early.
    """
    first, phones = np.unique(arrivals.first[arrivals.first + later <= arrivals.rounds], return_counts=True)
    if not len(first):
        return None
    cost = [rounds_again(first[[i]], now, kept.at(now))[0] for i, now in enumerate((first + later).tolist())]
    return float(np.average(cost, weights=phones))
