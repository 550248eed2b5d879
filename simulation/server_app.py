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

from client_model.learning.local_training import limit_threads
from simulation.flags import parse_simulate
from simulation.run.lifecycle import start_run
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.rounds_table import write_rounds_table
from simulation.run.tracking import tracked
from simulation.runner import run_rounds, write_results
from typefleet.errors import TypefleetError

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the simulation on the grid that Flower provides.

    Raises:
        TypefleetError: as `scripts/simulate.py`; Flower logs it as one line and ends the run as failed.
    """
    try:
        _run(grid, context)
    except TypefleetError as error:
        sys.tracebacklimit = 0  # of this process, which ends with the run: the line says it all
        raise error.with_traceback(None) from None


def _run(grid: Grid, context: Context) -> None:
    argv = [f"--{key}={value}" for key, value in context.run_config.items() if value]
    config = parse_simulate(argv).run
    limit_threads(1)  # as scripts/simulate.py does: the same bits on any number of cores
    run = start_run(prepare(config), resume=False, progress=RunProgress(sys.stdout, config.rounds, 0))
    with closing(run), tracked(run) as tracking:
        with RunProgress(sys.stdout, config.rounds, 0) as progress:
            run_rounds(run, grid, progress, threading.Event(), tracking=tracking)
        write_rounds_table(run.directory, run.prepared.metrics)
        write_results(run, tracking, sys.stdout)
