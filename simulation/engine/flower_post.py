"""Messages and answers are handed on when they come, and not when somebody looks.

Flower's simulation looks ten times a second at every node for messages to hand out, and whoever pushed them looks for
answers. So workers wait at the beginning of each round, for a twentieth of a second on average, and the looks take a
processor's time from them: at every node, for every message without an answer. `run_simulation` has no argument for
it, so the two functions that carry messages between Flower's state and its workers are replaced by those below, which
are told, in those versions whose code was read. With another version everything is looked for as Flower does.

What is pushed is handed on itself, as Flower's state keeps it in memory: one look there for one node's messages goes
through those of all nodes, which at a thousand nodes took two seconds until the last of them had its first message.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Any, TypeAlias, TypeVar

from flwr.app import Message

from simulation.engine.flower_threads import first_called, known_engine

_END_S = 0.1  # after which it is noticed that Flower ends
_LOOK_S = 0.02  # from one look to the next, where nobody is told
_LOOK_AT_ALL_S = 1.0  # from one look to the next at what has no answer, which may have run out

_T = TypeVar("_T")
Messages: TypeAlias = "Queue[Message]"


class Post:
    """Between whoever pushes messages and Flower's workers: each side tells the other."""

    def __init__(self) -> None:
        self._pushed: Queue[Sequence[Message]] = Queue()  # what was pushed together
        self._answered, self._came = threading.Event(), set[str]()  # ids of messages whose answers nobody pulled
        self._tells, self._looked_s = False, 0.0

    def pushed(self, messages: Sequence[Message]) -> None:
        """Say that there are messages to hand out.

        Args:
            messages: as Flower has taken them, with its ids.
        """
        if self._tells:  # else nobody takes them
            self._pushed.put(messages)

    def to_be_pulled(self, ids: Iterable[str]) -> Collection[str]:
        """Those messages that are answered, or, now and then and where nobody is told, all: some may have run out.

        Looking at a message costs Flower a while, and each answer of many workers would cost a look at all of theirs.

        Args:
            ids: of messages without an answer so far.
        """
        now_s = time.monotonic()
        if not self._tells or now_s - self._looked_s >= _LOOK_AT_ALL_S:
            self._looked_s = now_s
            self._came.clear()  # before looking: what comes meanwhile is in it again
            return list(ids)
        came = [one for one in ids if one in self._came]
        self._came.difference_update(came)
        return came

    def wait_for_an_answer(self, timeout_s: float) -> None:
        """Until an answer has come since the last one was waited for, but no longer than `timeout_s`."""
        if self._tells:
            self._answered.wait(timeout_s)
            self._answered.clear()
        else:
            time.sleep(min(timeout_s, _LOOK_S))

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Carry the messages of a simulation of Flower's that is started in this context."""
        engine = known_engine()
        if engine is None:
            yield
            return
        ours: dict[str, Callable[..., None]] = {
            "add_messages_to_queue": self._hand_out,
            "put_message_into_state": self._take_in,
        }
        with first_called(vars(engine), ours):
            self._tells = True
            try:
                yield
            finally:
                self._tells = False

    def _hand_out(self, state: Any, to: Messages, nodes: Mapping[int, int], ends: threading.Event) -> None:
        """Give Flower's workers what was pushed, once it is said that there is something; its state says when."""
        while not ends.is_set():
            for message in _next(self._pushed) or ():
                if message.metadata.dst_node_id in nodes:
                    message.metadata.delivered_at = datetime.now(UTC).isoformat()
                    to.put(message)

    def _take_in(self, state: Any, answers: Messages, ends: threading.Event) -> None:
        """Keep what Flower's workers answer, and say so."""
        while not ends.is_set():
            answer = _next(answers)
            if answer is not None:
                state.store_message_res(answer)
                self._came.add(answer.metadata.reply_to_message_id)
                self._answered.set()
            del answer  # its arrays lie in Ray's memory, which is to be used again


def _next(line: "Queue[_T]") -> _T | None:
    try:
        return line.get(timeout=_END_S)
    except Empty:
        return None
