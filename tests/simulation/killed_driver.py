"""Run what scripts/simulate.py does, without Ray, and die by SIGKILL at one point of one round.

python -m tests.simulation.killed_driver POINT ROUND [flags of simulate.py]

python -m tests.simulation.killed_driver all RUN_DIR [flags of simulate.py]
    a run that dies at all points, one after another, and is resumed each time, in a process forked for each life, so
    that libraries are imported once; prints the lines of the ledger after each death
"""

import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

POINTS = {  # and the round
    "before training": 1,
    "before the ledger": 1,
    "after the ledger": 1,
    "before the line of the round": 2,
    "during the checkpoint": 3,
}

IN_THE_STEPS = "before unmasking"  # of a run with masks: its vectors are there, and nothing of their sum is known


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
    elif point == IN_THE_STEPS:
        from server_strategy.secagg_rounds import SecAgg

        def unmasking(aggregator: Any, *_: Any) -> bool:
            return bool(aggregator._last_round == server_round)

        SecAgg._unmask = dying(SecAgg._unmask, unmasking)
    elif point == "during the checkpoint":

        def half_a_file(path: Path, write: Any, **how: Any) -> None:
            if path.name == f"checkpoint-{server_round:06d}.npz":
                (path.parent / f".{path.name}-0123abcd").write_bytes(b"PK\x03\x04 the machine was switched off here")
                die()
            original(path, write, **how)

        original, files.write_atomically = files.write_atomically, half_a_file
    else:
        raise ValueError(f"expected one of {(*POINTS, IN_THE_STEPS)}, found {point}")


def die_everywhere(folder: Path, flags: list[str]) -> None:
    import simulation.runner  # noqa: F401  so that no life imports it again
    from tests.simulation.engine_in_process import simulate

    flags = [*flags, "--output-dir", str(folder)]
    for point, server_round in POINTS.items():
        life = os.fork()
        if not life:
            arm(point, server_round)
            with redirect_stdout(sys.stderr):  # what this prints is read
                simulate(flags)
            os._exit(0)
        _, status = os.waitpid(life, 0)
        ledger = folder / "privacy_ledger.jsonl"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        print(point, -os.waitstatus_to_exitcode(status), len(lines[1:]), flush=True)  # the first line is the plan
        flags = ["--resume", str(folder)]


if __name__ == "__main__":
    if sys.argv[1] == "all":
        die_everywhere(Path(sys.argv[2]), sys.argv[3:])
        sys.exit()
    from tests.simulation.engine_in_process import simulate

    arm(sys.argv[1], int(sys.argv[2]))
    simulate(sys.argv[3:])
