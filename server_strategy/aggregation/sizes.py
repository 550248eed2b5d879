"""How many bytes a phone sends and hears in each step, from counts alone: exactly those of the messages.

For rounds whose bytes are wanted without their cryptography. Every count may be an array, of a phone each.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.aggregation.graph import GraphSize
from server_strategy.aggregation.keys import KEY_BYTES, SIGNATURE_BYTES
from server_strategy.aggregation.message_format import COUNT, HEADER, KEYS_BYTES
from server_strategy.aggregation.messages import SEALED_BYTES
from server_strategy.aggregation.shares import SHARE_BYTES
from server_strategy.aggregation.terms import RoundTerms, Step

Count = int | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class StepBytes:
    """What a phone sends and hears in one step.

    Attributes:
        up, down: bytes.
    """

    up: Count
    down: Count


def step_bytes(
    terms: RoundTerms, size: GraphSize, *, sharing: Count | None = None, confirming: Count | None = None
) -> dict[Step, StepBytes]:
    """Bytes of a phone that takes every step; one that leaves has those of the steps before.

    Args:
        terms: of the round.
        size: of its graph.
        sharing: neighbours that shared their keys, all of them if None.
        confirming: neighbours that signed the survivors, all that shared if None.
    """
    sharing = size.neighbours if sharing is None else sharing
    confirming = sharing if confirming is None else confirming
    empty, number = HEADER.size, COUNT.size
    survivors = empty + number + (size.phones + 7) // 8
    shares = empty + 2 * number + sharing * (number + SHARE_BYTES)
    roster = number + size.phones * number
    found = {
        Step.ADVERTISE: StepBytes(empty + KEYS_BYTES, 0),
        Step.SHARE: StepBytes(
            up=empty + KEY_BYTES + number + size.neighbours * (number + SEALED_BYTES),
            down=empty + roster + number + size.neighbours * (number + KEYS_BYTES),
        ),
        Step.MASK: StepBytes(
            up=empty + terms.ring.packed_bytes(terms.length), down=empty + number + sharing * (number + SEALED_BYTES)
        ),
    }
    if not terms.assumptions.check_views:
        return {**found, Step.UNMASK: StepBytes(shares, survivors)}
    return {
        **found,
        Step.CONFIRM: StepBytes(empty + SIGNATURE_BYTES, survivors),
        Step.UNMASK: StepBytes(shares, empty + number + confirming * (number + SIGNATURE_BYTES)),
    }
