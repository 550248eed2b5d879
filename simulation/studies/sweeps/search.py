"""Which setting is tried next: Optuna's samplers and pruners over a study that lies in a file beside its runs."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from client_model.keyed_random import purpose_key
from simulation.studies.sweeps.study_file import Choices, Dimension, Setting, Study
from typefleet.errors import ConfigError, expected, unwritable

P = ParamSpec("P")
T = TypeVar("T")
FILE_NAME = "study.db"
_NAME = "sweep"
_STARTUP = 5  # settings before a pruner, and before the Parzen estimator, has anything to go by
_CAUSE = "cause"
_SEED_BITS = 32


def _alone(method: Callable[P, T]) -> Callable[P, T]:
    """A method of a search that no other thread's runs beside: a trial has its setting before anybody sees it."""

    @wraps(method)
    def called(*arguments: P.args, **named: P.kwargs) -> T:
        search: Any = arguments[0]
        with search._lock:
            return method(*arguments, **named)

    return called


class Search:
    """The trials of a study, done and to come; for several threads.

    What is drawn for a trial depends on its number and on what the trials before it gave, not on when the process was
    started: a sweep that was killed goes on as if it had not been, as long as one trial is made at a time.
    """

    def __init__(self, folder: Path, study: Study) -> None:
        """Open the study in a folder, or begin it.

        Raises:
            ConfigError: the file cannot be written, or is none.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._lock = threading.RLock()
        path = folder / FILE_NAME
        url = sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()
        try:
            storage = optuna.storages.RDBStorage(url)
            self._study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="maximize" if study.options.maximize else "minimize",
                pruner=_pruner(study),
                load_if_exists=True,
            )
        except OSError as error:
            raise ConfigError(unwritable(path, error)) from error
        except (sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
            raise ConfigError(expected(path, "the trials of a sweep", "another file, or a damaged one")) from error
        self._options = study.options
        self._space = {name: _distribution(dimension) for name, dimension in study.search.items()}
        self._grid = study.grid() if study.options.method == "grid" else None

    @property
    def total(self) -> int:
        """Trials that there will be."""
        return self._options.trials if self._grid is None else len(self._grid)

    @_alone
    def unfinished(self) -> list[Trial]:
        """Trials that were begun and neither finished nor failed, in their order."""
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        trials = [Trial(self._study, trial._trial_id) for trial in running]
        for trial in trials:
            self._study.sampler = self._sampler(trial.number)
            for name, distribution in self._space.items():  # a kill may have left it with a part of its setting
                trial._suggest(name, distribution)
        return trials

    @_alone
    def next(self) -> Trial | None:
        """A further trial; None if there are to be no more."""
        trials = self._study.get_trials(deepcopy=False)
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)  # by a kill before it was asked for
        number = len(trials) - waiting
        if number >= self.total:
            return None
        if self._grid is not None and not waiting:
            self._study.enqueue_trial(dict(self._grid[number]))
        self._study.sampler = self._sampler(number)
        return self._study.ask(self._space)

    def _sampler(self, number: int) -> BaseSampler:
        """Keyed by the trial: one that a resumed process makes anew must not draw again what it drew at first."""
        seed = int(purpose_key(0, "sweep", number)) % 2**_SEED_BITS
        if self._options.method == "tpe":
            return TPESampler(n_startup_trials=_STARTUP, seed=seed)
        return RandomSampler(seed=seed)

    @_alone
    def is_hopeless(self, trial: Trial, completed: int, value: float) -> bool:
        """Tell what a trial's first run has reached after so many rounds; whether the pruner would end it."""
        if completed not in self._frozen(trial.number).intermediate_values:
            trial.report(value, completed)
        return bool(trial.should_prune())

    @_alone
    def finished(self, trial: Trial, value: float) -> None:
        """A trial's runs are done."""
        self._study.tell(trial, value)

    @_alone
    def pruned(self, trial: Trial) -> None:
        """A trial has been ended for being worse than others."""
        self._study.tell(trial, state=TrialState.PRUNED)

    @_alone
    def failed(self, trial: Trial, cause: str) -> None:
        """A trial could not be carried out."""
        trial.set_user_attr(_CAUSE, cause)
        self._study.tell(trial, state=TrialState.FAIL)

    @_alone
    def trials(self) -> list[FrozenTrial]:
        """All trials so far, by their number."""
        return self._study.get_trials(deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def setting_of(trial: Trial | FrozenTrial, names: Sequence[str]) -> Setting:
    """What a trial tries, by the names of the settings."""
    params: Mapping[str, Any] = trial.params
    return {name: params[name] for name in names}


def cause_of(trial: FrozenTrial) -> str | None:
    """Why a trial failed; None of one that did not."""
    return trial.user_attrs.get(_CAUSE)


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
    return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log, step=dimension.step)


def _pruner(study: Study) -> BasePruner:
    if study.options.pruner == "median":
        return MedianPruner(n_startup_trials=_STARTUP)
    return SuccessiveHalvingPruner() if study.options.pruner == "halving" else NopPruner()
