"""The secret of the simulated phones, added to messages on their way to the hosts, and nowhere else.

A real phone has randomness of its own. Simulated phones have theirs of one secret, so that any host can simulate any
phone. It belongs to the simulator and not to the server: the strategy writes its messages without it and reads answers
without it, and it is in no checkpoint, log or record. It is new whenever a process begins or goes on with a run; masks
cancel whatever they are, so no result depends on it.

Where phones add the noise, the key of that travels in the same way. It is derived from the run's noise secret, so that
a run that goes on draws the same noise again for the same round.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from server_strategy.aggregation.keys import RunSecret
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.protocol_of_sums import with_noise_key, with_phone_secret
from simulation.engine.exchange import exchange


@dataclass(frozen=True)
class ExchangeWithPhones:
    """`exchange`, which lets hosts know the secret of their phones.

    Attributes:
        secret: of the phones' keys and masks; None where there are none.
        noise: key of the noise that phones add; None where the server does.
    """

    secret: RunSecret | None
    noise: NoiseKey | None = None

    def __call__(self, grid: Grid, messages: Iterable[Message], timeout_s: float) -> Iterator[Message]:
        """Send messages and give a good answer to each as it comes.

        Raises:
            EngineError: as of `exchange`.
        """
        return exchange(grid, map(self._told, messages), timeout_s)

    def _told(self, message: Message) -> Message:
        meta = message.metadata
        content = message.content
        if self.secret is not None:
            content = with_phone_secret(content, self.secret)
        if self.noise is not None and meta.message_type == MessageType.TRAIN:
            content = with_noise_key(content, self.noise)
        return Message(content, dst_node_id=meta.dst_node_id, message_type=meta.message_type, ttl=meta.ttl)
