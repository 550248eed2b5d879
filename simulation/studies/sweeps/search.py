"""Which setting is tried next: Optuna's samplers and pruners over a study that lies in a file beside its runs."""

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from client_model.keyed_random import purpose_key
from simulation.studies.sweeps.study_file import Choices, Dimension, Setting, Study
from typefleet.errors import ConfigError, expected, unwritable
from typefleet.private_files import open_private

P = ParamSpec("P")
T = TypeVar("T")
FILE_NAME = "study.db"
_NAME = "sweep"
_STARTUP = 5  # settings before a pruner, and before the Parzen estimator, has anything to go by
_CAUSE, _ANEW = "cause", "attempt_of"
_SEED_BITS = 32


@dataclass(frozen=True)
class Tried:
    """A trial as it stands: one setting, and the attempts at carrying it out."""

    number: int  # of the trial; an attempt more has the number of the first
    state: TrialState  # of the last attempt
    value: float | None  # likewise
    params: Mapping[str, Any]
    causes: tuple[str, ...]  # of the attempts that failed, in their order


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
    started: a sweep that was killed goes on as if it had not been. With several trials at the same time tpe draws them
    in batches of as many, each once all before it have ended, so that it does not matter in which order they end. The
    trials of a batch know of each other's settings by the constant liar (Ginsbourger, Le Riche and Carraro, Kriging is
    well-suited to parallelize optimization, 2010, section 4.2), which takes each for one that does badly.
    """

    def __init__(self, folder: Path, study: Study, at_once: int = 1) -> None:
        """Open the study in a folder, or begin it.

        Args:
            folder: of the sweep.
            study: what is asked.
            at_once: trials that are carried out at the same time.

        Raises:
            ConfigError: the file cannot be written, or is none.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._lock = threading.RLock()
        path = folder / FILE_NAME
        url = sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()
        try:
            open_private(path, "ab").close()  # what it makes beside it has the same mode
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
        self._options, self._at_once = study.options, at_once
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
            self._study.sampler = self._sampler(self.number_of(trial))
            for name, distribution in self._space.items():  # a kill may have left it with a part of its setting
                trial._suggest(name, distribution)
        if trials and self._in_batches:  # or a batch with a part of its trials, which is drawn whole before any ends
            trials += self._rest_of_a_batch(at_a_bound=0)
        return trials

    @_alone
    def draw(self) -> list[Trial]:
        """Trials that can be begun now: none if there are to be no more, or if others have to end first."""
        if not self._in_batches:
            trial = self.next()
            return [] if trial is None else [trial]
        if self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            return []
        return self._rest_of_a_batch(at_a_bound=self._at_once)

    @property
    def _in_batches(self) -> bool:
        """Whether what is drawn depends on what was reached before: then several trials are drawn together."""
        return self._options.method == "tpe"

    def _rest_of_a_batch(self, at_a_bound: int) -> list[Trial]:
        begun = self._begun % self._at_once
        drawn = (self.next() for _ in range(self._at_once - begun if begun else at_a_bound))
        return [trial for trial in drawn if trial is not None]

    @property
    @_alone
    def all_drawn(self) -> bool:
        """Whether there are to be no more trials."""
        return self._begun >= self.total

    @property
    def _begun(self) -> int:
        """Trials that were asked for; one that waits was left so by a kill."""
        trials = self._study.get_trials(deepcopy=False)
        return sum(_is_first(trial) and trial.state != TrialState.WAITING for trial in trials)

    @_alone
    def next(self) -> Trial | None:
        """A further trial; None if there are to be no more."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        number = self._begun
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
            with warnings.catch_warnings():  # of the constant liar, which may change with Optuna
                warnings.simplefilter("ignore", ExperimentalWarning)
                return TPESampler(n_startup_trials=_STARTUP, seed=seed, constant_liar=self._at_once > 1)
        return RandomSampler(seed=seed)

    @_alone
    def retry_failed(self) -> list[Trial]:
        """A further attempt at each trial whose last one failed, in their order; what the failed one said is kept."""
        failed = [one for one in self.trials() if one.state == TrialState.FAIL]
        for one in failed:
            anew = create_trial(
                state=TrialState.RUNNING,
                params=dict(one.params),
                distributions=dict(self._space),
                user_attrs={_ANEW: one.number},
            )
            self._study.add_trial(anew)
        further = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))[-len(failed) :] if failed else []
        return [Trial(self._study, trial._trial_id) for trial in further]

    @_alone
    def is_hopeless(self, trial: Trial, completed: int, value: float) -> bool:
        """Tell what a trial's first run has reached after so many rounds; whether the pruner would end it."""
        if completed not in self._study.get_trials(deepcopy=False)[trial.number].intermediate_values:
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
    def trials(self) -> list[Tried]:
        """All trials so far, by their number, each as its last attempt left it."""
        attempts: dict[int, list[FrozenTrial]] = {}
        first = 0
        for trial in self._study.get_trials(deepcopy=False):
            number = trial.user_attrs.get(_ANEW, first)
            first += _is_first(trial)
            attempts.setdefault(number, []).append(trial)
        return [_tried(number, all_of_it) for number, all_of_it in sorted(attempts.items())]

    @_alone
    def number_of(self, trial: Trial) -> int:
        """The number of a trial among all, to which an attempt more adds none."""
        before = self._study.get_trials(deepcopy=False)[: trial.number]
        found: int = trial.user_attrs.get(_ANEW, sum(map(_is_first, before)))
        return found


def _is_first(trial: FrozenTrial) -> bool:
    """Not an attempt more at a trial that failed."""
    return _ANEW not in trial.user_attrs


def _tried(number: int, attempts: Sequence[FrozenTrial]) -> Tried:
    last = attempts[-1]
    causes = tuple(one.user_attrs[_CAUSE] for one in attempts if _CAUSE in one.user_attrs)
    return Tried(number, last.state, last.value, last.params, causes)


def setting_of(trial: Trial | Tried, names: Sequence[str]) -> Setting:
    """What a trial tries, by the names of the settings."""
    params: Mapping[str, Any] = trial.params
    return {name: params[name] for name in names}


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
