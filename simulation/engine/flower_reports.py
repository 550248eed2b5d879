"""No usage report of Flower's is even made where none is to be sent.

With `FLWR_TELEMETRY_ENABLED=0` Flower sends nothing, but still describes the machine in a thread of its
own: it starts a process (`file`, of the Python interpreter) that can outlive the run, and keeps an id of
the user in the home directory.
"""

import os
from concurrent.futures import Future
from typing import Any

from flwr.common import telemetry


class _Nobody:
    """Takes what is to be done in the background, and leaves it."""

    def submit(self, *_work: Any) -> "Future[str]":
        """A future that is done; what Flower's own answers if it sent nothing."""
        done: Future[str] = Future()
        done.set_result("disabled")
        return done


def make_no_reports() -> None:
    """Have Flower make none in this process, unless the environment asks for them."""
    # Not Flower's own constant: who imported it before this package left that one at its default, which is on.
    if os.environ.get("FLWR_TELEMETRY_ENABLED") != "1":
        telemetry.state["executor"] = _Nobody()  # type: ignore[assignment]
