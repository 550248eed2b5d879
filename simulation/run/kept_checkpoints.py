"""Which checkpoints of a run are kept: the newest few, all, or older ones at growing distances.

To forget a phone exactly, a run goes back to a checkpoint from before the phone first took part and plays all rounds
since again. `SPACED` keeps what makes that cheap: beside the newest few, older ones the more thinly the older they are,
some two for each doubling of the run. The idea is that of exponential histograms of a stream (Datar, Gionis, Indyk and
Motwani 2002, doi:10.1137/S0097539701398363, section 3); here the numbers need not be evenly spaced, and nothing is
remembered from one write to the next but the files themselves.
"""

from collections.abc import Sequence

from simulation.engine.config import ALL, SPACED, KeepCheckpoints

FACTOR = 2  # at most as many times as old as need be
_NEWEST = 3  # which are kept however near they are, in case one is damaged


def to_drop(numbers: Sequence[int], keep: KeepCheckpoints) -> list[int]:
    """Which checkpoints go, now that the newest of them is written.

    Under `SPACED`, let N be the newest and r any round from the oldest on, of age N - r. The newest checkpoint kept at
    or before r is the newest that was ever written there, or of age at most `FACTOR` * (N - r). For a checkpoint b
    between a and c goes once N - a <= FACTOR * (N - (c - 1)): whoever would have gone back to b now goes back to a,
    and has come from r <= c - 1. As N grows the ratio of the two falls, so that what was dropped is never missed
    later. What is there alone decides, so a run that was killed amid the deletions keeps to it as well; one that goes
    back, so that its newest number falls, keeps to it again as soon as it is as far as it was.

    After a pass ages more than double at every second step: at most 4 + 2 log2(N + 1) are left.

    Args:
        numbers: of all that are there, in rounds.
        keep: how many of the newest, `SPACED` or `ALL`.

    Returns:
        Numbers to delete, in the order in which a kill between two deletions does no harm: the oldest first.

    Example:
        >>> kept = []
        >>> for written in range(0, 201, 5):
        ...     kept = [n for n in [*kept, written] if n not in to_drop([*kept, written], "spaced")]
        >>> kept
        [0, 90, 135, 165, 180, 190, 195, 200]
    """
    there = sorted(set(numbers))
    if keep == ALL:
        return []
    if keep != SPACED:
        return there[:-keep]
    newest, dropped = there[-1] if there else 0, []
    before = there[:1]
    for number, after in zip(there[1:-_NEWEST], there[2:], strict=False):
        if newest - before[-1] <= FACTOR * (newest - after + 1):
            dropped.append(number)
        else:
            before.append(number)
    return dropped


def kept_when_over(keep: KeepCheckpoints) -> KeepCheckpoints:
    """What is kept of a run that is over and has forgotten its noise: nobody goes on from one of the newest."""
    return 1 if isinstance(keep, int) else keep
