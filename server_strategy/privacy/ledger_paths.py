"""The releases of a ledger as a tree, and what those cost that were made again.

A run that goes on from a checkpoint makes the releases after it again. Mostly they are the same, bit for bit, and free.
Where the sum is another one (another machine rounds otherwise, a phone's text has changed), noise is drawn anew and a
line more is written: both were seen, and both are counted. Each line names the one that it follows, so that the lines
are a tree: one way through it leads to the model, the others were given up.

What a line more costs. With C the matrix of the mechanism (lower triangular, nothing in it negative) and x_s the sums,
the releases show C x + z with independent draws z (`accounting`). A release r made again, of a sum x'_r, is made of the
same noise of the rows before it and of a draw of its own, so that it shows one row more,

    sum_{s < r} C_rs x_s + C_rr x'_r + z'_r,

(a tree, which draws for each node that a release completes, shows a row for each of them), and all that was ever seen
is one Gaussian mechanism of the rows of all lines. A phone's squared sensitivity is the sum
over these rows, whatever later sums owe to earlier releases.

* Independent noise: C is the identity, and a row costs 1 for each phone in it. A line more is one participation more
  of the phones that it names: the same formula, over all lines.
* Noise that is shared (tree, banded, BLT): the rows of a way that was given up are among the rows of that whole way,
  from the first release on, whose squared sensitivity is the mechanism's own for as many releases. So each way that
  was given up is charged as a run of its own, and zCDP adds up (Bun and Steinke 2016, arXiv:1605.02065, Lemma 2.3).
  That charges the rows that it shares with the way to the model twice; it is never less than was spent.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import follows_of
from server_strategy.privacy.participation_log import NOTHING_BESIDE, Beside, ParticipationLog, rho_of_way
from server_strategy.privacy.plan import PrivacyPlan

Entries = Sequence[dict[str, Any]]


def is_one_way(entries: Entries) -> bool:
    """Whether each line follows the one before it, so that nothing was made again."""
    return all(follows_of(entry, line) == line - 1 for line, entry in enumerate(entries) if line)


def way_to(entries: Entries, head: int) -> list[int]:
    """The lines from the first release to this one, in their order; none for the line of the plan, 0."""
    way = []
    while head > 0:
        way.append(head)
        head = follows_of(entries[head], head)
    return way[::-1]


def lines_after(entries: Entries, head: int) -> set[int]:
    """The lines that follow this one, at whatever distance."""
    after = {head}
    for line in range(head + 1, len(entries)):
        if follows_of(entries[line], line) in after:
            after.add(line)
    return after - {head}


def given_up(entries: Entries, head: int, everything: bool) -> list[int]:
    """The lines that do not lead to `head`; those that follow it may be made again, and are none unless asked for."""
    way = set(way_to(entries, head))
    left = set() if everything else lines_after(entries, head)
    return [line for line in range(1, len(entries)) if line not in way and line not in left]


def cost_beside(
    plan: PrivacyPlan,
    entries: Entries,
    lines: Collection[int],
    phones: Callable[[int], NDArray[np.int64]],
    num_phones: int,
) -> Beside:
    """What the lines beside the way to the model cost.

    Args:
        plan: on record.
        entries: of the ledger; the line of the plan is the first.
        lines: given up.
        phones: that took part, by line.
        num_phones: of the fleet.
    """
    if not lines:
        return NOTHING_BESIDE
    counts = np.zeros(num_phones, np.int32)
    for line in lines:
        counts[phones(line)] += 1
    rho = 0.0
    if plan.mechanism is not None and not plan.mechanism.independent:
        followed = {follows_of(entries[line], line) for line in lines}
        for end in sorted(set(lines) - followed):
            log = ParticipationLog(num_phones)
            for line in way_to(entries, end):
                log.record(entries[line]["release"], phones(line))
            rho += rho_of_way(plan, log, entries[end]["release"]) or 0.0
    return Beside(len(lines), counts, rho)
