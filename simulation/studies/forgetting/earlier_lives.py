"""In how many releases phones are that a run made before it went back."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import decode_labels, follows_of, is_release


def sums_elsewhere(
    entries: Sequence[Mapping[str, Any]], wanted: NDArray[np.uint64], on_the_way: Collection[int]
) -> int:
    """How many releases of earlier lives of a run have some of these phones; what nobody learnt is none.

    Args:
        entries: of the ledger.
        wanted: labels of the phones, uint64 [phones].
        on_the_way: lines, from 0, of the present life or on the way to it.
    """
    followed = {follows_of(entry, line) for line, entry in enumerate(entries)}
    return sum(
        bool(np.isin(wanted, decode_labels(entry.get("participants", ""))).any())
        for line, entry in enumerate(entries)
        if line not in on_the_way and (is_release(entry) or line not in followed)
    )
