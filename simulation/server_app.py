"""The Flower ServerApp of the project, for `flwr run .`.

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
from simulation.device.export import export_at_the_end
from simulation.flags import parse_simulate
from simulation.run.central import compare_at_the_end
from simulation.run.lifecycle import start_run
from simulation.run.outcome import finish_run, run_summary
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.report import print_closing_table
from simulation.runner import run_rounds

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the simulation on the grid that Flower provides."""
    argv = [f"--{key}={value}" for key, value in context.run_config.items() if value]
    config = parse_simulate(argv).run
    limit_threads(1)  # as scripts/simulate.py does: the same bits on any number of cores
    with RunProgress(sys.stdout, config.rounds, 0) as progress:
        run = start_run(prepare(config), resume=False, progress=progress)
    with closing(run):
        with RunProgress(sys.stdout, config.rounds, 0) as progress:
            run_rounds(run, grid, progress, threading.Event())
        finish_run(run)
        export = export_at_the_end(run.directory, run.prepared)
        central = compare_at_the_end(run.prepared, run.directory.root, print)
        print_closing_table(
            sys.stdout,
            run_summary(run),
            plan=run.strategy.plan,
            metrics=run.prepared.metrics,
            export=export,
            central=central,
            folder=run.directory.root,
        )
