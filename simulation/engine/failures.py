"""How it becomes known that the engine failed."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from typefleet.errors import MachineError, expected


class EngineError(MachineError):
    """The engine could not start or could not finish a round; says why."""


def flower_failed(reason: object) -> str:
    """The message about a simulation engine of Flower's that died."""
    return expected("Flower's simulation engine", "to run on", reason)


def ray_died(what: str) -> EngineError:
    """The error about a Ray that died under a run.

    Args:
        what: of it died, and where its logs are.
    """
    return EngineError(expected("Ray", "to run on", f"it dead: {what} may say why; --resume goes on with the run"))


class FailureWatch(logging.Handler):
    """Notices that Ray or Flower's backend died.

    Flower logs the cause in one thread and leaves the server waiting for answers that will never come; the log is
    the only place where the server can learn of it.
    """

    def __init__(self, what_is_dead: Callable[[], str | None], look_every_s: float = 0.0) -> None:
        """Notice nothing yet.

        Args:
            what_is_dead: says what of Ray's has died, and where its logs are; None if nothing has.
            look_every_s: seconds from one look to the next, at least.
        """
        super().__init__(logging.ERROR)
        self._what_is_dead, self._look_every_s, self._looked_at = what_is_dead, look_every_s, time.monotonic()
        self.error: EngineError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first report of a dead backend."""
        if self.error is None and str(record.msg).startswith("An exception occur"):
            self.error = EngineError(flower_failed(record.getMessage()))

    def check(self) -> None:
        """Raise EngineError if Ray or the backend died."""
        if self.error is not None:
            raise self.error
        if time.monotonic() - self._looked_at >= self._look_every_s:
            self._looked_at = time.monotonic()
            dead = self._what_is_dead()
            if dead is not None:
                self.error = ray_died(dead)
                raise self.error

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
