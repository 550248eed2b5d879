"""What all runs of a sweep cost in privacy, from their summaries and ledgers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server_strategy.privacy.accounting import epsilon_of_several
from server_strategy.privacy.ledger import LedgerError, recompute, releases_on_record
from server_strategy.privacy.ledger_lines import read_ledger
from server_strategy.privacy.ledger_reading import plan_on_record
from server_strategy.privacy.mechanisms.none import KIND as NO_PRIVACY
from server_strategy.privacy.selection import epsilon_of_the_best_of
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.run.records import Summary
from simulation.studies.sweeps.folder import TRIALS, is_finished
from typefleet.errors import ConfigError


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
    if read_config(run / "config.toml", begun=True).privacy.mechanism == NO_PRIVACY.name:
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
    told = _summary(run) or read_config(run / "config.toml", begun=True).privacy
    return told.noise_source == "seeded"


def _summary(run: Path) -> Summary | None:
    try:
        return RunDirectory(run).read_summary()
    except ConfigError:  # it has none yet
        return None
