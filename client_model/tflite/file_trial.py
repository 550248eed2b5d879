"""Opens a model file and calls each of its signatures once.

Run in a process of its own, with nothing but numpy and the interpreter, as `python -P file_trial.py`; it imports
nothing of this project, and reads the file from standard input. The interpreter checks the structure of a file and
not all of its meaning: one that was made to, ends the process. Prints JSON: for each signature, by name, its inputs
and its outputs, each with `shape` and `dtype`.
"""

import json
import resource
import sys
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

_MOST_MEMORY_BYTES = 8 << 30  # of addresses, most of which are never touched
_MOST_CPU_S = 60


def stand_in(name: str, detail: dict[str, Any]) -> Any:
    """Something that the input takes: the number of a token or a length where it is whole numbers, else zeros."""
    return np.full(detail["shape"], 1 if detail["dtype"] is np.int32 else 0, detail["dtype"])


def described(arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Shape and type of each."""
    return {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in arrays.items()}


def main() -> None:
    """Try and print."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    interpreter = Interpreter(model_content=sys.stdin.buffer.read(), num_threads=1)
    interpreter.allocate_tensors()
    found = {}
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        inputs = {one: stand_in(one, detail) for one, detail in runner.get_input_details().items()}
        found[name] = {"inputs": described(inputs), "outputs": described(runner(**inputs))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
