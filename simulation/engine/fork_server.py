"""A process that has imported what workers need, and is forked for each: TensorFlow is imported once and not by each.

An import of TensorFlow and Flower takes seconds of a processor. So the worker processes of a Ray of our own are forked
from one that has done it, the fork server. Ray's raylet starts a small client (`fork_client`) in the place of a worker;
that hands on to the server what it was given, and the server forks the worker.

The server is itself a fork of the driver where that is safe. What a process has imported is whole in its fork, but
other threads are not, nor what they were about. So the driver imports first, and only then starts Ray, TensorFlow's
threads and its own. From a process that has further threads already, such as a notebook's, the server is started anew,
and imports by itself, once for all workers.

The kernel ends the server with the thread that has started it, and workers with the server. If the server has ended,
workers are started in the ordinary way.
"""

import ctypes
import gc
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from client_model.config import NATIVE, WHICHEVER, WantedKernel
from client_model.quiet import quick_imports, without_tensorflow
from simulation import start_up
from simulation.engine import fork_client
from simulation.engine.ray_folder import RayFolder
from simulation.processes import below, kill
from simulation.signals import ASKING, WATCHER

_SOCKET, LOG, _SPANS = "forks", "fork_server.log", "start_up.jsonl"
_COMMAND = "--python_worker_command="
_NOT_WORKERS_OWN = "--language="  # read by what would start the worker
_MOST_DESCRIPTORS = 253  # in one message, as Linux has it
_MOST_WAITING = 128  # clients
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_CLIENT_S = 5.0  # for what it says at once
_LISTENER = 3  # the server's descriptor of its socket


class ForkServer:
    """One that this process has started, for a Ray that this process will start.

    Args:
        folder: of that Ray; for the server's socket and log, too.
        kernel: that workers train with.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, folder: RayFolder, kernel: WantedKernel = WHICHEVER) -> None:
        self.folder = folder
        self._socket = folder.root / _SOCKET
        start_up.told_in(folder.root / _SPANS)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._socket))
            listener.listen(_MOST_WAITING)
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # those are the driver's, as in `ray_start`
            try:
                self.is_fork = can_be_forked() and not _has_native_threads()
                self.pid = (_fork if self.is_fork else _start)(listener, folder.root, kernel)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def instead_of_workers(self, command: Sequence[str]) -> list[str]:
        """A command that starts a process of Ray's; the raylet's then asks this server for its workers."""
        client = [sys.executable, "-I", "-S", fork_client.__file__, str(self._socket)]
        asks = f"{_COMMAND}{subprocess.list2cmdline(client)} "
        return [asks + word.removeprefix(_COMMAND) if word.startswith(_COMMAND) else word for word in command]

    def processes(self) -> list[int]:
        """Ids of the server and of the workers that it has forked, as far as they still run."""
        return [self.pid, *below(self.pid)]

    def end(self, keep_logs: bool = False) -> None:
        """End it and its workers at once, and remove the folder.

        Args:
            keep_logs: leave the folder, to find out why its Ray failed.
        """
        kill(self.processes())
        with suppress(ChildProcessError):  # somebody else has waited for it
            os.waitpid(self.pid, 0)
        if keep_logs:
            self.folder.keep()
        self.folder.close()


def can_be_forked() -> bool:
    """Whether, as far as Python knows, nothing goes on in this process but this, its main thread.

    The thread that watches signals only waits for them. And Ray must not have been imported: it reads what its raylet
    tells a worker, and draws what the ids of a worker come from, once a process, so that all forks would be one worker.
    """
    main = threading.main_thread()
    others = [one for one in threading.enumerate() if one is not main and one.name != WATCHER]
    return threading.current_thread() is main and not others and "ray" not in sys.modules


def import_early(kernel: WantedKernel) -> None:
    """Import what workers need, in a process that is to be forked; not Ray, see `can_be_forked`.

    Args:
        kernel: that they train with. The native one needs no TensorFlow; of `auto` it is taken that it is the native
            one if that is fast here, and workers that train with TensorFlow all the same import it by themselves.
    """
    with quick_imports():
        import simulation.engine.client_app  # noqa: F401
        from client_model.learning.native.available import is_fast

        if kernel == NATIVE or (kernel == WHICHEVER and is_fast()):
            import client_model.learning.native.trainer
        else:
            import client_model.learning.local_training  # noqa: F401


def _has_native_threads() -> bool:
    """Whether there are threads of native code, which a fork would not have, nor what they hold.

    OpenBLAS, which NumPy brings along, ends its own before a fork, and starts others when they are needed; so they are
    counted after one.
    """
    fork = os.fork()
    if not fork:
        os._exit(0)
    os.waitpid(fork, 0)
    return len(list(Path("/proc/self/task").iterdir())) > threading.active_count()


def _fork(listener: socket.socket, folder: Path, kernel: WantedKernel) -> int:
    """Fork this process; its fork serves."""
    server = os.fork()
    if not server:
        _never_returns(lambda: _serve_as_fork(listener, folder, kernel))
    return server


def _start(listener: socket.socket, folder: Path, kernel: WantedKernel) -> int:
    """Start a new process, which serves."""
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name, str(folder), str(listener.fileno()), str(os.getpid()), kernel],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
        )
    process.returncode = 0  # for Python's part: `ForkServer` waits for it
    return process.pid


def _never_returns(work: Callable[[], object]) -> NoReturn:
    """Do something in a forked process, which nobody else's code goes on in."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001  shown where the process writes
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve_as_fork(listener: socket.socket, folder: Path, kernel: WantedKernel) -> None:
    """In a fork of the driver: keep nothing of the driver's but what it has imported, and serve."""
    driver = os.getppid()
    gc.freeze()  # no object of the driver's is ever collected, which might close a descriptor that is another's by then
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    with Path(os.devnull).open() as nothing, (folder / LOG).open("ab") as log:
        for descriptor, opened in enumerate((nothing, log, log)):
            os.dup2(opened.fileno(), descriptor)
        os.dup2(listener.fileno(), _LISTENER)
    os.closerange(_LISTENER + 1, os.sysconf("SC_OPEN_MAX"))  # locks and pipes that are to end with the driver
    _open_standard_streams()
    serve(_LISTENER, folder, driver, kernel)


