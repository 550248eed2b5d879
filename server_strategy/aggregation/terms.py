"""What all who take part in a round know before it begins; it comes with the task, before any key."""

from dataclasses import dataclass, field
from enum import IntEnum

from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions, GraphSize, graph_size
from server_strategy.aggregation.masks import FULL_RING, Ring
from typefleet.errors import expected
from typefleet.whole import is_whole


class Step(IntEnum):
    """The steps of a round, in order; a step ends with what the phones send in it."""

    ADVERTISE = 1  # public keys
    SHARE = 2  # shares of the two secrets, sealed for each neighbour
    MASK = 3  # the masked vector
    CONFIRM = 4  # a signature of the survivors; only where views are checked
    UNMASK = 5  # shares that take the masks off the sum
    DONE = 6

    @property
    def word(self) -> str:
        """The name as records have it."""
        return self.name.lower()


@dataclass(frozen=True)
class RoundTerms:
    """The terms of one round.

    Attributes:
        server_round: number of the round, so that no message of another is taken for one of it. A round that is tried
            again has another number: under the same keys, the two might together give away both secrets of a phone.
        length: numbers of a vector.
        authority: Ed25519 public key of who certifies the phones' keys.
        phones: that were agreed on: invited, each of which knows how many before it sees who sent keys. A phone holds
            the server's roster to it; were it the server's to say, to each phone another number, the roster would be
            too.
        ring: what vectors are added in.
        assumptions: what the round has to withstand; graph and threshold follow from it.
    """

    server_round: int
    length: int
    authority: bytes
    phones: int = field(kw_only=True)
    ring: Ring = FULL_RING
    assumptions: Assumptions = USUAL_ASSUMPTIONS

    def __post_init__(self) -> None:
        if not is_whole(self.server_round, 0, (1 << 63) - 1):
            raise ValueError(expected("server_round", "a whole number from 0 to 2^63 - 1", self.server_round))
        if not is_whole(self.length, 1, (1 << 31) - 1):
            raise ValueError(expected("length", "1 to 2^31 - 1 numbers", self.length))
        if not is_whole(self.phones, 0):
            raise ValueError(expected("phones", "a whole number >= 0", self.phones))

    def graph_size(self, phones: int) -> GraphSize:
        """Size of the graph of so many phones of those agreed on, which server and phones compute for themselves.

        Raises:
            ConfigError: too few or too many of them, or no graph withstands what is assumed.
        """
        return graph_size(phones, self.assumptions, self.phones)

    def steps(self) -> tuple[Step, ...]:
        """The steps that are taken."""
        return tuple(s for s in Step if s != Step.DONE and (s != Step.CONFIRM or self.assumptions.check_views))
