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
from server_strategy.privacy.accounting import epsilon_of_several
from server_strategy.privacy.ledger import LedgerError, recompute, releases_on_record
from server_strategy.privacy.ledger_lines import read_ledger
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from server_strategy.privacy.selection import epsilon_of_the_best_of
from simulation.files import write_atomically, write_text_atomically
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.run.held_out_phones import read_phone_counts
from simulation.run.records import Summary
from simulation.studies.sweeps.desk import (
    CHOSEN,
    CONFIRMATION,
    TRIALS,
    UNCHANGED,
    best_trial,
    is_finished,
    is_of,
    value_of,
)
from simulation.studies.sweeps.search import Search, Tried, setting_of
from simulation.studies.sweeps.study_file import Setting, Study
from typefleet.errors import ConfigError

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
class TuningCost:
    """What all runs of a sweep spend together, and what choosing the best of them would cost if drawn at random."""

    runs: int
    without_privacy: int  # of them
    rho: float | None  # of all of them together, by composition; None if any had no privacy, or of unlike deployments
    epsilon: float | None
    delta: float | None
    epsilon_of_chosen: float | None  # if the number of settings had been drawn, see `epsilon_of_the_best_of`
    epsilon_is_of: str | None
    why_not: str | None  # there is no epsilon
    noise_repeats: bool = False  # in runs of one seed, since their noise is seeded


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
        found = over_people(metric, read_phone_counts(RunDirectory(next(iter(runs.values()))).held_out_phones).counts)
        if found is not None:
            return found
    return over_seeds(values)


def difference_of(runs: Mapping[int, Path], reference: Mapping[int, Path], metric: Metric) -> Interval | None:
    """What some runs reach beyond others, paired by seed, or by person where there is one; None without a pair."""
    seeds = sorted(runs.keys() & reference.keys())
    if not seeds:
        return None
    if len(seeds) == 1 and metric.counts:
        own, other = (read_phone_counts(RunDirectory(of[seeds[0]]).held_out_phones) for of in (runs, reference))
        if own.phones.tolist() == other.phones.tolist():
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


def tuning_cost(folder: Path, settings: int, seeds: int) -> TuningCost:
    """What every run in a sweep's folder has spent, unfinished ones too, from their ledgers.

    Args:
        folder: of the sweep.
        settings: that were tried, whatever became of them.
        seeds: runs of each setting that was tried to its end.
    """
    spent, without, deployments = [], 0, set()
    chosen: list[float] = []
    of_words = 0.0  # that in any run a word of one phone alone enters its vocabulary
    why = None
    for config in sorted(folder.glob("*/*/seed-*/config.toml")):
        run = config.parent
        try:
            found, is_of = _spent(run)
            of_words += _delta_of_words(run)
        except LedgerError as error:
            why = str(error)
            continue
        if found is None:
            without += 1
            continue
        spent.append(found)
        if is_of is not None:
            deployments.add((found["delta"], is_of))
        if run.parent.parent.name == TRIALS:
            chosen.append(found["zcdp_rho"])
    runs = len(spent) + without
    if why is not None:
        pass
    elif not deployments and not without:
        why = "no run has finished"
    elif without:
        why = f"{without} of {runs} runs had no privacy"
    elif len(deployments) > 1:
        why = "the runs are of different deployments"
    if why is not None:
        return _no_cost(runs, without, why)
    ((delta, is_of),) = deployments
    # What an unfinished run has spent is of the same deployment: all have the study's settings.
    rho = sum(one["zcdp_rho"] for one in spent)
    best = epsilon_of_the_best_of(max(chosen) * seeds, settings, delta) if chosen and settings > 1 else None
    return TuningCost(
        runs=runs,
        without_privacy=0,
        rho=rho,
        epsilon=epsilon_of_several(rho, delta),
        delta=delta + of_words,  # a tenth of delta for each run, so there may be more of it than of delta
        epsilon_of_chosen=best,
        epsilon_is_of=is_of,
        why_not=None,
        noise_repeats=any(_is_seeded(config.parent) for config in folder.glob("*/*/seed-*/config.toml")),
    )


def _no_cost(runs: int, without_privacy: int, why: str) -> TuningCost:
    return TuningCost(
        runs=runs,
        without_privacy=without_privacy,
        rho=None,
        epsilon=None,
        delta=None,
        epsilon_of_chosen=None,
        epsilon_is_of=None,
        why_not=why,
    )


def _spent(run: Path) -> tuple[dict[str, Any] | None, str | None]:
    """What a run has spent, and whose epsilon that is; of an unfinished one all that its ledger records, of nobody."""
    summary = _summary(run)
    if summary is not None and is_finished(run):
        if summary.epsilon is None:
            return None, None
        return {"zcdp_rho": summary.zcdp_rho, "delta": summary.delta}, summary.epsilon_is_of
    if read_config(run / "config.toml").privacy.mechanism == NO_PRIVACY.name:
        return None, None
    ledger = run / "privacy_ledger.jsonl"
    if not ledger.exists() or not ledger.stat().st_size:
        return {"zcdp_rho": 0.0, "delta": None}, None  # nothing was released before it
    releases, _ = releases_on_record(ledger)
    return recompute(ledger, releases), None


def _delta_of_words(run: Path) -> float:
    """What a run's private vocabulary takes of delta."""
    ledger = run / "privacy_ledger.jsonl"
    if not ledger.exists() or not ledger.stat().st_size:
        return 0.0
    vocabulary = plan_on_record(ledger, read_ledger(ledger)[0], None).vocabulary
    return 0.0 if vocabulary is None else vocabulary.delta


def _is_seeded(run: Path) -> bool:
    summary = _summary(run)
    source = read_config(run / "config.toml").privacy.noise_source if summary is None else summary.noise_source
    return source == "seeded"


def _summary(run: Path) -> Summary | None:
    try:
        return RunDirectory(run).read_summary()
    except ConfigError:  # it has none yet
        return None


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
