"""The size of a process: measured, and kept flat."""

import ctypes
import resource
import sys
from pathlib import Path

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # glibc's malloc.h
_LARGE_BYTES = 1 << 20


def peak_rss_bytes() -> int:
    """Largest resident size of this process so far.

    Linux: VmHWM, since ru_maxrss starts at the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (li for li in status.read_text(encoding="ascii").splitlines() if li.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def return_large_blocks() -> None:
    """Let the C library give every large freed block back to the system at once.

    By default glibc raises its limit for this with the blocks it sees, and keeps a heap for each thread;
    sums of some megabytes that come and go on many threads then leave holes, and a long run grows.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 2)
