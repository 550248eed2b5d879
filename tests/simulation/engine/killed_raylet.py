"""Run what scripts/simulate.py does, and kill Ray's raylet at the next answer after SIGUSR1, while the driver holds it.

python -m tests.simulation.engine.killed_raylet [flags of simulate.py]
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import simulation.early_signals  # noqa: F401  before anything else
from server_strategy import protocol
from simulation.commands.simulate import main
from simulation.flags import run_door
from simulation.processes import below


def kill_raylet_at_an_answer(asked: threading.Event) -> None:
    """Replace what reads answers by what does so after the raylet has ended, once that is asked for."""
    reads = protocol.read_reply

    def read(*of_reply: Any) -> Any:
        if asked.is_set():
            asked.clear()
            (raylet,) = (one for one in below(os.getpid()) if Path(f"/proc/{one}/comm").read_text() == "raylet\n")
            os.kill(raylet, signal.SIGKILL)
            os.waitid(os.P_PID, raylet, os.WEXITED | os.WNOWAIT)  # it is the driver's to be waited for
        return reads(*of_reply)

    protocol.read_reply = read  # type: ignore[attr-defined]


if __name__ == "__main__":
    is_asked = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: is_asked.set())
    kill_raylet_at_an_answer(is_asked)
    sys.exit(run_door(lambda: main(sys.argv[1:])))
