"""Messages and answers are handed on when they come, and not when somebody looks.

Flower's simulation looks ten times a second at every node for messages to hand out, and whoever pushed them looks for
answers. So workers wait at the beginning of each round, for a twentieth of a second on average, and the looks take a
processor's time from them: at every node, for every message without an answer. `run_simulation` has no argument for
it, so the two functions that carry messages between Flower's state and its workers are replaced by those below, which
are told, in those versions whose code was read. With another version everything is looked for as Flower does.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, Queue
from typing import Any, TypeAlias

from flwr.app import Message

from simulation.engine.flower_threads import first_called, known_engine

_END_S = 0.1  # after which it is noticed that Flower ends
_LOOK_S = 0.02  # from one look to the next, where nobody is told

Messages: TypeAlias = "Queue[Message]"


class Post:
    """Between whoever pushes messages and Flower's workers: each side tells the other."""

    def __init__(self) -> None:
        self._pushed, self._answered = threading.Event(), threading.Event()
        self._tells = False

    def pushed(self) -> None:
        """Say that there are messages to hand out."""
        self._pushed.set()

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
        ours = {"add_messages_to_queue": self._hand_out, "put_message_into_state": self._take_in}
        with first_called(vars(engine), ours):
            self._tells = True
            try:
                yield
            finally:
                self._tells = False

    def _hand_out(self, state: Any, to: Messages, nodes: Mapping[int, int], ends: threading.Event) -> None:
        """Give Flower's workers what was pushed, in the order of the nodes, once it is said that there is something."""
        while not ends.is_set():
            if self._pushed.wait(_END_S):
                self._pushed.clear()  # before looking: what is pushed meanwhile is looked for again
                for node in nodes:
                    for message in state.get_message_ins(node_id=node, limit=None):
                        to.put(message)

    def _take_in(self, state: Any, answers: Messages, ends: threading.Event) -> None:
        """Keep what Flower's workers answer, and say so."""
        while not ends.is_set():
            answer = _next(answers)
            if answer is not None:
                state.store_message_res(answer)
                self._answered.set()
            # Its arrays lie in Ray's memory: whoever gives them back when Ray has died is ended by it on the spot.
            del answer


def _next(answers: Messages) -> Message | None:
    try:
        return answers.get(timeout=_END_S)
    except Empty:
        return None
