"""The loop of a sweep: trials to hosts, what they reach to the search, until there are no more."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import Trial, TrialState

from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.run.abandoning import given_up
from simulation.run.lock import only_writer
from simulation.run.run_messages import RoundNews, RunFailed, RunRequest
from simulation.studies.sweeps.folder import (
    BASE,
    CHOSEN,
    CONFIRMATION,
    HELD_OUT,
    TRIALS,
    UNCHANGED,
    check_settings,
    is_finished,
    is_of,
    settings_of,
    value_of,
)
from simulation.studies.sweeps.run_host import Channel, LocalChannel, RunHost, all_closed
from simulation.studies.sweeps.search import Search, Tried, setting_of
from simulation.studies.sweeps.study_file import Setting, Study
from typefleet.errors import ConfigError, MachineError, expected

_LOOK_EVERY_S = 0.2


@dataclass
class Progress:
    """What a watcher of the sweep is shown; only the desk changes it."""

    total: int
    running: dict[str, str] = field(default_factory=dict)  # name of a run -> how far it is
    run_seconds: list[float] = field(default_factory=list)  # of runs carried out by this process
    begin_seconds: list[float] = field(default_factory=list)  # from asking for a run to its first round
    confirming: int | None = None  # runs on people held out that are missing; None before any is begun


@dataclass(frozen=True)
class Places:
    """Where runs are carried out."""

    number: int = 1  # of runs at the same time
    workers: int | None = None  # of each; None as the settings have it
    start: Callable[[Path], Channel] = LocalChannel

    def hosts(self, logs: Path) -> list[RunHost]:
        """One for each run at the same time; what they say goes into a folder."""
        return [RunHost(logs / f"{number}.log", self.start) for number in range(self.number)]


class Desk:
    """A sweep in a folder; whatever was finished there stays, and the rest is carried out.

    trials/0003/seed-1   a run directory
    confirmation/        the chosen setting, and the study's own, on people held out; and what was chosen earlier
    settings.toml        of every run
    study.json           what the study asks, so that it can go on as it began
    study.db             Optuna's study
    hosts/               what processes said
    """

    def __init__(self, folder: Path, study: Study, places: Places | None = None, *, retry_failed: bool = False) -> None:
        """Open the folder, or make it.

        Args:
            folder: of the sweep.
            study: what is asked.
            places: where runs are carried out; by default here, one at a time.
            retry_failed: make a further attempt at each trial that failed, from where its runs stopped.

        Raises:
            ConfigError: the folder has another sweep or something else, the settings do not go together, or, for a
                grid, one of its combinations does not; or pruning would depend on which run is faster.
        """
        self.folder, self.study, self._places = folder, study, places or Places()
        if self._places.number > 1 and study.options.pruner != "none":
            found = f"{self._places.number} with pruner = {study.options.pruner!r}, which would end whichever is slower"
            raise ConfigError(expected("--parallel", "1", found))
        check_settings(folder, study)
        self._search = Search(folder, study, self._places.number)
        self.progress = Progress(self._search.total)
        self._ended, self._stop = threading.Condition(), threading.Event()
        self._parsing = threading.Lock()  # flags are made from source text, and Python 3.11 parses one at a time
        self._retry_failed = retry_failed
        self._to_go_on: list[Trial] = []

    def stop(self) -> None:
        """Let every run finish its round, and begin no further one."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to."""
        return self._stop.is_set()

    @property
    def search(self) -> Search:
        """The trials so far."""
        return self._search

    def carry_out(self, watch: Callable[[], None]) -> None:
        """Carry out what is missing; `watch` is called a few times a second meanwhile, in this thread.

        Raises:
            RunInUseError: another process works on the sweep.
            Whatever a thread raised.
        """
        hosts = self._places.hosts(self.folder / "hosts")
        failures: list[BaseException] = []

        def work(host: RunHost) -> None:
            try:
                while (trial := self._next()) is not None:
                    self._carry_out_trial(trial, host)
                    with self._ended:
                        self._ended.notify_all()
            except BaseException as error:  # noqa: BLE001  raised by the caller's thread
                failures.append(error)
                self._stop.set()

        def confirm() -> None:
            try:
                self._confirm(hosts[0])
            except BaseException as error:  # noqa: BLE001  raised by the caller's thread
                failures.append(error)

        with only_writer(self.folder), all_closed(hosts):
            self._to_go_on = self._search.unfinished()
            if self._retry_failed:
                self._to_go_on += self._search.retry_failed()
            self._watched([threading.Thread(target=work, args=(host,), daemon=True) for host in hosts], watch)
            if not failures and not self._stop.is_set():
                self._watched([threading.Thread(target=confirm, daemon=True)], watch)
        watch()
        if failures:
            raise failures[0]

    def _next(self) -> Trial | None:
        """A trial to carry out, waited for while the search needs what others reach; None if there is to be none."""
        with self._ended:
            while not self._stop.is_set():
                if not self._to_go_on:
                    self._to_go_on = self._search.draw()
                if self._to_go_on:
                    return self._to_go_on.pop(0)
                if self._search.all_drawn:
                    return None
                self._ended.wait(_LOOK_EVERY_S)  # not for ever: nobody says that all is to stop
        return None

    def _carry_out_trial(self, trial: Trial, host: RunHost) -> None:
        """All seeds of one setting, unless it fails, is hopeless, or everything is to stop."""
        setting = setting_of(trial, list(self.study.search))
        folder, first = self.folder / TRIALS / f"{self._search.number_of(trial):04d}", True
        try:
            values = []
            for seed in range(self.study.options.seeds):
                hopeless = [False]

                def on_news(news: RoundNews, first: bool = first, hopeless: list[bool] = hopeless) -> bool:
                    value = (news.held_out or {}).get(self.study.options.metric)
                    if first and value is not None:
                        hopeless[0] = self._search.is_hopeless(trial, news.completed, value)
                    return hopeless[0]

                value = self._value(folder / f"seed-{seed}", setting, seed, host=host, on_news=on_news)
                if isinstance(value, RunFailed):
                    self._search.failed(trial, value.cause)
                    return
                if hopeless[0]:
                    given_up(folder / f"seed-{seed}")
                    self._search.pruned(trial)
                    return
                if value is None:
                    return  # stopped: it goes on when the sweep does
                values.append(value)
                first = False
            self._search.finished(trial, sum(values) / len(values))
        except ConfigError as error:
            self._search.failed(trial, str(error))

    def _value(
        self,
        run: Path,
        setting: Setting,
        seed: int,
        *,
        host: RunHost,
        on_news: Callable[[RoundNews], bool],
        **others: str,
    ) -> float | RunFailed | None:
        """What a run reaches, carried out if it is not there; None if it was stopped.

        Raises:
            ConfigError: its settings do not go together, or it has no such metric.
        """
        if not is_finished(run):
            if self._stop.is_set():
                return None
            config = self._settings_beside(run, setting, seed, others)
            name = str(run.relative_to(self.folder))

            def news(message: RoundNews) -> bool:
                self.progress.running[name] = f"round {message.completed}/{config.rounds}"
                return on_news(message) or self._stop.is_set()

            began = time.monotonic()
            self.progress.running[name] = "starting"
            request = RunRequest(
                settings=str(settings_of(run)),
                seed=seed,
                output_dir=str(run),
                going_on=(run / "config.toml").exists(),
            )
            answer = host.carry_out(request, news)
            self.progress.running.pop(name, None)
            if isinstance(answer, RunFailed):
                return None if self._stop.is_set() else answer  # ended by force: it goes on when the sweep does
            self.progress.run_seconds.append(time.monotonic() - began)
            self.progress.begin_seconds.append(answer.begun_after_s)
            if not answer.finished:
                return None
        return value_of(run, self.study.options.metric)

    def _settings_beside(self, run: Path, setting: Setting, seed: int, others: dict[str, str]) -> RunConfig:
        """Write a run's settings as a file beside its folder."""
        given: dict[str, Any] = dict(others)
        if self._places.workers is not None:
            given["engine__workers"] = self._places.workers
        with self._parsing:
            config = self.study.config_of(setting, self.folder / BASE, seed, **given)
        run.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(settings_of(run), to_toml(config))
        return config

    def _confirm(self, host: RunHost) -> None:
        """The chosen setting and the study's own on people held out."""
        best = best_trial(self._search, self.study.options.maximize)
        if not self.study.options.confirm or best is None:
            return
        chosen = setting_of(best, list(self.study.search))
        self._put_aside_unless_of(chosen)
        both, seeds = {CHOSEN: chosen, UNCHANGED: {}}, range(self.study.options.seeds)
        runs = [(self.folder / CONFIRMATION / name / f"seed-{s}", both[name], s) for name in both for s in seeds]
        missing = [one for one in runs if not is_finished(one[0])]
        for number, (run, setting, seed) in enumerate(missing):
            self.progress.confirming = len(missing) - number
            reached = self._value(run, setting, seed, host=host, on_news=lambda _: False, **HELD_OUT)
            if isinstance(reached, RunFailed):
                raise MachineError(expected(run, "a run that ends well", f"one that failed: {reached.cause}"))
            if reached is None:
                return

    def _put_aside_unless_of(self, chosen: Setting) -> None:
        """Keep the confirmation of what was chosen before a trial that had failed did better; its cost counts."""
        folder = self.folder / CONFIRMATION / CHOSEN
        if not is_of(folder, self.study, chosen):
            earlier = sum(1 for _ in folder.parent.glob("earlier-*"))
            folder.rename(folder.with_name(f"earlier-{earlier + 1}"))

    def _watched(self, threads: list[threading.Thread], watch: Callable[[], None]) -> None:
        """Until the threads have ended; if the watcher raises, they begin nothing further."""
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                watch()
                time.sleep(_LOOK_EVERY_S)
        except BaseException:
            self._stop.set()
            raise


def best_trial(search: Search, maximize: bool) -> Tried | None:
    """The finished trial with the best mean; of equal ones the first. None without any."""
    done = {t.number: (t, t.value) for t in search.trials() if t.value is not None and t.state == TrialState.COMPLETE}
    if not done:
        return None
    best, _ = max(done.values(), key=lambda one: (one[1] if maximize else -one[1], -one[0].number))
    return best
