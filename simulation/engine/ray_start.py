"""Start a Ray of our own, or join one; and what of Ray's state the engine asks for."""

import concurrent.futures.thread  # noqa: F401 - see below
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import ray

from client_model.config import NATIVE, WantedKernel
from client_model.quiet import KERAS_SWITCH_AS_FOUND, native_messages_aside
from simulation.engine.clusters import check_cluster, loopback_as_given
from simulation.engine.config import EngineConfig
from simulation.engine.devices import gpus_for, kernel_of_workers
from simulation.engine.failures import EngineError
from simulation.engine.fork_server import ForkServer
from simulation.engine.ray_folder import RayFolder
from simulation.processes import below, kill, listeners
from typefleet.errors import expected

# `concurrent.futures.thread` asks to be told of forks when it is imported. Ray forks while TensorFlow is imported in
# another thread: were it first imported there in the middle of a fork, Python would complain on stderr.
START_TIMEOUT_S = 60.0  # of Ray, and of its first worker process; each takes a few seconds on an idle machine
COMPLAINT_S = 20.0  # after which a worker process that did not start is looked for
_MACHINE_LOSS_TIMEOUT_S = 30.0  # Ray takes up to so long to notice that a machine is gone
_POLL_S = 0.2
# The ninth field of /proc/PID/stat, of which two come before; proc(5), include/linux/sched.h.
_FLAGS, _PF_EXITING = 6, 0x4
# The raylet insists on an agent, and ends without it. It gives it a pipe, which ends when the raylet does, however that
# comes; the shell takes the arguments that are added.
_IDLE_AGENT = "sh -c 'exec cat > /dev/null'"
_HANDED_ON = (KERAS_SWITCH_AS_FOUND, "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH")


def start_ray(config: EngineConfig, *, for_hosts: bool = True, forked_by: ForkServer | None = None) -> int:
    """Start a Ray of our own, or join a cluster; returns the number of workers.

    Done here and not left to Flower, so that a failure is seen at once and not after an hour's wait.
    "local" keeps Ray from joining whatever cluster it finds a trace of. The processes of a Ray of our own die with
    the thread that calls this.

    Args:
        config: what is started or joined.
        for_hosts: do the workers of a cluster host phones, so that they import what those need, while they start?
        forked_by: forks the workers of a Ray of our own; by default one is started.

    Raises:
        EngineError: it does not start, cannot be joined, has no processor free, or this process uses one already.
    """
    global _forks
    if ray.is_initialized():  # whoever started it goes on with it
        found = "that this process uses another one; ray.shutdown() ends it"
        raise EngineError(start_failed(config, found))
    settings: dict[str, Any] = {
        "address": config.address,
        "runtime_env": _worker_environment(for_hosts, kernel_of_workers(config)),
    }
    if config.address is None:
        settings = {
            "address": "local",
            "num_cpus": config.workers_here,
            "num_gpus": gpus_for(config),
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # nobody beyond this machine may reach it: Ray runs what it is sent
        }
    try:
        if config.address is None:
            _forks = forked_by or ForkServer(RayFolder(), kernel_of_workers(config))
            settings["_temp_dir"] = str(_forks.folder.of_ray)
        else:
            settings["address"] = check_cluster(config.address, config.trust_network)
        by_name = nullcontext() if config.address is None else loopback_as_given(settings["address"])
        with native_messages_aside(), _without_idle_helpers(), _signals_are_the_drivers(), by_name:
            ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
        if config.address is not None:
            _start_a_worker()
    except EngineError:
        raise  # nothing was started
    except Exception as error:  # of no narrower class, where its raylet ends while it starts
        stop_ray(keep_logs=True)
        raise EngineError(start_failed(config, error)) from error
    return config.workers_here if config.address is None else _cluster_workers(config.address)


def require_cluster(config: EngineConfig) -> None:
    """Refuse an address without a cluster, before anything is made for it; a Ray of our own needs none.

    Raises:
        EngineError: nobody is there, or it leads through a network that is not private.
    """
    if config.address is None:
        return
    try:
        check_cluster(config.address, config.trust_network)
    except (OSError, ValueError) as error:
        raise EngineError(start_failed(config, error)) from error


_forks: ForkServer | None = None  # of the Ray of our own that runs, with its folder


def start_failed(config: EngineConfig, reason: object) -> str:
    """The message about a Ray that did not start, or about a cluster that could not be joined."""
    if config.address is None:
        return expected("Ray", "to start", reason)
    return expected(f"--engine.address {config.address}", "a cluster that can be joined", reason)


