"""Work in a thread of its own, beside its caller: for what gives back Python's lock, as numpy and hashes do."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(work: Callable[[], T]) -> Future[T]:
    """Begin it; who asks for its result waits for its end, and gets what it raised.

    Args:
        work: of no part that the caller changes meanwhile.
    """
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(work)
    finally:
        thread.shutdown(wait=False)  # it ends with the work
