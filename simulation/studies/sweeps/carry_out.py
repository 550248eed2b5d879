"""A sweep from its file to its table, tables and figure."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from simulation.engine.clusters import warning_of
from simulation.run.directory import new_name
from simulation.signals import first_signal_finishes
from simulation.studies.account_report import account_lines
from simulation.studies.sweeps.desk import Desk
from simulation.studies.sweeps.display import SweepDisplay, counted, print_cost_of_starting, print_line, print_result
from simulation.studies.sweeps.folder import TRIALS, is_sweep
from simulation.studies.sweeps.places import places_for
from simulation.studies.sweeps.results import SweepResult, sweep_result, write_tables
from simulation.studies.sweeps.study_file import Study
from simulation.subcommands import command
from simulation.tables import console_for
from typefleet.errors import ConfigError, TypefleetError, expected


def carry_out(
    study: Study,
    output_dir: Path | None,
    parallel: int | None = None,
    stream: TextIO = sys.stdout,
    *,
    address: str | None = None,
    retry_failed: bool = False,
) -> SweepResult:
    """Carry out what is missing of a sweep, print what it came to, write results and figure.

    Args:
        study: what is asked.
        output_dir: folder of the sweep; one that holds a part of it goes on; by default a new one in runs/.
        parallel: runs at the same time; by default one here and with a pruner, on a cluster as many as have room.
        stream: where progress and table go.
        address: of a Ray cluster to carry the runs out on, instead of this machine.
        retry_failed: make a further attempt at each trial that failed.

    Raises:
        InputError: the settings, the data or the folder cannot be used.
        MachineError: the machine failed; the sweep can go on.
    """
    if retry_failed and (output_dir is None or not is_sweep(output_dir)):
        found = "none" if output_dir is None else f"none in {output_dir}"
        raise ConfigError(expected("--retry-failed", "--output-dir with a sweep whose trials failed", found))
    if parallel is None and study.options.pruner != "none":
        parallel = 1  # on a cluster too, see `Desk`
    folder = output_dir or new_name("sweep-")  # made once everything is accepted
    if address is not None:
        print_line(console_for(stream), warning_of(address))
    with places_for(study, parallel, address) as places:
        return _carried_out(Desk(folder, study, places, retry_failed=retry_failed), stream)


def _carried_out(desk: Desk, stream: TextIO) -> SweepResult:
    folder, study, console = desk.folder, desk.study, console_for(stream)
    settings, seeds = counted(desk.progress.total, "setting"), counted(study.options.seeds, "seed")
    print_line(console, f"{settings}, {seeds} each, in {folder}")
    with SweepDisplay(stream, desk) as display, _stop_on_interrupt(desk, display):
        try:
            desk.carry_out(display.watch)
        except TypefleetError:
            write_results(folder, study, sweep_result(folder, study, desk.search))  # what there is so far
            raise
    result = sweep_result(folder, study, desk.search)
    files = write_results(folder, study, result)
    print_result(stream, result, files)
    for line in account_lines(study.settings):
        print_line(console, line)
    print_cost_of_starting(console, desk)
    print_line(console, f"its runs beside each other: {command('scripts/compare_runs.py', folder / TRIALS)}/*/seed-*")
    if any(trial.state == "failed" for trial in result.trials):
        print_line(console, f"the same command with --output-dir {folder} --retry-failed tries again what failed")
    if desk.stopped:
        print_line(console, f"stopped; the same command with --output-dir {folder} goes on")
    return result


def write_results(folder: Path, study: Study, result: SweepResult) -> list[Path]:
    """Write results.csv, results.parquet and, once a trial has finished, the figure; gives their paths."""
    write_tables(folder, result)
    files = [folder / "results.csv", folder / "results.parquet"]
    if any(trial.reached is not None for trial in result.trials):
        from simulation.studies.sweeps.figure import plot_sweep  # matplotlib takes a while to import

        files += plot_sweep(folder, study, result)
    return files


def _stop_on_interrupt(desk: Desk, display: SweepDisplay) -> AbstractContextManager[None]:
    """First Ctrl-C, SIGTERM or SIGHUP: runs finish their round, then stop. Second: stop at once."""

    def say() -> None:
        display.say("stopping after the rounds that are under way; press Ctrl-C again to stop at once")

    return first_signal_finishes(desk.stop, lambda: desk.stopped, say)
