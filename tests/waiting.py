"""Waiting for what other processes and threads do, which takes a busy machine as long as it takes."""

import time
from collections.abc import Callable

PATIENCE_S = 600.0  # after which something hangs


def wait_until(holds: Callable[[], object], what: str, *, look_every_s: float = 0.02) -> None:
    """Look at something until it is so.

    Args:
        holds: whether it is.
        what: is waited for, in the words of the failure.
        look_every_s: how often.
    """
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, f"expected {what}, found none of it within {PATIENCE_S:.0f} s"
        time.sleep(look_every_s)
