"""Buckets of phones: which updates are added up together, so that nobody needs to see a single one.

A rule that compares updates needs something to compare. Sums of few phones each serve it as well as single updates do,
and can come out of secure aggregation, one session a bucket. (Karimireddy, He and Jaggi, "Byzantine-robust learning on
heterogeneous datasets via bucketing", ICLR 2022, arXiv:2006.09365, Algorithm 1, average the updates of few clients
before a rule as well, there so that unlike clients look alike.)

The price: one attacker spoils all of a bucket. Of n phones in B buckets, a attackers spoil up to min(a, B).

Who is with whom is drawn by (seed, round, phone), whatever host trains a phone, and whenever its update comes.

Example:
    >>> import numpy as np
    >>> [len(bucket) for bucket in buckets_of(np.arange(20), 6, seed=0, server_round=1)]
    [4, 4, 3, 3, 3, 3]
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import expected


def buckets_of(phones: NDArray[np.int64], number: int, *, seed: int, server_round: int) -> list[NDArray[np.int64]]:
    """Deal phones out to buckets whose sizes differ by at most one.

    Args:
        phones: ids, in any order, each once: int64 [n].
        number: of buckets; as many as there are phones, if these are fewer.
        seed: of the draw.
        server_round: of the phones; each round has a draw of its own.

    Returns:
        The ids of each bucket, in the order of the draw; none is empty.

    Raises:
        ValueError: the number is not at least 1.
    """
    if number < 1:
        raise ValueError(expected("number", "at least one bucket", number))
    order = np.array(sorted(phones.tolist(), key=lambda phone: _drawn(seed, server_round, phone)), np.int64)  # [n]
    return [order[first::number] for first in range(min(number, len(phones)))]


def spoiled_on_average(attackers_share: float, phones_in_bucket: int) -> float:
    """Share of buckets with an attacker or more, if each phone is one with this probability: 1 - (1 - s)^b."""
    return float(1 - (1 - attackers_share) ** phones_in_bucket)


def _drawn(seed: int, server_round: int, phone: int) -> tuple[bytes, int]:
    text = repr((seed, "buckets of phones", server_round, phone))
    return hashlib.blake2b(text.encode(), digest_size=16).digest(), phone
