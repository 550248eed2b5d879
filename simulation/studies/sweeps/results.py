"""What a sweep found, read from its folder: what each setting reaches, with its interval, and what it all cost."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from client_model.metrics.door import ALWAYS_MEASURED, METRICS
from client_model.metrics.intervals import Interval, difference_over_people, over_people, over_seeds
from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.files import write_atomically, write_text_atomically
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import read_phone_counts
from simulation.studies.sweeps.cost import TuningCost, tuning_cost
from simulation.studies.sweeps.desk import best_trial
from simulation.studies.sweeps.folder import CHOSEN, CONFIRMATION, TRIALS, UNCHANGED, is_finished, is_of, value_of
from simulation.studies.sweeps.search import Search, Tried, setting_of
from simulation.studies.sweeps.study_file import Setting, Study

_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class TrialResult:
    """What one setting reaches."""

    number: int
    state: str
    setting: Setting
    values: Mapping[int, float]  # by seed, of the runs that are finished
    reached: Interval | None  # over the seeds, or over people with one seed; None unless finished
    behind_best: Interval | None  # what the best reaches beyond it, paired; None of the best itself
    epsilon: float | None  # of one run; None without privacy
    wall_seconds: float
    causes: tuple[str, ...] = ()  # why attempts failed, in their order; also those before one that did not

    @property
    def cause(self) -> str | None:
        """Why the last attempt failed; None if it did not."""
        return self.causes[-1] if self.state == "failed" else None


@dataclass(frozen=True)
class Confirmation:
    """The chosen setting and the study's own, measured on people held out."""

    chosen: Interval
    unchanged: Interval
    gain: Interval


@dataclass(frozen=True)
class SweepResult:
    """Everything."""

    metric: Metric
    names: Sequence[str]  # of what is searched over
    trials: Sequence[TrialResult]
    best: int | None  # number of a trial
    cost: TuningCost
    confirmation: Confirmation | None  # None: not asked for, or not whole yet


def metric_of(study: Study) -> Metric:
    """The metric that settings are compared by; one that only the summary has is shown as a plain number."""
    name = study.options.metric
    further = (name,) if name in METRICS.names and name not in ALWAYS_MEASURED else ()
    known = {metric.name: metric for metric in metric_table(further).metrics}
    return known.get(name) or Metric(name, name.replace("_", " "), {}, lambda _: None, unit="number")


def sweep_result(folder: Path, study: Study, search: Search) -> SweepResult:
    """Read what there is so far.

    Args:
        folder: of the sweep.
        study: what it asks.
        search: its trials.
    """
    metric, best = metric_of(study), best_trial(search, study.options.maximize)
    trials = trial_results(folder, study, search)
    return SweepResult(
        metric=metric,
        names=list(study.search),
        trials=trials,
        best=None if best is None else best.number,
        cost=tuning_cost(folder, sum(trial.state != "waiting" for trial in trials), study.options.seeds),
        confirmation=None if best is None else _confirmation(folder / CONFIRMATION, study, metric, best),
    )


def trial_results(folder: Path, study: Study, search: Search) -> list[TrialResult]:
    """What each setting reaches so far, by the number of its trial; arguments as of `sweep_result`."""
    metric, best = metric_of(study), best_trial(search, study.options.maximize)
    trials = search.trials()
    runs = {trial.number: _runs(folder / TRIALS / f"{trial.number:04d}") for trial in trials}
    own = None if best is None else runs[best.number]
    return [_trial(trial, runs[trial.number], own, study, metric) for trial in trials]


def _runs(folder: Path) -> dict[int, Path]:
    """Finished runs by their seed."""
    found = sorted(folder.glob("seed-*/summary.json"))
    return {int(p.parent.name.removeprefix("seed-")): p.parent for p in found if is_finished(p.parent)}


