"""Tree aggregation (DP-FTRL): what one phone can change, and how much noise its estimate carries.

The releases are the leaves of binary trees. Every node whose leaves are all there is released once, as
the sum of its leaves plus Gaussian noise; the sum of rounds 1 to t is put together from the nodes that
tile them, one for each bit of t (Kairouz et al., "Practical and private (deep) learning without sampling
or shuffling", arXiv:2103.00039). Honaker's estimate ("Efficient use of differentially private binary
trees", 2015, the one "from below") replaces each of these nodes by the best combination of it with the
nodes under it, of which a node of height h leaves the variance 1 / (2 - 2^-h). With restarts, a new tree
begins after a fixed number of rounds.

Sensitivity. A phone that takes part in the rounds pi changes a node by the number of pi under it, so

    squared sensitivity = max over allowed pi of sum over nodes (|pi under the node|)^2

where allowed means: at most k rounds, each at least b after the one before. The maximum is found
exactly by dynamic programming over subtrees. A subtree is described by a table: for every number p of
participations and every value that p can reach, the earliest possible last round, given the first round
that is allowed. Values are whole numbers and few, so the tables are small; joining two of them looks up,
for every pair of values, where the right half may begin after the left half has ended. Without a separation
the first rounds of all are the worst, and nothing is searched.

| paper | here |
|---|---|
| T | rounds |
| E, k | max_participations |
| xi + 1, b | min_separation |
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import InputError, expected

MOST_PARTICIPATIONS = 64  # the number of values grows with its square

# One entry a value, largest first: (value, last round for each first allowed one: int32 [size + 1]).
_Values = list[tuple[int, NDArray[np.int32]]]
_Table = dict[int, _Values]  # by number of participations, from 1
_IMPOSSIBLE = np.int32(2**30)


def tree_sensitivity_squared(
    rounds: int, min_separation: int, max_participations: int, restart_every: int | None = None
) -> int:
    """Largest squared change of all nodes together by one phone whose updates have norm 1.

    Args:
        rounds: releases so far; only nodes that are complete by then count.
        min_separation: rounds from one participation to the next, at least (1: every round).
        max_participations: of one phone.
        restart_every: rounds a tree; None for one tree.

    Raises:
        InputError: a count below 1, or more participations than can be searched through.
    """
    restart = restart_every or rounds
    if min(rounds, min_separation, max_participations, restart) < 1:
        found = f"{rounds}, {min_separation}, {max_participations}, {restart_every}"
        raise InputError(expected("rounds, min_separation, max_participations, restart_every", "numbers >= 1", found))
    most = min(max_participations, -(-rounds // min_separation))
    if most > MOST_PARTICIPATIONS:
        found = f"{most}; a larger min-separation-rounds or a smaller max-participations helps"
        raise InputError(expected("tree", f"at most {MOST_PARTICIPATIONS} participations of one phone", found))
    return _forest_value(rounds, min_separation, most, restart)


def tree_sum_errors(rounds: int, restart_every: int | None = None) -> NDArray[np.float64]:
    """Variance of the noise in the estimated sum after each round, for nodes with unit noise: float64 [rounds]."""
    restart = restart_every or rounds
    finished, inside = np.divmod(np.arange(1, rounds + 1), restart)
    errors: NDArray[np.float64] = finished * _honaker_variance(np.array([restart]))[0] + _honaker_variance(inside)
    return errors


def heights(rounds: int) -> list[int]:
    """Heights of the complete nodes that tile rounds 1 to `rounds` of a tree, largest first."""
    return [h for h in range(rounds.bit_length() - 1, -1, -1) if rounds >> h & 1]


def node_weight(height: int) -> float:
    """Weight, and variance, of Honaker's estimate of a node from itself and the nodes below it."""
    return 1 / (2 - 0.5**height)


