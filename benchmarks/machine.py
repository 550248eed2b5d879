"""What a benchmark says of the machine it ran on: what sets its speed, and nothing that tells whose it is."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

_LIBRARIES = ("typefleet", "tensorflow", "numpy", "ray", "flwr", "keras")
_VECTOR_SETS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "asimd", "sve")
BUSY_CORES = 0.5  # of others' work, above which a figure is not the machine's own


def load_at_start() -> float:
    """Processes that were running or wanted to, on average over the last minute."""
    return os.getloadavg()[0]


def cores_of_others(watched_s: float = 0.5) -> float:
    """Cores that are busy while this process only waits."""
    return float(psutil.cpu_percent(watched_s)) / 100 * (psutil.cpu_count() or 1)


def machine_facts(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> dict[str, Any]:
    """Processor, memory and libraries; None for what cannot be read here.

    Args:
        proc, sys: where Linux tells of them.
    """
    told = _first_processor(proc / "cpuinfo")
    cpu = sys / "devices/system/cpu"
    show_config: Any = np.show_config  # whose type says nothing of what it returns
    blas = show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "processor": told.get("model name") or platform.machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "vector_instructions": [name for name in _VECTOR_SETS if name in told.get("flags", "").split()],
        "caches": _caches(cpu / "cpu0/cache"),
        "mhz_at_start": float(told["cpu MHz"]) if "cpu MHz" in told else None,
        "mhz_most": _number(cpu / "cpu0/cpufreq/cpuinfo_max_freq", 1e-3),
        "governor": _word(cpu / "cpu0/cpufreq/scaling_governor"),
        "transparent_huge_pages": _chosen(_word(sys / "kernel/mm/transparent_hugepage/enabled")),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": platform.system(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "blas_of_numpy": f"{blas['name']} {blas['version']}",
    }


def _first_processor(cpuinfo: Path) -> dict[str, str]:
    """What Linux says of the first processor, by name."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _caches(folder: Path) -> dict[str, str]:
    """Sizes of a core's caches, as Linux writes them, by level and kind."""
    sizes = {}
    for cache in sorted(folder.glob("index*")):
        level, kind, size = (_word(cache / name) for name in ("level", "type", "size"))
        if level and kind and size:
            sizes[f"L{level} {kind.lower()}"] = size
    return sizes


def _word(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:  # not there, as in a virtual machine, or not for everybody
        return None


def _number(path: Path, scale: float) -> float | None:
    word = _word(path)
    return None if word is None else scale * float(word)


def _chosen(words: str | None) -> str | None:
    """Of `always [madvise] never`, the one in brackets."""
    return None if words is None else words.partition("[")[2].partition("]")[0] or words


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
