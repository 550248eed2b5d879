"""What the phones of a message have come to so far: one sum, and who is in it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from client_model.learning.trainers import LocalResult
from server_strategy.protocol import HostProfile, TrainReply
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError


@dataclass
class Shard(ABC):
    """Takes in one phone's result after another; those who make a sum of them say what else they keep.

    Attributes:
        total: sum of the clipped updates.
        phones: in the sum, in the order in which they came.
        rejected: phones whose update was not finite.
        failures: the cause, by phone.
    """

    total: FixedPointSum
    phones: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, phone: int, result: LocalResult | str, weight: float) -> None:
        """Add what a phone hands in, or say why it is left out.

        Args:
            phone: its number.
            result: of its training, or the cause of its failure.
            weight: in (0, 1], what its clipped update counts.
        """
        if isinstance(result, str):
            self.failures[phone] = result
            return
        try:
            self._take(phone, result, weight)
        except NonFiniteUpdateError:
            self.rejected.append(phone)
            return
        self.phones.append(phone)

    @abstractmethod
    def _take(self, phone: int, result: LocalResult, weight: float) -> None:
        """Add it to the sum, or raise NonFiniteUpdateError and change nothing."""

    def who(self) -> dict[str, Any]:
        """Of an answer: who is in the sum and who is not."""
        return {
            "phones": np.array(self.phones, np.int64),
            "rejected": np.array(self.rejected, np.int64),
            "failed": np.array(list(self.failures), np.int64),
            "failure_causes": tuple(self.failures.values()),
        }


@dataclass
class ToldShard(Shard):
    """The server is told of each phone; the lists of the summed phones are aligned."""

    norms: list[float] = field(default_factory=list)
    loss_sums: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def _take(self, phone: int, result: LocalResult, weight: float) -> None:
        self.norms.append(self.total.add(result.update, weight))
        self.loss_sums.append(result.loss_sum)
        self.tokens.append(result.num_tokens)

    def reply(self, profile: HostProfile | None) -> TrainReply:
        """The answer of the host."""
        return TrainReply(
            **self.who(),
            update_sum=self.total.values,
            norms=np.array(self.norms, np.float64),
            loss_sums=np.array(self.loss_sums, np.float64),
            tokens=np.array(self.tokens, np.int64),
            profile=profile,
        )
