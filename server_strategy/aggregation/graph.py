"""Who shares a mask with whom: the sparse graph of SecAgg+, how many neighbours it takes, and how many shares unmask.

Bell, Bonawitz, Gascon, Lepoint and Raykova, "Secure single-server aggregation with (poly)logarithmic overhead" (CCS
2020, eprint 2020/704), section 3: the phones stand on a ring in random order, and each shares a mask with the k/2
before and the k/2 after it (a Harary graph). Secrets are shared among the k neighbours, t of which can recover them.
With c corrupted phones and d that drop out, both numbers fixed before the order is drawn, three things may go wrong:

1. An honest phone has t corrupted neighbours, who can unmask it. Of the other n - 1 phones its k neighbours are a
   uniform sample, so the corrupted among them are hypergeometric(n - 1, c, k); union bound over n phones.
2. The honest phones that stay fall into parts that share no mask, so that the server learns the sum of each part. It
   takes two gaps on the ring of k/2 neighbours each, all corrupted or gone: at most n (n - k - 1) / 2 pairs of gaps,
   each with probability C(c + d, k) / C(n, k).
3. Fewer than t neighbours of a phone stay, and the round fails: hypergeometric(n - 1, n - 1 - d, k), n phones.

1 and 2 are security, 2^-(sigma + 1) each; 3 is correctness, 2^-eta. k is the smallest even number for which there is
a t, and t the smallest that is safe. All tails are summed in whole numbers; floating point only finds the candidates.

Where survivors are checked (`check_views`), a server may lie about who is left. An honest phone gives away one share
of each neighbour, of the self mask or of the key, so both come together only if 2t <= k + the corrupted neighbours:
t has to be larger than half of that sum (there, section 4; in the complete graph, Bonawitz et al., "Practical secure
aggregation for privacy-preserving machine learning", CCS 2017, section 6).

Few phones, and those for which no sparse graph will do, are all neighbours (Bonawitz et al.), and the conditions hold
with certainty.

Of the N phones that were agreed on, n advertise keys, and the server says which: the roster. Were t to follow from n,
a server could show every few phones a roster of their own, and have the sum of each. In Bonawitz et al. (section 6) n
and t are fixed before the round; so here corrupted phones, and in the complete graph the threshold, are those of N. A
view, roster and survivors together, is confirmed by t neighbours and the phone itself, of which at least t + 1 - c are
honest, and an honest phone confirms one view. Two views would need 2 (t + 1 - c) of the N - c honest phones, which are
too few as soon as 2t > N + c - 2; t is larger than half of N - 1 + c. No rosters are accepted that are not larger than
half of N + c, so that any two have an honest phone in common (`least_roster`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.keys import RunSecret
from typefleet.errors import ConfigError, expected
from typefleet.whole import is_whole

MOST_PHONES = 1 << 16
LEAST_PHONES = 3  # with two, the sum tells each phone the other's vector, and shares would be whole secrets
LEAST_THRESHOLD = 2  # the only share of 1 is the secret itself
_SLACK = 1e-6  # of a logarithm in floating point, whose error is some 1e-9
_ROUNDED = 1e-12  # 0.1 of 30 phones are 3, whatever the product is in floating point


@dataclass(frozen=True)
class Assumptions:
    """What a round has to withstand.

    Attributes:
        corrupted_share: share of the phones that may work with the server, from 0 to below 1.
        dropped_share: share of the phones that may drop out after their keys are known, from 0 to below 1.
        security_bits: sigma; something is learnt beyond the sum with probability at most 2^-sigma.
        correctness_bits: eta; a round with so many drop-outs fails with probability at most 2^-eta.
        check_views: the server may show different survivors to different phones; it is caught at it.
        complete_up_to: phones of a round in which all are neighbours, whatever fewer would do.
        least_phones: that a sum has to be of; phones leave a round with fewer.
        neighbours: k, set instead of found; of n phones at most n - 1. It is held to the same conditions.
        threshold: t, set instead of found, and held to the same conditions.
    """

    corrupted_share: float = 0.05
    dropped_share: float = 0.15
    security_bits: int = 40
    correctness_bits: int = 40
    check_views: bool = True
    complete_up_to: int = 64
    least_phones: int = LEAST_PHONES
    neighbours: int | None = None
    threshold: int | None = None

    def __post_init__(self) -> None:
        for name in ("corrupted_share", "dropped_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(expected(name, "a number from 0 to below 1", getattr(self, name)))
        for name in ("security_bits", "correctness_bits"):
            if not is_whole(getattr(self, name), 1, 128):
                raise ConfigError(expected(name, "1 to 128 bits", getattr(self, name)))
        if not is_whole(self.least_phones, LEAST_PHONES, MOST_PHONES):
            raise ConfigError(expected("least_phones", f"{LEAST_PHONES} to {MOST_PHONES}", self.least_phones))
        if not is_whole(self.complete_up_to, 0):
            raise ConfigError(expected("complete_up_to", "a whole number >= 0", self.complete_up_to))
        for name in ("neighbours", "threshold"):
            if (value := getattr(self, name)) is not None and not is_whole(value, 2):
                raise ConfigError(expected(name, "a whole number >= 2", value))

    def corrupted(self, phones: int) -> int:
        """The most of so many phones that may be corrupted; one at least, unless none is assumed to be."""
        return max(math.floor((self.corrupted_share + _ROUNDED) * phones), 1 if self.corrupted_share else 0)

    def dropped(self, phones: int) -> int:
        """The most of so many phones that may drop out."""
        return math.floor((self.dropped_share + _ROUNDED) * phones)


USUAL_ASSUMPTIONS = Assumptions()


@dataclass(frozen=True)
class GraphSize:
    """Size of a round's graph.

    Attributes:
        phones: n, that advertised keys.
        neighbours: k, of each phone; n - 1 in the complete graph.
        threshold: t, shares that recover a secret.
        least_survivors: phones whose vectors have to be in the sum. In a sparse graph a server that said of more than
            the assumed number that they were gone could cut it into parts.
        cannot_be_cut: whether the honest survivors of any one list are connected, whoever is corrupted or said to have
            left, and not only with high probability for those who were so before the order was drawn: there are more
            neighbours than such phones, and a Harary graph falls apart with no fewer.
    """

    phones: int
    neighbours: int
    threshold: int
    least_survivors: int
    cannot_be_cut: bool = False

    @property
    def complete(self) -> bool:
        """Whether all phones are neighbours."""
        return self.neighbours == self.phones - 1


def least_roster(agreed: int, assumptions: Assumptions) -> int:
    """Phones that a roster has to have: any two such rosters share more phones than are corrupted.

    Args:
        agreed: N, phones that were agreed on before the round.
        assumptions: what it has to withstand.
    """
    return max((agreed + assumptions.corrupted(agreed)) // 2 + 1, assumptions.least_phones)


@lru_cache(maxsize=1024)
def graph_size(phones: int, assumptions: Assumptions, agreed: int | None = None) -> GraphSize:
    """The sparsest graph that withstands what is assumed.

    Args:
        phones: n, from the least number that a sum has to be of to 65,536.
        assumptions: what it has to withstand.
        agreed: N, phones that were agreed on before the round, n if None. The corrupted are a share of those, for all
            of them may be among the n.

    Raises:
        ConfigError: no graph does, the complete one neither, or the one that is set does not.
    """
    least = assumptions.least_phones
    if not least <= phones <= MOST_PHONES:
        raise ConfigError(expected("phones of a round", f"{least} to {MOST_PHONES}", phones))
    agreed = phones if agreed is None else agreed
    if not least_roster(agreed, assumptions) <= phones <= agreed:
        what = f"{least_roster(agreed, assumptions)} to {agreed}, of the {agreed} that were agreed on"
        raise ConfigError(expected("phones of a round", what, phones))
    chosen, dropped = assumptions.neighbours, assumptions.dropped(phones)
    candidates: Iterable[int] = range(2, phones - 1, 2) if agreed > assumptions.complete_up_to else ()
    if chosen is not None:
        candidates = [chosen] if chosen < phones - 1 else ()
    for neighbours in candidates:
        threshold = sparse_threshold(phones, neighbours, assumptions, agreed=agreed)
        if threshold is not None:
            connected = neighbours > assumptions.corrupted(agreed) + dropped
            return GraphSize(phones, neighbours, threshold, max(phones - dropped, least), connected)
    if chosen is not None and chosen < phones - 1:
        what = f"an even number that withstands what is assumed, or {phones - 1} or more"
        raise ConfigError(expected(f"neighbours in a round of {phones} phones", what, chosen))
    threshold = _complete_threshold(phones, agreed, assumptions)
    return GraphSize(phones, phones - 1, threshold, max(threshold + 1, least), cannot_be_cut=True)


def sparse_threshold(
    phones: int,
    neighbours: int,
    assumptions: Assumptions,
    *,
    others: int | None = None,
    agreed: int | None = None,
) -> int | None:
    """The smallest safe threshold of a sparse graph, or the one that is set; None if it is not safe, or there is none.

    Args:
        phones: n.
        neighbours: k, below n - 1; no odd number is safe.
        assumptions: what it has to withstand.
        others: phones that neighbours are a sample of, n - 1 if None. Implementations that take all n have slightly
            other numbers; for comparing with them.
        agreed: as of `graph_size`.
    """
    others = phones - 1 if others is None else others
    corrupted, staying = assumptions.corrupted(agreed or phones), others - assumptions.dropped(phones)
    bad = corrupted + assumptions.dropped(phones)
    pairs_of_gaps = phones * (phones - neighbours - 1)  # twice their number
    # Twice the bound, for the number of pairs is halved.
    cut = pairs_of_gaps * math.comb(bad, neighbours) << assumptions.security_bits
    if neighbours % 2 or cut > math.comb(phones, neighbours):
        return None
    safe = (assumptions.security_bits + 1) * math.log(2) + math.log(phones)
    works = assumptions.correctness_bits * math.log(2) + math.log(phones)
    least = _first_upper_tail_below(others, corrupted, neighbours, -safe)
    most = _last_lower_tail_below(others, staying, neighbours, -works)
    threshold = _chosen(_least_threshold(least, neighbours, assumptions), assumptions)
    if threshold is None or threshold > most:
        return None
    upper = upper_tail(others, corrupted, neighbours, least)
    lower = upper_tail(others, others - staying, neighbours, neighbours - threshold + 1)
    everything = math.comb(others, neighbours)
    holds = upper * phones << (assumptions.security_bits + 1) <= everything
    return threshold if holds and lower * phones << assumptions.correctness_bits <= everything else None


def upper_tail(population: int, marked: int, drawn: int, at_least: int) -> int:
    """Ways to draw `drawn` of `population` so that `at_least` are of the `marked`; of C(population, drawn) in all."""
    least, most = max(at_least, drawn - (population - marked), 0), min(marked, drawn)
    if least > most:
        return 0
    ways = math.comb(marked, most) * math.comb(population - marked, drawn - most)
    total = ways
    for found in range(most, least, -1):  # from `found` of the marked to one fewer; each division is exact
        ways = ways * found * (population - marked - drawn + found)
        ways //= (marked - found + 1) * (drawn - found + 1)
        total += ways
    return total


def draw_ring(phones: Sequence[int], secret: RunSecret, server_round: int) -> list[int]:
    """The phones in a random order, a function of secret and round.

    The server draws it, and is believed to draw it at random: one that chose the order itself could surround a phone
    with corrupted ones. In the paper's protocol against such a server the phones choose their neighbours; with the
    complete graph there is nothing to choose.
    """
    ordered = sorted(phones)
    tags = np.frombuffer(secret.material("order of the ring", server_round, 0), "<u8")
    generator = np.random.Generator(np.random.Philox(key=tags[:2], counter=[0, 0, *tags[2:]]))
    return [ordered[place] for place in generator.permutation(len(ordered))]


def neighbours_on(ring: Sequence[int], size: GraphSize) -> dict[int, tuple[int, ...]]:
    """The neighbours of each phone, in ascending order.

    Args:
        ring: the phones in random order.
        size: of the graph.
    """
    n, half = len(ring), size.neighbours // 2
    if size.complete:
        ordered = sorted(ring)
        return {phone: tuple(other for other in ordered if other != phone) for phone in ordered}
    steps = [*range(-half, 0), *range(1, half + 1)]
    return {phone: tuple(sorted(ring[(place + step) % n] for step in steps)) for place, phone in enumerate(ring)}


def _complete_threshold(phones: int, agreed: int, assumptions: Assumptions) -> int:
    """The threshold of a graph in which all are neighbours: that of all phones that were agreed on."""
    staying = phones - 1 - assumptions.dropped(phones)
    safe = _least_threshold(assumptions.corrupted(agreed) + 1, agreed - 1, assumptions)
    if safe > staying:
        what = f"corrupted and dropped shares that leave {safe} neighbours of {phones - 1}"
        raise ConfigError(expected(f"a round of {phones} phones", what, f"{staying} left"))
    if assumptions.threshold is None:
        return max(safe, min(agreed // 2 + 1, staying))  # more than half of the shares, which costs nothing here
    threshold = _chosen(safe, assumptions)
    if threshold is None or threshold > staying:
        what = f"{safe} to {staying}"
        raise ConfigError(expected(f"threshold in a round of {phones} phones", what, assumptions.threshold))
    return threshold


def _chosen(safe: int, assumptions: Assumptions) -> int | None:
    """The threshold that is set, None if it is below the smallest safe one; that one if none is set."""
    if assumptions.threshold is None:
        return safe
    return assumptions.threshold if assumptions.threshold >= safe else None


def _least_threshold(safe: int, neighbours: int, assumptions: Assumptions) -> int:
    """From the smallest number of shares that corrupted neighbours do not have."""
    against_lies = (neighbours + safe - 1) // 2 + 1 if assumptions.check_views else 0
    return max(safe, against_lies, LEAST_THRESHOLD)


def _first_upper_tail_below(population: int, marked: int, drawn: int, log_bound: float) -> int:
    """The smallest t with P[at least t marked] <= exp(log_bound), up to the slack."""
    least, logs = _log_probabilities(population, marked, drawn)
    tails = np.logaddexp.accumulate(logs[::-1])[::-1]  # tails[i]: at least `least` + i
    return least + int(np.sum(tails > log_bound + _SLACK))


def _last_lower_tail_below(population: int, marked: int, drawn: int, log_bound: float) -> int:
    """The largest t with P[fewer than t marked] <= exp(log_bound), up to the slack."""
    least, logs = _log_probabilities(population, marked, drawn)
    tails = np.logaddexp.accumulate(logs)  # tails[i]: at most `least` + i
    return least + int(np.sum(tails <= log_bound + _SLACK))


def _log_probabilities(population: int, marked: int, drawn: int) -> tuple[int, NDArray[np.float64]]:
    """The smallest possible number of marked ones, and the logarithms of the probabilities from there on."""
    least, most = max(0, drawn - (population - marked)), min(marked, drawn)
    found = np.arange(least, most, dtype=np.float64)
    steps = np.log((marked - found) * (drawn - found)) - np.log((found + 1) * (population - marked - drawn + found + 1))
    first = _log_comb(marked, least) + _log_comb(population - marked, drawn - least) - _log_comb(population, drawn)
    return least, first + np.concatenate([[0.0], np.cumsum(steps)])


def _log_comb(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
