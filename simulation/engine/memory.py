"""The size of a process: measured, and kept flat."""

import ctypes
import resource
import sys
from pathlib import Path

# glibc's malloc.h; it takes no larger limit for blocks that it maps one by one.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_KEPT_BYTES, _KEPT_FREE_BYTES = 32 << 20, 64 << 20


def peak_rss_bytes() -> int:
    """Largest resident size of this process so far.

    Linux: VmHWM, since ru_maxrss starts at the size of the process that started this one.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return peak_rss_of("self") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_rss_of(process: int | str) -> int | None:
    """Bytes: the same of any process, by its number; None where Linux does not say it, as of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_bytes().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(b"VmHWM:")), None)


def reuse_large_blocks() -> None:
    """Let the C library keep large blocks that were freed for the next of their kind, up to a limit.

    Weights and sums of some megabytes come and go with each message. A block that the system has to give anew costs
    a page fault for each 4 kB and a time of writing zeros, more than all that is done with some of them. So freed ones
    stay, 64 MB of them at the end of a heap; and there are two heaps, where glibc would make one for each of many
    threads, whose holes would grow.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
        mallopt(_M_ARENA_MAX, 2)