def _honaker_variance(rounds: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.zeros(len(rounds))
    for height in range(int(rounds.max(initial=0)).bit_length()):
        total += (rounds >> height & 1) * node_weight(height)
    return total


@lru_cache(maxsize=4096)
def _forest_value(rounds: int, b: int, most: int, restart: int) -> int:
    """Best value of all trees in a row, from left to right."""
    if b == 1 and (packed := _packed_value(rounds, most, restart)) is not None:
        return packed
    blocks = [h for _ in range(rounds // restart) for h in heights(restart)] + heights(rounds % restart)
    table = _only_from_the_first(_complete_tree(blocks[0], b, most))
    size = 2 ** blocks[0]
    for height in blocks[1:]:
        table = _join(table, size, _complete_tree(height, b, most), 2**height, b=b, most=most, is_node=False)
        size += 2**height
    return max(values[0][0] for values in table.values())


def _packed_value(rounds: int, most: int, restart: int) -> int | None:
    """The best value where participations may follow each other at once: in the first rounds of all.

    The nodes of a height h share out all participations, at most 2^h to each; their squares are largest if as many
    nodes as possible are full, and in the first rounds this is so at all heights at the same time.

    Returns:
        None where a node above those rounds is not complete, so that others may be better.
    """
    height = min(rounds, restart).bit_length() - 1
    size = 2**height
    if most > size and not (restart == size and most <= rounds - rounds % size):
        return None
    value = 0
    for leaves in (1 << h for h in range(height + 1)):
        full, rest = divmod(most, leaves)
        value += full * leaves**2 + rest**2
    return value


def _only_from_the_first(table: _Table) -> _Table:
    """The leftmost subtree may begin in its first round, so one entry of each row is enough."""
    kept = {p: [(value, last[:1]) for value, last in values if last[0] < _IMPOSSIBLE] for p, values in table.items()}
    return {p: values for p, values in kept.items() if values}


@lru_cache(maxsize=1024)
def _complete_tree(height: int, b: int, most: int) -> _Table:
    """Table of a complete tree of 2^height leaves."""
    if height == 0:
        return {1: [(1, np.array([0, _IMPOSSIBLE], np.int32))]}
    half = _complete_tree(height - 1, b, most)
    size = 2 ** (height - 1)
    return _join(half, size, half, size, b=b, most=most, is_node=True)


def _join(left: _Table, left_size: int, right: _Table, right_size: int, *, b: int, most: int, is_node: bool) -> _Table:
    """The table of two neighbouring subtrees, and of the node above them if there is one."""
    firsts = len(next(iter(left.values()))[0][1])
    full = firsts > 1  # otherwise only the first round is looked at
    entry = np.arange(left_size + right_size + 1 if full else 1)
    table: _Table = {}
    for p in range(1, min(most, max(left) + max(right)) + 1):
        own = p * p if is_node else 0
        found: _Values = []
        for value, last in left.get(p, []):
            padding = np.full(len(entry) - len(last), _IMPOSSIBLE, np.int32)
            found.append((value + own, np.concatenate([last, padding])))
        for value, last in right.get(p, []):
            found.append((value + own, _shifted(last[np.maximum(entry - left_size, 0)], left_size)))
        for taken in range(max(1, p - max(right)), min(p, max(left) + 1)):
            for left_value, left_last in left.get(taken, []):
                begin = np.maximum(left_last + (b - left_size), 0)
                begin = np.minimum(begin, right_size)  # the entry at right_size is impossible
                for right_value, right_last in right.get(p - taken, []):
                    last = np.full(len(entry), _IMPOSSIBLE, np.int32)
                    last[: len(begin)] = _shifted(right_last[begin], left_size)
                    found.append((left_value + right_value + own, last))
        kept = _undominated(found)
        if kept:
            table[p] = kept
    return table


def _shifted(last: NDArray[np.int32], by: int) -> NDArray[np.int32]:
    return np.where(last < _IMPOSSIBLE, last + np.int32(by), _IMPOSSIBLE)


def _undominated(found: _Values) -> _Values:
    """Entries that end earlier, for some first round, than every entry of at least their value."""
    kept: _Values = []
    best: NDArray[np.int32] | None = None
    for value, last in sorted(found, key=lambda entry: -entry[0]):
        if best is None:
            if (last < _IMPOSSIBLE).any():
                kept.append((value, last))
                best = last
        elif (last < best).any():
            best = np.minimum(last, best)
            if kept[-1][0] == value:
                kept[-1] = (value, best)
            else:
                kept.append((value, best))
    return kept
