"""What an exported file takes on a device: milliseconds per key press, and memory.

Run in a process of its own, with nothing but numpy and the interpreter, as `python -P file_probe.py FILE`; it
imports nothing of this project. Prints JSON:

    median_ms, p95_ms   one call of `step` (or `infer`) on one thread, its Python overhead included
    memory_bytes        resident memory that opening the file and running it added; null where it cannot be read
    train_step_ms       median of one call of `train`, a batch of sentences; null where there is none
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

_WARM_UP, _PRESSES, _TRAINING_STEPS = 50, 1000, 5
_DTYPES: dict[str, Any] = {"token": np.int32, "inputs": np.int32, "targets": np.int32}


def resident_bytes() -> int | None:
    """Memory that the process holds now."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = (li for li in status.read_text(encoding="ascii").splitlines() if li.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def inputs_of(runner: Any, fill: int) -> dict[str, Any]:
    """Arrays of the shapes that a signature takes: tokens of one kind, everything else zero."""
    arrays = {}
    for name, detail in runner.get_input_details().items():
        dtype = _DTYPES.get(name, np.float32)
        arrays[name] = np.full(detail["shape"], fill if dtype is np.int32 else 0, dtype)
    return arrays


def call_ms(runner: Any, calls: int) -> list[float]:
    """Milliseconds of each call, tokens changing from call to call; the state is fed back."""
    arrays, taken = inputs_of(runner, 1), []
    logits = runner.get_output_details().get("logits")
    words = 1 if logits is None else int(logits["shape"][-1]) - 1  # <pad> is never read
    for number in range(calls):
        if "token" in arrays:
            arrays["token"][:] = 1 + number % words
        begin = time.perf_counter_ns()
        found = runner(**arrays)
        taken.append((time.perf_counter_ns() - begin) / 1e6)
        arrays.update({name: found[f"{name}_out"] for name in arrays if f"{name}_out" in found})
    return taken


def main(path: str) -> None:
    """Measure and print."""
    before = resident_bytes()
    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    signatures = interpreter.get_signature_list()
    presses = call_ms(
        interpreter.get_signature_runner("step" if "step" in signatures else "infer"), _WARM_UP + _PRESSES
    )
    after = resident_bytes()
    train = None
    if "train" in signatures:
        train = float(np.median(call_ms(interpreter.get_signature_runner("train"), 1 + _TRAINING_STEPS)[1:]))
    found = {
        "median_ms": float(np.median(presses[_WARM_UP:])),
        "p95_ms": float(np.percentile(presses[_WARM_UP:], 95)),
        "memory_bytes": None if before is None or after is None else after - before,
        "train_step_ms": train,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
