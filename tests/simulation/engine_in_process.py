"""The engine without Ray and Flower's server: the same ClientApp, called in this process, one message after another.

For tests of the driver alone, which need whole runs and no Ray: here, or as a process of its own,

python -m tests.simulation.engine_in_process [flags of simulate.py]
"""

import itertools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from simulation.engine.client_app import app
from simulation.flags import parse_simulate, run_door
from simulation.parts import Parts
from simulation.start import start


class GridInProcess(Grid):
    """One node, which answers a message while it is pushed.

    Args:
        client: what answers.
    """

    def __init__(self, client: ClientApp = app) -> None:
        self._client = client
        self._ids = (f"message {number}" for number in itertools.count())
        self._answers: dict[str, Message] = {}

    def set_run(self, run_id: int) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return [1]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = next(self._ids)  # Flower does this when a message is sent
            answer = self._client(message, Context(0, 1, {}, RecordDict(), {}))
            self._answers[message.metadata.message_id] = answer
            pushed.append(message.metadata.message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._answers.pop(one) for one in message_ids if one in self._answers]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))


class EngineInProcess:
    """What `start` asks of an engine."""

    def start(self) -> None:
        pass

    def run(self, body: Callable[[Grid], Any]) -> Any:
        return body(GridInProcess())

    def end_soon(self) -> None:
        pass


def simulate(flags: list[str]) -> None:
    """What scripts/simulate.py does."""
    parsed = parse_simulate(flags)
    start(parsed.run, Parts(), sys.stdout, parsed.resume is not None, EngineInProcess())


if __name__ == "__main__":
    sys.exit(run_door(lambda: simulate(sys.argv[1:])))