def _open_standard_streams() -> None:
    """As they are in a process that has just begun, whatever the driver had in their place."""
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _written(1)
    sys.stderr = _written(2)
    sys.excepthook = sys.__excepthook__


def _written(descriptor: int) -> io.TextIOWrapper:
    return open(descriptor, "w", buffering=1, errors="backslashreplace", closefd=False)


def _end_with(parent: int) -> None:
    """Let the kernel end this process with the one that has started it, in whose place another may be already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def serve(listener: int, folder: Path, driver: int, kernel: WantedKernel) -> NoReturn:
    """Fork a worker for each that asks, until this process is ended.

    Args:
        listener: descriptor of the socket.
        folder: of the Ray.
        driver: the process that has started this one.
        kernel: that workers train with.
    """
    _end_with(driver)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"fork-server")  # in `ps`; a worker is given a name of its own
    start_up.add_to(folder / _SPANS, start_up.FORKS)
    with start_up.span("import", "what workers need"):
        import_early(kernel)
    if _has_native_threads():
        sys.exit("what workers need has threads as soon as it is imported, so they are started and not forked")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets workers that have ended
    gc.freeze()  # no collection of a worker's goes over what all have, which then stays in memory once
    with socket.socket(fileno=listener) as asked:
        while True:
            _serve_one(asked)


def _serve_one(asked: socket.socket) -> None:
    client, _ = asked.accept()
    client.settimeout(_CLIENT_S)
    with client:
        descriptors: list[int] = []
        try:
            wanted = _read(client, descriptors)
            client.sendall(fork_client.READY)
            if client.recv(1) != fork_client.GO:  # it has given up, and becomes the worker itself
                raise TimeoutError
        except (OSError, ValueError, KeyError) as error:
            print(f"a worker was asked for by half: {type(error).__name__}", file=sys.stderr)
            for one in descriptors:
                os.close(one)
            return
        server = os.getpid()
        with start_up.span("start", "forks a worker"):
            if not os.fork():
                asked.close()
                client.close()
                _never_returns(lambda: _work(wanted, descriptors, server))
        for one in descriptors:
            os.close(one)
        with suppress(OSError):  # the client has been ended
            client.sendall(fork_client.ANSWER)


def _read(client: socket.socket, descriptors: list[int]) -> dict[str, Any]:
    """What a client wants; the descriptors that it hands over come into the list, whatever is wrong with the rest."""
    start, given, _, _ = socket.recv_fds(client, 8, _MOST_DESCRIPTORS)
    descriptors += given
    told, length = b"", int.from_bytes(start, "big")
    while len(told) < length and (more := client.recv(length - len(told))):
        told += more
    wanted: dict[str, Any] = json.loads(told)
    return wanted


def _work(wanted: dict[str, Any], descriptors: list[int], server: int) -> None:
    """Be the worker process that somebody wants: Ray's own program, with what a process of its own would have."""
    start_up.in_a_fork()
    _end_with(server)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for place, one in enumerate(descriptors[:3]):
        os.dup2(one, place)
        os.close(one)
    _take_over(wanted["environment"])
    os.chdir(wanted["folder"])
    Path(fork_client.OOM_SCORE).write_text(wanted["oom_score"])
    _, _, program, *flags = wanted["command"]  # Python, and what would set up an environment, come first
    _import_flower()
    np.random.seed()  # noqa: NPY002  Python's own, and OpenSSL's, draw anew after a fork by themselves
    sys.argv = [program, *(one for one in flags if not one.startswith(_NOT_WORKERS_OWN))]
    gc.enable()
    runpy.run_path(program, run_name="__main__")


def _import_flower() -> None:
    """Import Flower's part of a worker, and Ray, but not the TensorFlow that Flower would import along."""
    if "flwr" in sys.modules:
        with quick_imports(), without_tensorflow(), start_up.span("import", "Ray and Flower"):
            import flwr.simulation  # noqa: F401


def _take_over(environment: dict[str, str]) -> None:
    """Change the variables that differ, and no others: Ray finds where a process has its title by the first of them."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


if __name__ == "__main__":
    serve(int(sys.argv[2]), Path(sys.argv[1]), int(sys.argv[3]), cast(WantedKernel, sys.argv[4]))
