"""The Flower ServerApp of the project, for `flwr run .`: in Flower's simulation, or under a SuperLink with SuperNodes.

The settings are those of `scripts/simulate.py` under the same names; those that pyproject.toml lists
can be given directly, all of them through a TOML file (absolute paths, since Flower runs the app
elsewhere):

    flwr run . --stream --run-config "rounds=5 cohort.goal=20 output-dir='/tmp/first-run'"
"""

import sys
import threading
from contextlib import closing

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from client_model.quiet import import_tensorflow_quietly
from simulation.audit_trail import recording
from simulation.flags import parse_simulate
from simulation.run.accepted_input import accept_input
from simulation.run.other_runs import require_admission
from simulation.run.sustained import require_phones_enough
from typefleet.errors import TypefleetError

app = ServerApp()


class RunFailedError(Exception):
    """A run that the machine failed; no RuntimeError, which Flower takes for a run that could not start, and hides."""


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the simulation on the grid that Flower provides.

    Raises:
        InputError: as `scripts/simulate.py`; Flower logs it as one line and ends the run as failed.
        RunFailedError: the machine failed, in one line as well; the run can be resumed.
    """
    try:
        with recording("run"):
            _run(grid, [f"--{key}={value}" for key, value in context.run_config.items() if value])
    except TypefleetError as error:
        sys.tracebacklimit = 0  # of this process, which ends with the run: the line says it all
        if isinstance(error, RuntimeError):
            raise RunFailedError(str(error)) from None
        raise error.with_traceback(None) from None


def _run(grid: Grid, argv: list[str]) -> None:
    """What the script does, on a grid that is there already."""
    flags = parse_simulate(argv)
    resume = flags.resume is not None
    accepted = accept_input(flags.run, resume)
    if not resume:
        require_phones_enough(accepted)
        require_admission(accepted)
    import_tensorflow_quietly()
    from client_model.learning.local_training import limit_threads
    from simulation.run.lifecycle import start_run
    from simulation.run.preparation import settle
    from simulation.run.progress import RunProgress
    from simulation.run.rounds_table import write_rounds_table
    from simulation.run.tracking import tracked
    from simulation.runner import run_rounds, write_results

    limit_threads(1)  # as scripts/simulate.py does: the same bits on any number of cores
    rounds = accepted.config.rounds
    run = start_run(settle(accepted), resume, progress=RunProgress(sys.stdout, rounds, 0))
    with closing(run), tracked(run) as tracking:
        with RunProgress(sys.stdout, rounds, run.totals.rounds_completed) as progress:
            run_rounds(run, grid, progress, threading.Event(), tracking=tracking)
        write_rounds_table(run.directory, run.prepared.metrics)
        if run.finished:  # or nobody is left to tell, and it goes on with the resume setting
            write_results(run, tracking, sys.stdout)
