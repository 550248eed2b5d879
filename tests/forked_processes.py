"""Processes for tests, forked from one that has imported everything: a start takes milliseconds instead of seconds.

They are processes like any other, with an id, arguments, an environment, a working directory, streams and a session of
their own, which can be signalled and killed; what they run is the file, module or text itself, as `__main__`. Only
their imports were made before, once. So how a program starts is tested with processes that begin from nothing.

A process of pytest has one such server, started when it is first needed, which ends with it. The server uses neither
TensorFlow nor Ray, so that it has one thread. It forks a keeper for each process, its parent, which says how it ended.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import types
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from typefleet import doors

ROOT = Path(__file__).parent.parent
_IMPORTED = (  # and with them what they import only when they are used; not Ray, see `fork_server.can_be_forked`
    *("simulation.engine.client_app", "simulation.run.preparation", "simulation.run.central", "simulation.start"),
    *("simulation.report.at_the_end", "simulation.run.already_done"),
    *("client_model.learning.local_training", "client_model.tflite.export_folder", "simulation.device.export"),
    *("server_strategy.secagg_rounds", "simulation.report.page", "simulation.run.trackers.tensorboard"),
    *("simulation.plots", "tensorboard.summary", "simulation.studies.central_comparison", "simulation.api"),
    *("simulation.studies.sweeps.carry_out", "simulation.studies.privacy_check", "flwr.serverapp", "typeguard"),
    *("symspellpy", "pyarrow.parquet", "pyarrow.ipc", "matplotlib.backends.backend_agg", "jinja2"),
)
_MAX_REQUEST = 1 << 20  # bytes


class ForkedProcess(subprocess.Popen):
    """A `subprocess.Popen` of `[sys.executable, file]` or one with `-m` or `-c`, and arguments, that is forked.

    It has a session of its own. `terminal=True`: its standard input is a terminal, and controls that session.
    """

    def __init__(self, args: Sequence[object], *, terminal: bool = False, **how: Any) -> None:
        self._terminal = terminal
        super().__init__([str(word) for word in args], **how)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *rest) -> None:  # type: ignore[no-untyped-def]
        _, _, _, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_ = rest
        assert args[0] == sys.executable and preexec_fn is None and not pass_fds, args
        how = {"args": args[1:], "cwd": str(cwd or Path.cwd()), "terminal": self._terminal}
        how["env"] = {**(os.environ if env is None else env)}
        self._said, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        streams = [own if given == -1 else given for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        socket.send_fds(_server(), [json.dumps(how).encode()], [*streams, theirs.fileno()])
        theirs.close()
        self.pid = int(self._said.recv(64))
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with self._waitpid_lock:
            if self.returncode is None and self._try_wait(os.WNOHANG)[0]:
                self._handle_exitstatus(self._status)
        return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        try:
            said = self._said.recv(64, socket.MSG_DONTWAIT if wait_flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        self._said.close()
        self._status = int(said)
        return self.pid, self._status


def run_forked(args: Sequence[object], *, timeout: float | None = None, **how: Any) -> subprocess.CompletedProcess:
    """As `subprocess.run(args, capture_output=True, text=True)`."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ForkedProcess(args, **{**streams, **how}) as process:
        try:
            printed, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, printed, errors)


def forking() -> types.SimpleNamespace:
    """What stands in for the module `subprocess` in a module of ours, whose processes are forked then."""
    run = lambda args, capture_output, text, check: run_forked(args)  # noqa: E731
    return types.SimpleNamespace(**{**vars(subprocess), "Popen": ForkedProcess, "run": run})


@cache
def _server() -> socket.socket:
    """The connection to the server of this process; when it closes, the server ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_REQUEST)
    code = f"from tests.forked_processes import serve; serve({theirs.fileno()})"
    how = {"cwd": ROOT, "pass_fds": [theirs.fileno()], "start_new_session": True}
    how |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "-c", code], **how).returncode = 0  # nobody waits for it
    theirs.close()
    return ours


def serve(descriptor: int) -> NoReturn:
    """Fork a process for each request, until whoever asks has gone."""
    from client_model.quiet import quick_imports

    with quick_imports():
        for name in _IMPORTED:
            importlib.import_module(name)
    from client_model.text.synthetic_text import SyntheticPopulation

    SyntheticPopulation(0, 1).lexicon  # noqa: B018  which most runs make first
    gc.collect()
    gc.freeze()  # collections would copy what all processes share
    connection = socket.socket(fileno=descriptor)
    while True:
        request, descriptors, *_ = socket.recv_fds(connection, _MAX_REQUEST, 4)
        if not request:
            os._exit(0)
        if not os.fork():
            connection.close()
            *streams, said = descriptors
            _keep(said, streams)
            _run_to_the_end(_begun(streams, **json.loads(request)))
        for one in descriptors:
            os.close(one)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # keepers that have ended
                pass


def _run_to_the_end(run: Callable[[], object]) -> NoReturn:
    """What Python does around a program, up to the clearing of thousands of modules, which it does for nobody."""
    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    except BaseException as error:  # noqa: BLE001  said as the interpreter says it
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  waits for the threads that are no daemons
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    if code == -signal.SIGINT:  # as shells want to see it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit((code or 0) & 0xFF)


def _keep(said: int, streams: list[int]) -> None:
    """Fork the process, say its id and how it ended; returns in the process alone."""
    if not (process := os.fork()):
        os.close(said)
        return
    for one in streams:
        os.close(one)
    with contextlib.suppress(OSError):  # nobody is there to hear it
        os.write(said, str(process).encode())
        os.write(said, str(os.waitpid(process, 0)[1]).encode())
    os._exit(0)


def _begun(streams: list[int], args: list[str], cwd: str, env: dict[str, str], terminal: bool) -> Callable[[], None]:
    """What the process runs, once it has all that it would have been started with."""
    os.setsid()
    for own, given in enumerate(streams):
        os.dup2(given, own)
        os.close(given)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  as the interpreter opens them
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    tempfile.tempdir = None
    doors._all_entry_points.cache_clear()
    what, rest = args[0], args[1:]
    first = "" if what == "-c" else cwd if what == "-m" else str(Path(what).parent)
    paths = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *sys.path[1:]]
    sys.path[:] = dict.fromkeys(paths)
    importlib.invalidate_caches()
    if what == "-m":
        sys.argv = [what, *rest[1:]]  # and the first of them is then the module's file
        return lambda: runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    text, file = (rest.pop(0), "<string>") if what == "-c" else (Path(what).read_bytes(), what)
    sys.argv = [what, *rest]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if what != "-c":
        main.__file__ = what
    return lambda: exec(compile(text, file, "exec"), vars(main))
