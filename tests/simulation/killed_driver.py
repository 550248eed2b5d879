"""Run scripts/simulate.py and die by SIGKILL at one point of one round.

python -m tests.simulation.killed_driver POINT ROUND [flags of simulate.py]
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

POINTS = (
    "before training",
    "before the ledger",
    "after the ledger",
    "before the line of the round",
    "during the checkpoint",
)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(original: Any, now: Any, after: bool = False) -> Any:
    """`original`, and death before or after it where `now(*arguments)` says so."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        dies = now(*args, **kwargs)
        if dies and not after:
            die()
        result = original(*args, **kwargs)
        if dies:
            die()
        return result

    return wrapped


def arm(point: str, server_round: int) -> None:
    from server_strategy.dp_fedavg import DPFedAvg
    from server_strategy.privacy.ledger import PrivacyLedger
    from simulation import files
    from simulation.run.directory import RunDirectory

    def this_round(_self: Any, number: Any, *_: Any, **__: Any) -> bool:
        return getattr(number, "round", number) == server_round  # a record of the round, or its number

    if point == "before training":
        DPFedAvg.configure_train = dying(DPFedAvg.configure_train, this_round, after=True)
    elif point == "before the ledger":
        PrivacyLedger.record = dying(PrivacyLedger.record, this_round)
    elif point == "after the ledger":
        PrivacyLedger.record = dying(PrivacyLedger.record, this_round, after=True)
    elif point == "before the line of the round":
        RunDirectory.append_round = dying(RunDirectory.append_round, this_round)
    elif point == "during the checkpoint":

        def half_a_file(path: Path, write: Any) -> None:
            if path.name == f"checkpoint-{server_round:06d}.npz":
                (path.parent / f".{path.name}-half").write_bytes(b"PK\x03\x04 the machine was switched off here")
                die()
            original(path, write)

        original, files.write_atomically = files.write_atomically, half_a_file
    else:
        raise ValueError(f"expected one of {POINTS}, found {point}")


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    script = Path(__file__).resolve().parents[2] / "scripts" / "simulate.py"
    sys.argv = [str(script), *sys.argv[3:]]
    runpy.run_path(str(script), run_name="__main__")
