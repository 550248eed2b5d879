"""The engine: Ray, Flower and the hosts, started once for one run or for several, one after another.

Starting takes seconds, nearly all of them spent on importing libraries, so that is done once, and what can go on while
the driver prepares does:

    this thread     imports what workers need   imports TensorFlow, prepares the run     the rounds
    a fork of it                                is forked for each worker (`fork_server`)
    a thread                                    starts Ray, Flower, and serves messages  until it is let go
    Ray's workers                               open the text                            answer messages

What workers need is Flower and the kernel: TensorFlow only where that is TensorFlow's.

In a process that cannot be forked, Ray starts at once, and the fork server imports for all workers meanwhile.

Only this module may be imported before there is something to run: it imports neither Ray nor Flower by itself.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from client_model.quiet import native_messages_aside, quick_imports, without_tensorflow
from simulation import start_up
from simulation.engine.config import EngineConfig
from simulation.engine.devices import gpu_share, gpus_for, kernel_of_workers
from simulation.engine.failures import EngineError, FailureWatch, flower_failed, ray_died
from simulation.engine.fork_server import ForkServer, can_be_forked, import_early
from simulation.engine.ray_folder import RayFolder
from simulation.signals import is_ending, never_ends_by_itself
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from flwr.serverapp import Grid

    from simulation.engine.flower_on_ray import EngineGrid

T = TypeVar("T")
_POLL_S = 0.1
_MOST_HOSTS = 100  # of a worker: Flower looks at each node
_ASK_CLUSTER_S = 5.0  # between looks at whether it is alive; our own Ray's processes are looked at each time
_GRACE_S = 10.0  # for Flower to end by itself
_GRACE_OF_FAILED_S = 2.0  # for the same, when Ray has died: it may notice
_STOP_S = 10.0  # for Ray to be stopped, which takes less than a second
_NEW_WORKERS_S = 5.0  # for Flower to end once those are gone that it waited for, and others are there
_FORCED_S = 1.0  # for Flower to end once it has no Ray any more


class Engine:
    """Use as a context manager: at its end nothing is left running.

    As `simulation.start` does:

        with Engine(config.engine) as engine:
            engine.start()
            prepared = prepare(config)  # while it starts
            engine.run(lambda grid: run_rounds(run, grid, progress, stop, tracking=tracking))
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._watch = FailureWatch(_what_is_dead, 0.0 if config.address is None else _ASK_CLUSTER_S)
        self._grid: EngineGrid | None = None
        self._forks: ForkServer | None = None  # until Ray is started
        self._began = 0.0
        self._closing = False
        self._may_serve, self._is_ray_up, self._ended = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is KeyboardInterrupt and is_ending() and self.config.address is None:
            self.end_soon()  # the process ends at once, with all that it has started, and its Ray's guard cleans up
        elif kind is KeyboardInterrupt:
            self.close(0.0)
        else:
            self.close(_GRACE_S if self._watch.error is None else _GRACE_OF_FAILED_S)

    def start(self) -> None:
        """Begin to start; returns when this process has imported what it needs, and Ray may still be starting.

        Raises:
            EngineError: there is no cluster to join.
            ConfigError: a worker is to have more nodes than can be of use.
        """
        if self._began:
            return
        if self.config.hosts_per_worker > _MOST_HOSTS:
            found = self.config.hosts_per_worker
            raise ConfigError(expected("--engine.hosts-per-worker", f"at most {_MOST_HOSTS}", found))
        if self.config.address is None and can_be_forked():
            self._forks = self._fork_first()
        with native_messages_aside(), quick_imports(), start_up.span("import", "Ray"):
            # By itself, and before the thread: two threads must not import the parts of one package.
            from simulation.engine import ray_start

            ray_start.require_cluster(self.config)
            self._began = time.monotonic()
            threading.Thread(target=self._live, name="typefleet engine", daemon=True).start()
            with without_tensorflow():  # which Flower's simulation imports along, and Ray's start does not wait for
                from simulation.engine.flower_on_ray import EngineGrid
        self._grid = EngineGrid(self._watch.check)
        self._may_serve.set()

    def _fork_first(self) -> ForkServer | None:
        """Import what workers need, and fork what they are to be forked from, before this process has threads."""
        with native_messages_aside(), start_up.span("import", "what workers need"):
            import_early(kernel_of_workers(self.config))
        with (
            suppress(OSError),
            start_up.span("start", "the fork server"),
        ):  # it is said when Ray is started, which needs the same place
            return ForkServer(RayFolder(), kernel_of_workers(self.config))
        return None

    def run(self, body: Callable[["Grid"], T]) -> T:
        """Call `body` in this thread with a grid whose hosts can be sent messages.

        Raises:
            EngineError: Ray or Flower did not start.
            Whatever `body` raises.
        """
        self.start()
        if self._grid is None or self._closing:
            raise EngineError(expected("the engine", "one that runs", "one that is closed"))
        with start_up.span("wait", "for Ray"):
            self._wait_for_ray()
        with start_up.span("wait", "for Flower"):
            self._grid.wait_until_served()
        with start_up.span("wait", "for the first worker process"):
            self._wait_for_a_worker()
        return body(self._grid)

    def end_soon(self) -> None:
        """Begin to end, while the caller does something else; `close` waits for it."""
        self._closing = True
        if self._grid is not None:
            self._grid.released.set()
        self._may_serve.set()

    def close(self, grace_s: float = _GRACE_S) -> None:
        """End, by force if it takes longer than `grace_s`; afterwards nothing is left running."""
        self.end_soon()
        if not self._began:
            if self._forks is not None:
                self._forks.end()
            return
        from simulation.engine.ray_start import START_TIMEOUT_S, end_workers

        # A Ray that is half up cannot be stopped.
        self._is_ray_up.wait(max(self._began + START_TIMEOUT_S - time.monotonic(), 0.0))
        if not self._ended.wait(grace_s):
            end_workers()  # Flower waits for one that will never answer; a Ray that is stopped under it may crash
            if not self._ended.wait(_NEW_WORKERS_S):
                self._stop_ray()

    def _stop_ray(self) -> None:
        """By force, but not longer than `_STOP_S`: as it is stopped, Ray waits for a raylet or a GCS that hangs."""
        from simulation.engine.ray_start import stop_ray

        stopping = threading.Thread(
            target=stop_ray, args=(self._watch.error is not None,), name="stops Ray", daemon=True
        )
        stopping.start()
        stopping.join(_STOP_S)
        if stopping.is_alive() or not self._ended.wait(_FORCED_S):
            never_ends_by_itself()

    def _live(self) -> None:
        """The life of the engine, in a thread of its own: Ray's processes die with it."""
        try:
            while self._live_once():
                pass
        except RuntimeError as error:
            self._fail(EngineError(flower_failed(error)))
        except BaseException as error:  # noqa: BLE001  shown to whoever uses the engine
            self._fail(EngineError(expected("the engine", "to run on", f"{type(error).__name__}: {error}")))
        finally:
            self._is_ray_up.set()
            self._ended.set()

    def _live_once(self) -> bool:
        """From Ray's start to its end; returns whether to start again, on what is left."""
        from simulation.engine import ray_start

        try:
            forks, self._forks = self._forks, None
            with start_up.span("start", "Ray", start_up.ENGINE):
                workers = ray_start.start_ray(self.config, forked_by=forks)
        except EngineError as error:
            self._fail(error)
            return False
        machines = ray_start.machines_alive()
        self._is_ray_up.set()
        try:
            with start_up.span("wait", "for the driver's imports", start_up.ENGINE):
                self._may_serve.wait()
            grid = self._grid
            if grid is None:
                return False
            grid.machines, grid.start_again, self._watch.error = machines, False, None
            grid.released.clear()
            if self._closing:  # looked at last, since `end_soon` sets it first
                return False
            with self._watch.listening():
                share = gpu_share(workers, gpus_for(self.config))
                grid.serve(workers, self.config.hosts_per_worker, share)
            return grid.start_again
        finally:
            dead = None if self._closing else _what_is_dead()
            if dead is not None:  # which is why Flower ended
                self._watch.error = ray_died(dead)
            ray_start.stop_ray(keep_logs=self._watch.error is not None)

    def _fail(self, error: EngineError) -> None:
        if self._watch.error is None:
            self._watch.error = error

    def _wait_for_ray(self) -> None:
        from simulation.engine.ray_start import START_TIMEOUT_S, start_failed

        while not self._is_ray_up.wait(_POLL_S):
            if time.monotonic() - self._began > START_TIMEOUT_S:
                raise EngineError(start_failed(self.config, f"no answer within {START_TIMEOUT_S:g} s"))
        self._watch.check()

    def _wait_for_a_worker(self) -> None:
        """Ray would start one that cannot run again and again, without a word."""
        from simulation.engine import ray_start

        began = time.monotonic()
        while not ray_start.has_a_worker():
            self._watch.check()
            waited = time.monotonic() - began
            reason = ray_start.last_worker_error() if waited > ray_start.COMPLAINT_S else None
            if reason is None and waited > ray_start.START_TIMEOUT_S:
                reason = f"none within {ray_start.START_TIMEOUT_S:g} s"
            if reason is not None:
                self._fail(EngineError(ray_start.start_failed(self.config, ray_start.worker_complaint(reason))))
            time.sleep(_POLL_S)
        heard = ray_start.heard_beyond_this_machine()
        if heard is not None:
            raise EngineError(expected("Ray", "to listen to this machine only", f"it listening on {heard}"))


def _what_is_dead() -> str | None:
    from simulation.engine.ray_start import what_is_dead

    return what_is_dead()
