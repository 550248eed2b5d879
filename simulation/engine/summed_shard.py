"""What the phones of a message come to where the server is to learn sums alone."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client_model.learning.local_training import LocalResult
from server_strategy.aggregation.vector import TAIL, PhoneFigures, tail_of
from server_strategy.protocol import HostProfile
from server_strategy.protocol_of_sums import SummedReply
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError


@dataclass
class SummedShard:
    """The sum of the phones' vectors so far, see `aggregation.vector`, and who is in it."""

    total: FixedPointSum
    tail: NDArray[np.int64] = field(default_factory=lambda: np.zeros(TAIL, np.int64))
    phones: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)  # the cause, by phone

    def add(self, phone: int, result: LocalResult | str, weight: float) -> None:
        """Add a phone's vector, or say why it is left out."""
        if isinstance(result, str):
            self.failures[phone] = result
            return
        try:
            norm = self.total.add(result.update, weight)
        except NonFiniteUpdateError:
            self.rejected.append(phone)
            return
        below = norm <= self.total.clip_norm
        self.tail += tail_of(PhoneFigures(norm, result.loss_sum, result.num_tokens, below))
        self.phones.append(phone)

    def reply(self, profile: HostProfile | None) -> SummedReply:
        """The answer of the host."""
        return SummedReply(
            total=np.concatenate([self.total.values, self.tail]),
            phones=np.array(self.phones, np.int64),
            rejected=np.array(self.rejected, np.int64),
            failed=np.array(list(self.failures), np.int64),
            failure_causes=tuple(self.failures.values()),
            profile=profile,
        )
