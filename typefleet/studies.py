"""The studies from Python: what the study scripts answer, without flags and tables.

from typefleet import studies

studies.plan_privacy(studies.BudgetRequest(epsilon=8.0, cohort=6500, population=5_000_000, rounds=2000))
studies.dry_run(RunConfig(fleet=FleetConfig(size=100_000)), days=7)
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client_model.config import FineTuning
from server_strategy.privacy.budget import Budget, BudgetRequest
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from client_model.tflite.export_tflite import Export
    from simulation.config import RunConfig
    from simulation.studies.comparing.comparison import RunComparison
    from simulation.studies.mechanism_verdicts import Outcome
    from simulation.studies.personalisation import PhoneGroup
    from simulation.studies.sweeps.results import SweepResult
    from simulation.world.availability.model import Habits

__all__ = [
    "Budget",
    "BudgetRequest",
    "FineTuning",
    "compare_mechanisms",
    "compare_runs",
    "dry_run",
    "export",
    "fit_fleet",
    "personalise",
    "plan_privacy",
    "sweep",
]


def plan_privacy(request: BudgetRequest) -> Budget:
    """Fill in what a plan leaves open: noise, rounds or epsilon, as `scripts/privacy_budget.py` does.

    Raises:
        InputError: too little is known, or what is known does not go together.
    """
    from server_strategy.privacy.budget import solve
    from simulation.settings import check_bounds, typed

    if not isinstance(request, BudgetRequest):
        raise ConfigError(expected("request", "a BudgetRequest", type(request).__name__))
    request = typed(request)
    check_bounds(request)
    return solve(request)


def dry_run(config: "RunConfig", days: float, seeds: int = 1) -> dict[str, Any]:
    """Play rounds of a fleet without training, as `scripts/fleet_dry_run.py` does.

    Args:
        config: of the fleet and its cohorts; what only training needs plays no part.
        days: simulated days.
        seeds: fleets, each with a seed of its own, from that of the settings on.

    Returns:
        The summary that the script writes as JSON: who was there, how long rounds took, who was left out; of several
        seeds the interval of each figure, and the summary of each seed.

    Raises:
        InputError: the settings or the files cannot be used.
    """
    from simulation.flags import settled
    from simulation.studies.dry_run import prepare_dry_run, run_days
    from simulation.studies.dry_run_report import dry_run_summary
    from simulation.studies.dry_run_seeds import seeded, summary_of_seeds

    _require_numbers("days", [days])
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(expected("seeds", "a whole number >= 1", repr(seeds)))
    fleets, summaries = seeded(settled(config), seeds), []
    for one in fleets:
        run, cohorts = prepare_dry_run(one)
        run_days(one, run, cohorts, days)
        summaries.append(dry_run_summary(run, one.cohort))
    return summary_of_seeds(summaries, [one.seed for one in fleets])


def _require_numbers(where: str, numbers: Any) -> None:
    """Refuse what is no sequence of finite numbers > 0."""
    is_list = isinstance(numbers, Sequence) and not isinstance(numbers, str)
    if not is_list or not numbers or not all(isinstance(n, int | float) and 0 < n < math.inf for n in numbers):
        raise ConfigError(expected(where, "numbers > 0", repr(list(numbers) if is_list else numbers)))


def fit_fleet(trace: Path | str, say: Callable[[str], None] = lambda _: None) -> "Habits":
    """Settings of the built-in availability that come close to a recorded one, as `scripts/fit_fleet.py` finds them.

    Args:
        trace: intervals, FLASH events or a FedScale file.
        say: told what is being fitted.

    Returns:
        For `FleetConfig(availability_settings=...)`.

    Raises:
        InputError: the trace cannot be used.
    """
    from simulation.studies import fleet_fit
    from simulation.studies.fleet_statistics import look_at_trace
    from simulation.world.traces.reader import read_trace

    return fleet_fit.fit_fleet(look_at_trace(read_trace(Path(trace))), say)


def export(run: Path | str, key: Path | None = None) -> "Export":
    """Write and check all files for phones of a finished run, as `scripts/export_model.py` does.

    Args:
        run: its folder.
        key: an Ed25519 private key in PEM to sign the manifest with.

    Raises:
        InputError: the folder holds no finished run, or the key cannot be used.
        MachineError: a file failed a check; former files stay.
    """
    from simulation.device.export import export_folder

    return export_folder(Path(run), key)


def compare_mechanisms(
    folder: Path | str,
    config: "RunConfig",
    epsilons: Sequence[float],
    say: Callable[[str], None] = lambda _: None,
    seeds: Sequence[int] = (),
) -> "list[Outcome]":
    """Train with each noise mechanism at each epsilon and once without, as `scripts/compare_mechanisms.py` does.

    Args:
        folder: for the runs; those that are there already, whole or in part, are not repeated.
        config: of all runs.
        epsilons: targets, each > 0.
        say: told which run begins.
        seeds: of the runs, each with its own people held out; by default that of the settings.

    Returns:
        What each case reached on average over the seeds, and at what cost; the one without privacy first.

    Raises:
        InputError: an epsilon or a setting cannot be used, or the folder holds a comparison with other settings.
        MachineError: a run failed.
    """
    from simulation.flags import settled
    from simulation.studies.mechanism_comparison import play

    _require_numbers("epsilons", epsilons)
    settled(config)
    outcomes: list[Outcome] = []
    for outcomes in play(Path(folder), config, tuple(epsilons), say, tuple(seeds)):  # noqa: B007  the last has all
        pass
    return outcomes


def compare_runs(
    runs: "Sequence[Path | str]",
    by: Sequence[str] = (),
    *,
    reference: str | None = None,
    output_dir: Path | str | None = None,
    allow_unfinished: bool = False,
    rank_across_deployments: bool = False,
) -> "RunComparison":
    """Compare finished runs, with intervals, as `scripts/compare_runs.py` does.

    Args:
        runs: their folders, each once.
        by: settings such as `privacy.mechanism`; runs with the same values are one group. By default all settings but
            the seed; `["run"]`: every run by itself.
        reference: the group that the others are compared with: its label, or the folder of one of its runs; by default
            the first.
        output_dir: folder for comparison.html, .csv, .parquet and figures; none are written by default.
        allow_unfinished: take runs that were stopped as their last checkpoint has them.
        rank_across_deployments: rank epsilons although they are of different deployments.

    Returns:
        Every figure, interval and difference; `pandas.DataFrame(found.rows)` is the tidy table.

    Raises:
        InputError: a folder holds no finished run, a name is no setting, or the reference is none of the runs.
    """
    from simulation.studies.comparing import comparison
    from simulation.studies.comparing.files import require_folder, write_comparison

    if isinstance(runs, str | Path) or isinstance(by, str):
        where, given = ("runs", runs) if isinstance(runs, str | Path) else ("by", by)
        raise ConfigError(expected(where, "a list", repr(str(given))))
    folders = [Path(run) for run in runs]
    output = None if output_dir is None else Path(output_dir)
    require_folder(output, folders)
    found = comparison.compare_runs(
        folders,
        by,
        reference,
        allow_unfinished=allow_unfinished,
        rank_across_deployments=rank_across_deployments,
    )
    if output is not None:
        write_comparison(found, output)
    return found


def personalise(
    run: Path | str, fine_tuning: FineTuning | None = None, phones: int = 200, most_messages: int = 500
) -> "list[PhoneGroup]":
    """Fine-tune held-out phones with the exported training file, as `scripts/personalise.py` does.

    Args:
        run: folder of a run that was exported with all files.
        fine_tuning: how; by default with the script's settings.
        phones: how many held-out phones at most.
        most_messages: of each phone, its newest ones.

    Returns:
        What phones gained, by how much text they have; all together last.

    Raises:
        InputError: the folder holds no such run, or no phone of it has enough text.
    """
    from client_model.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    from client_model.tflite.personalisation import FEWEST_MESSAGES
    from simulation.studies.personalisation import open_exported_run, play, summarise

    opened = open_exported_run(Path(run))
    played = play(opened, fine_tuning or FineTuning(), phones, most_messages)
    outcomes = [outcome for outcome in played if outcome is not None]
    if not outcomes:
        raise ConfigError(expected(run, f"a held-out phone with {FEWEST_MESSAGES} messages or more", "none"))
    return summarise(outcomes, opened.prepared.metrics)


def sweep(
    study: Path | str,
    folder: Path | str | None = None,
    parallel: int | None = None,
    *,
    retry_failed: bool = False,
) -> "SweepResult":
    """Try the settings that a file describes, each over several seeds, as `scripts/sweep.py` does.

    Args:
        study: TOML file; `configs/studies/mechanism_and_step.toml` is one.
        folder: for the runs and results; one that holds a part of the sweep goes on; by default a new one in runs/.
        parallel: runs at the same time, each with its share of the processors.
        retry_failed: make a further attempt at each trial in the folder that failed.

    Returns:
        What each setting reached, with its interval; what all runs cost in privacy; the choice on people held out.

    Raises:
        InputError: the file or the folder cannot be used.
        MachineError: the machine failed; the sweep can go on.
    """
    from simulation.studies.sweeps.carry_out import carry_out
    from simulation.studies.sweeps.study_file import read_study

    output_dir = None if folder is None else Path(folder)
    return carry_out(read_study(Path(study)), output_dir, parallel, retry_failed=retry_failed)