def _trial(
    trial: Tried, runs: Mapping[int, Path], best: Mapping[int, Path] | None, study: Study, metric: Metric
) -> TrialResult:
    state = _STATES[trial.state]
    summaries = [RunDirectory(run).read_summary() for run in runs.values()]
    values = {} if state == "failed" else {seed: value_of(run, metric.name) for seed, run in runs.items()}
    done = state == "finished"
    return TrialResult(
        number=trial.number,
        state=state,
        setting=setting_of(trial, list(study.search)),
        values=values,
        reached=interval_of(runs, metric) if done else None,
        behind_best=difference_of(best, runs, metric) if done and best is not None and best != runs else None,
        epsilon=summaries[0].epsilon if summaries else None,
        wall_seconds=sum(summary.wall_seconds for summary in summaries),
        causes=trial.causes,
    )


def interval_of(runs: Mapping[int, Path], metric: Metric) -> Interval:
    """Of a metric over runs that differ in their seed; over people where there is one."""
    values = [value_of(run, metric.name) for run in runs.values()]
    if len(values) == 1 and metric.counts:
        counted = _all_people(next(iter(runs.values())))
        found = None if counted is None else over_people(metric, counted.counts)
        if found is not None:
            return found
    return over_seeds(values)


def _all_people(run: Path) -> PhoneCounts | None:
    """What was counted on each person that a run was measured on; None where not all need agree to that record."""
    directory = RunDirectory(run)
    if directory.read_summary().consent is not None:
        return None
    return read_phone_counts(directory.held_out_phones)


def difference_of(runs: Mapping[int, Path], reference: Mapping[int, Path], metric: Metric) -> Interval | None:
    """What some runs reach beyond others, paired by seed, or by person where there is one; None without a pair."""
    seeds = sorted(runs.keys() & reference.keys())
    if not seeds:
        return None
    if len(seeds) == 1 and metric.counts:
        own, other = (_all_people(of[seeds[0]]) for of in (runs, reference))
        if own is not None and other is not None and own.phones.tolist() == other.phones.tolist():
            return difference_over_people(metric, own.counts, other.counts)
    return over_seeds([value_of(runs[s], metric.name) - value_of(reference[s], metric.name) for s in seeds])


def _confirmation(folder: Path, study: Study, metric: Metric, best: Tried) -> Confirmation | None:
    chosen, unchanged = _runs(folder / CHOSEN), _runs(folder / UNCHANGED)
    if len(chosen) < study.options.seeds or len(unchanged) < study.options.seeds:
        return None
    if not is_of(folder / CHOSEN, study, setting_of(best, list(study.search))):  # another was the best until a retry
        return None
    gain = difference_of(chosen, unchanged, metric)
    if gain is None:
        return None
    return Confirmation(interval_of(chosen, metric), interval_of(unchanged, metric), gain)


def tidy_rows(result: SweepResult) -> list[dict[str, Any]]:
    """One row per trial and seed, for tables: trial, state, seed, the settings, the metric, epsilon, failures.

    The cause is that of the last attempt that failed, also of a trial that a later attempt finished.
    """
    rows = []
    for trial in result.trials:
        runs: list[tuple[int | None, float | None]] = [*trial.values.items()] or [(None, None)]
        for seed, value in runs:
            own = {"trial": trial.number, "state": trial.state, "seed": seed, **trial.setting}
            ends = {"epsilon": trial.epsilon, "failed_attempts": len(trial.causes), "cause": _last(trial.causes)}
            rows.append({**own, result.metric.name: value, **ends})
    return rows


def _last(causes: Sequence[str]) -> str | None:
    return causes[-1] if causes else None


def write_tables(folder: Path, result: SweepResult) -> None:
    """Write results.csv and results.parquet, one row per run."""
    rows = tidy_rows(result)
    names = list(rows[0]) if rows else []
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(folder / "results.csv", text.getvalue())
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _column([row[name] for row in rows]) for name in names}
    write_atomically(folder / "results.parquet", lambda file: pq.write_table(pa.table(columns), file))


def _column(values: list[Any]) -> Any:
    """Numbers as numbers; texts and numbers mixed as texts."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return pa.array([None if value is None else float(value) for value in values])
    return pa.array(values if len(kinds) < 2 else [None if value is None else str(value) for value in values])


def is_close_to_best(trial: TrialResult) -> bool:
    """Whether no difference from the best is shown."""
    behind = trial.behind_best
    return behind is not None and (not behind.leaves_out_zero or isclose(behind.mean, 0.0))
