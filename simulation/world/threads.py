"""The arithmetic of many phones on several cores: numpy lets other threads run while it computes.

Phones are done a block at a time anyway, so that numbers stay in a core's cache; which thread does a block changes
nothing about it. The threads have ended when a call returns: a process with others could not be forked.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_MOST_THREADS = 8  # between two pieces of arithmetic they take turns, so that more would not help


def in_threads(work: Callable[[A], B], blocks: Sequence[A]) -> list[B]:
    """What `work` gives for each block, in their order.

    Args:
        work: computes with numpy; must not change what others read.
        blocks: each independent of the others.
    """
    threads = min(cores(), len(blocks), _MOST_THREADS)
    if threads < 2:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(threads, thread_name_prefix="typefleet phones") as pool:
        return list(pool.map(work, blocks))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
