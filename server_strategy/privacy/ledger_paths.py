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

Where phones add the noise, a sum that was asked for and has no line after it is such a row too: the server may have
learnt it before the run was killed, or has it and could make no release of it. The line of a release follows that of
its sum, and the two are one row.

A run that went back to be played on without some phones (`ledger_lines.goes_back`) has drawn anew all noise since: what
it released before is a way that was given up, and costs what such a way costs.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import ASKED, follows_of, goes_back, is_release, life_begins
from server_strategy.privacy.participation_log import NOTHING_BESIDE, Beside, ParticipationLog, rho_of_way
from server_strategy.privacy.plan import PrivacyPlan

Entries = Sequence[dict[str, Any]]


def is_one_way(entries: Entries) -> bool:
    """Whether each line follows the one before it, so that nothing was made again."""
    return all(follows_of(entry, line) == line - 1 for line, entry in enumerate(entries) if line)


def way_to(entries: Entries, head: int) -> list[int]:
    """The lines of releases from the first to this line, in their order; none for the line of the plan, 0."""
    return [line for line in _all_to(entries, head) if is_release(entries[line])]


def _all_to(entries: Entries, head: int) -> list[int]:
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


def learnt(entries: Entries) -> set[int]:
    """The lines of what was learnt: of releases, and of sums that were asked for and have no line after them."""
    followed = {follows_of(entry, line) for line, entry in enumerate(entries) if line and not goes_back(entry)}
    return {
        line
        for line, entry in enumerate(entries)
        if is_release(entry) or (entry.get("sum") == ASKED and line not in followed)
    }


def given_up(
    entries: Entries,
    head: int,
    everything: bool,
    *,
    sums: bool = False,
    next_round: int | None = None,
    of_this_life: bool = False,
    one_way_again: bool = False,
) -> list[int]:
    """What was `learnt` and does not lead to `head`.

    Args:
        entries: of the ledger.
        head: line of the last release, or of the sum that is asked for.
        everything: also what follows `head`, and may be made again.
        sums: also the sums among that.
        next_round: also what follows `head` and is of a round before this one, so that it cannot be made again.
        of_this_life: only what is on record since the run went back last.
        one_way_again: also what follows `head` unless it is one way alone: of several at most one is made again.
    """
    way, begins, known = set(_all_to(entries, head)), life_begins(entries), learnt(entries)
    left = set() if everything else {line for line in lines_after(entries, head) if line > begins}
    if one_way_again and (left & known) - set(_all_to(entries, max(left, default=0))):
        left = set()
    if next_round is not None:
        left = {line for line in left if entries[line]["round"] >= next_round}
    if sums:
        left = {line for line in left if is_release(entries[line])}

    first = begins + 1 if of_this_life else 1
    return [line for line in range(first, len(entries)) if line in known and line not in way and line not in left]


def of_earlier_lives(entries: Entries, head: int) -> int:
    """How many releases are of a life before the run went back, and do not lead to `head`."""
    lines = given_up(entries, head, everything=True)
    return sum(is_release(entries[line]) for line in lines if line < life_begins(entries))


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
    return Beside(len(lines), counts, rho, sum(not is_release(entries[line]) for line in lines))
