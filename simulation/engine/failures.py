"""How it becomes known that the engine failed."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from typefleet.errors import MachineError, expected

_LOOK_S = 5.0  # between looks at whether Ray is alive


class EngineError(MachineError):
    """The engine could not start or could not finish a round; says why."""


def flower_failed(reason: object) -> str:
    """The message about a simulation engine of Flower's that died."""
    return expected("Flower's simulation engine", "to run on", reason)


class FailureWatch(logging.Handler):
    """Notices that Ray or Flower's backend died.

    Flower logs the cause in one thread and leaves the server waiting for answers that will never come; the log is
    the only place where the server can learn of it.
    """

    def __init__(self, is_ray_dead: Callable[[], bool]) -> None:
        super().__init__(logging.ERROR)
        self._is_ray_dead, self._looked_at = is_ray_dead, time.monotonic()
        self.error: EngineError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first report of a dead backend."""
        if self.error is None and str(record.msg).startswith("An exception occur"):
            self.error = EngineError(flower_failed(record.getMessage()))

    def check(self) -> None:
        """Raise EngineError if Ray or the backend died."""
        if self.error is not None:
            raise self.error
        if time.monotonic() - self._looked_at > _LOOK_S:
            self._looked_at = time.monotonic()
            if self._is_ray_dead():
                raise EngineError(
                    expected("Ray", "to run on", "it dead; its logs, in /tmp/ray/session_latest/logs, may say why")
                )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Flower's log for a while: not to the terminal, since errors are raised, once."""
        log = logging.getLogger("flwr")
        handlers, propagates = log.handlers[:], log.propagate
        log.handlers, log.propagate = [self], False
        try:
            yield
        finally:
            log.handlers, log.propagate = handlers, propagates
