"""In how many releases phones are that a run made before it went back."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import decode_labels
from server_strategy.privacy.ledger_paths import Entries, learnt


def sums_elsewhere(entries: Entries, wanted: NDArray[np.uint64], on_the_way: Collection[int]) -> int:
    """How many releases of earlier lives of a run have some of these phones; what nobody learnt is none.

    Args:
        entries: of the ledger.
        wanted: labels of the phones, uint64 [phones].
        on_the_way: lines, from 0, of the present life or on the way to it.
    """
    return sum(
        bool(np.isin(wanted, decode_labels(entries[line].get("participants", ""))).any())
        for line in learnt(entries)
        if line not in on_the_way
    )