def _worker_environment(for_hosts: bool, kernel: WantedKernel) -> dict[str, Any]:
    """What a worker process on another machine finds: our switches, our modules, and what hosts need imported early.

    Those of a Ray of our own inherit the switches, `quick_imports` among them if it was on when Ray was started, find
    the modules where the driver does, and begin a second sooner without an environment to be set up.
    """
    variables = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    variables["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    first = "import_without_tensorflow" if kernel == NATIVE else "import_early"
    hook = {"worker_process_setup_hook": f"simulation.engine.worker_start.{first}"} if for_hosts else {}
    return {"env_vars": variables, **hook}


@contextmanager
def _without_idle_helpers() -> Iterator[None]:
    """Let Ray start only what somebody uses.

    Not an autoscaler, for a cluster that cannot grow; not a reader of logs that nobody is shown; not the server of the
    dashboard that is not there, for which Ray would wait; not the agent of that dashboard on this machine, nor the one
    that makes environments for workers, of which a Ray of our own makes none. Each takes the time of a processor while
    everything starts, memory and a port. And not the thread that prints what Ray thinks of its own death, which is
    raised. `ray.init` has no argument for any of them.
    """
    private: Any = ray._private
    worker, prints_errors = private.worker, private.worker.listen_error_messages
    parameters, node = private.parameter, private.node.Node
    all_of_them, with_server = parameters.RayParams, node.start_api_server
    services, start_process = private.services, private.services.start_ray_process
    services.start_ray_process = lambda command, *told, **how: start_process(_as_we_want(command), *told, **how)
    parameters.RayParams = partial(all_of_them, no_monitor=True, include_log_monitor=False)
    node.start_api_server = worker.listen_error_messages = lambda *_, **__: None
    try:
        yield
    finally:
        worker.listen_error_messages = prints_errors
        parameters.RayParams = all_of_them
        node.start_api_server = with_server
        services.start_ray_process = start_process


def _as_we_want(command: Sequence[str]) -> list[str]:
    """A command that starts a process of Ray's: its agents are something that does nothing, its workers are forked."""
    agents = ("--dashboard_agent_command", "--runtime_env_agent_command")
    if _forks is not None:
        command = _forks.instead_of_workers(command)
    return [f"{name}={_IDLE_AGENT}" if (name := word.partition("=")[0]) in agents else word for word in command]


@contextmanager
def _signals_are_the_drivers() -> Iterator[None]:
    """What asks a run to end is for the driver alone, though a terminal tells all of its processes.

    Those of Ray's inherit what is blocked here, in the thread that starts them. Else a terminal that goes away would
    end them at once, and the driver could not finish its round. And Ray puts a handler of its own on SIGTERM, which
    prints a native stack and ends the process, so the driver's is put back.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    libc, kept, done = ctypes.CDLL(None), ctypes.create_string_buffer(512), threading.Event()
    libc.sigaction(signal.SIGTERM, None, kept)

    def put_back() -> None:
        while not done.wait(0.005):
            libc.sigaction(signal.SIGTERM, kept, None)

    keeper = threading.Thread(target=put_back, name="SIGTERM", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        libc.sigaction(signal.SIGTERM, kept, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _start_a_worker() -> None:
    """One worker process of a cluster, at once: Ray would start one that cannot run again and again, without a word.

    Raises:
        TimeoutError: none came up.
    """
    hello = ray.remote(num_cpus=0)(lambda: True)  # a lambda, so that the worker imports nothing of ours
    try:
        ray.get(hello.remote(), timeout=START_TIMEOUT_S)
    except ray.exceptions.RayError as error:
        said = last_worker_error() or str(error).splitlines()[0]
        raise TimeoutError(worker_complaint(said)) from error


def has_a_worker() -> bool:
    """Whether a worker process of a Ray of our own has come up."""
    known: Any = ray._private.state
    try:
        return bool(known.workers())
    except ray.exceptions.RaySystemError:  # Flower, whose backend died, has stopped it
        return False


def session_folder() -> Path:
    """Where the Ray that this process uses keeps its logs and sockets."""
    node: Any = ray._private.worker._global_node
    return Path(node.get_session_dir_path())


def _logs() -> Path:
    return session_folder() / "logs"


def last_worker_error() -> str | None:
    """The last line of Ray's logs in which a process names an error."""
    said = [line for log in sorted(_logs().glob("*.err")) for line in log.read_text(errors="replace").splitlines()]
    return next((line.strip() for line in reversed(said) if "Error" in line), None)


def where_logs_are() -> str:
    """Where Ray writes, for a message."""
    return str(_logs())


def worker_complaint(reason: str) -> str:
    """That worker processes do not start, why, and where to read more."""
    return f"worker processes that do not: {reason}; all of it is in {where_logs_are()}"


def _cluster_workers(address: str) -> int:
    """One worker a processor of the cluster; they must be free, or workers would wait for ever."""
    total, free = (int(resources.get("CPU", 0)) for resources in (ray.cluster_resources(), ray.available_resources()))
    give_up = time.monotonic() + _MACHINE_LOSS_TIMEOUT_S  # those of a run that has just ended are soon free
    while free < total and time.monotonic() < give_up:
        time.sleep(_POLL_S)
        total, free = (int(r.get("CPU", 0)) for r in (ray.cluster_resources(), ray.available_resources()))
    if total < 1 or free < total:
        ray.shutdown()
        raise EngineError(
            expected(f"--engine.address {address}", "a cluster with all its CPUs free", f"{free} of {total}")
        )
    return total


def ray_is_up() -> bool:
    """Whether this process uses a Ray that it can ask."""
    return bool(ray.is_initialized())


def machines_alive() -> int:
    """Machines that Ray knows to be alive."""
    return sum(bool(node["Alive"]) for node in ray.nodes())


def what_is_dead() -> str | None:
    """What of Ray's has died, and where its logs are; None if nothing has, or while it is being started or stopped."""
    if not ray_is_up():
        return None
    own, died = _own_processes(), own_that_died()
    if not died and (own or machines_alive()):
        return None
    return f"{f'its {died[0]} has ended' if died else 'no machine is left'}; the logs in {where_logs_are()}"


def own_that_died() -> list[str]:
    """Names of the processes of a Ray of our own that have ended, or are being ended by the kernel."""
    return [name for name, process in _own_processes().items() if process.poll() is not None or _ends(process.pid)]


def _ends(process: int) -> bool:
    """Whether the kernel is at ending a process: it may take milliseconds, and closes what it had open before."""
    try:
        after_its_name = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:  # no descriptor is free, say, of which nothing follows for the process
        return False
    return bool(int(after_its_name[_FLAGS]) & _PF_EXITING)


def _own_processes() -> dict[str, Any]:
    """The processes of a Ray of our own that this one has started, by their names; empty in a cluster."""
    node: Any = ray._private.worker._global_node
    started = {} if node is None else node.all_processes
    return {str(name): info.process for name, infos in list(started.items()) for info in infos}


def heard_beyond_this_machine() -> str | None:
    """Where a Ray of our own can be reached from another machine, which it must not be: it runs what it is sent."""
    own = [one for process in _own_processes().values() for one in (process.pid, *below(process.pid))]
    own += [] if _forks is None else _forks.processes()
    return next((f"{one.address}:{one.port}" for one in listeners(own) if not one.is_local), None)


def wait_for_machine_loss(before: int) -> None:
    """Until Ray knows that a machine is gone; else its processors would be counted on again."""
    give_up = time.monotonic() + _MACHINE_LOSS_TIMEOUT_S
    while machines_alive() >= before and time.monotonic() < give_up:
        time.sleep(_POLL_S)


def end_workers() -> None:
    """End the workers that were forked: who waits for one that hangs hears of it, and Ray can be stopped then."""
    if (forks := _forks) is not None:  # which another thread may be letting go of
        kill(below(forks.pid))  # and not the server: Ray starts others at once, and Flower bids those farewell


def stop_ray(keep_logs: bool = False) -> None:
    """Stop a Ray of our own, or leave the cluster; nothing if neither is there.

    Args:
        keep_logs: leave the folder of a Ray of our own, to find out why it failed.
    """
    global _forks
    node: Any = ray._private.worker._global_node
    if _own_processes():
        # They hold nothing that is needed, and to ask them to end takes seconds.
        node.kill_all_processes = partial(_kill_all, _own_processes(), node.kill_all_processes)
    ray.shutdown()
    forks, _forks = _forks, None
    if forks is not None:
        forks.end(keep_logs)


def _kill_all(own: dict[str, Any], kill_all_processes: Callable[..., None], **_: Any) -> None:
    """End a Ray of our own, and what it has started, at once.

    Args:
        own: its processes.
        kill_all_processes: Ray's own way to end them.
    """
    for process in own.values():
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)  # else it might start another worker meanwhile
    started = [one for process in own.values() for one in below(process.pid)]
    kill_all_processes(check_alive=False, allow_graceful=False)
    kill(started)
