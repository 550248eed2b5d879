"""What ends a command, and how long that may take.

Ctrl-C (SIGINT), SIGTERM (a service manager, a batch system) and SIGHUP (the terminal has gone) ask for the same. While
rounds go on, the first of them lets the round finish (`first_signal_finishes`). Any other raises KeyboardInterrupt in
the main thread, and the process then has `LIMIT_S` seconds, after which it ends with all that it has started. Nothing
is lost by that: what is on disk is whole at any moment. For the same reason nothing is put away at the end: what Python
does there takes seconds on a busy machine once TensorFlow is loaded, and no thread could keep a limit on it.

A signal's handler of Python's runs between two steps of the main thread, which may be within native code for long. So
the limit is kept by a thread of its own, which the kernel's side of the signal wakes at once.
"""

import atexit
import gc
import io
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from simulation.processes import below, kill

INTERRUPTED = 130  # exit code of what was stopped, as shells have it after Ctrl-C
LIMIT_S = 2.0  # of the three that are promised: the kernel takes its time as well to end a large process
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WRITTEN_LATER = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)  # the first writes out the one below it, too
WATCHER = "signals"  # name of the thread that waits for them


class _Limit:
    """Ends the process if it does not end by itself."""

    def __init__(self) -> None:
        self.patience = 0  # signals that are allowed to take their time
        self.said = False  # that it was interrupted
        self._began = threading.Event()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)  # as `signal.set_wakeup_fd` wants it
        self._woken_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name=WATCHER, daemon=True).start()

    @property
    def has_begun(self) -> bool:
        """Whether a signal has come that ends everything."""
        return self._began.is_set()

    def begin(self) -> None:
        """From now on there is a limit."""
        if not self._began.is_set():
            self._began.set()
            threading.Thread(target=self._force, name="limit", daemon=True).start()

    def close(self) -> None:
        """Wait for no further signal; a limit that has begun goes on, since to end may take long as well."""
        signal.set_wakeup_fd(self._woken_before)
        os.close(self._write)

    def _watch(self) -> None:
        while numbers := os.read(self._read, 64):
            for number in numbers:
                if number in ASKING:
                    self.patience -= 1
                    if self.patience < 0:
                        self.begin()
        os.close(self._read)

    def _force(self) -> None:
        time.sleep(LIMIT_S)
        kill(below(os.getpid()))
        if not self.said:
            with suppress(OSError):
                os.write(2, f"{_last_words()}\n".encode(errors="backslashreplace"))
        os._exit(INTERRUPTED)


_limit: _Limit | None = None
_goes_on_with = ""  # the command that goes on with what is interrupted
_is_stuck = threading.Event()  # a thread of this process waits for ever, and Python would wait for it


def _interrupt(*_: object) -> None:
    if _limit is not None:
        _limit.begin()
    raise KeyboardInterrupt


@contextmanager
def _handling(handler: Callable[..., None], numbers: tuple[signal.Signals, ...] = ASKING) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers if not _is_to_be_ignored(number)}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


def _is_to_be_ignored(number: signal.Signals) -> bool:
    """Whether whoever started this process, as nohup does, wants it to outlive its terminal."""
    return number is signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, whatever asks this process to end is a KeyboardInterrupt, with a limit; nothing outside the main thread.

    Ctrl-C stays ignored where whoever started this process wants it so, as shells do for what runs in the background.
    """
    global _limit, _goes_on_with
    if threading.current_thread() is not threading.main_thread() or _limit is not None:
        yield
        return
    _goes_on_with = ""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    numbers = ASKING[1:] if ignored else ASKING
    _limit = limit = _Limit()
    try:
        with _handling(_interrupt, numbers):
            yield
    finally:
        limit.close()
        _limit = None


def is_ending() -> bool:
    """Whether a signal has come that ends everything."""
    return _limit is not None and _limit.has_begun


@contextmanager
def can_go_on_with(command: str) -> Iterator[None]:
    """Within, what is interrupted says that this command goes on with it.

    Args:
        command: in one line.
    """
    global _goes_on_with
    _goes_on_with = command
    yield
    _goes_on_with = ""  # but not after an interruption, which is yet to be said


def _last_words() -> str:
    return f"interrupted; go on with: {_goes_on_with}" if _goes_on_with else "interrupted"


def was_interrupted() -> None:
    """Say so on standard error, and leave nothing that a signal's work has been stopped in the middle of."""
    if _limit is not None and _limit.has_begun:
        kill(below(os.getpid()))
        _limit.said = True
    with suppress(OSError):  # the terminal may have gone
        print(_last_words(), file=sys.stderr)


def never_ends_by_itself() -> None:
    """Say that a thread of this process waits for something that will not come; a command then ends without it."""
    _is_stuck.set()


def left_with(code: int) -> int:
    """The exit code of a command that is done; where the process would not end by itself, or has to at once, it does.

    Args:
        code: of the command.
    """
    if _is_stuck.is_set() or is_ending():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        kill(below(os.getpid()))
        os._exit(code)
    atexit.register(_put_nothing_away)
    return code


def _put_nothing_away() -> None:
    """Let Python not go through all objects as it ends, for nothing: of TensorFlow's it takes a second.

    What it would do on the way for a file that somebody left open is done here.
    """
    for one in gc.get_objects():
        if type(one) in _WRITTEN_LATER:
            with suppress(OSError, ValueError):  # as Python has it: at the end nobody is told; or it has been detached
                if not one.closed:
                    one.flush()
    gc.freeze()


@contextmanager
def first_signal_finishes(
    finish: Callable[[], None], is_finishing: Callable[[], bool], say: Callable[[], None]
) -> Iterator[None]:
    """Within, the first signal only calls `finish`, and then `say`; any other ends everything at once.

    Signals belong to the main thread; in another one nothing changes.

    Args:
        finish: lets what is under way come to its end.
        is_finishing: whether it was called, or need not be.
        say: tells who watches.
    """

    def handle(*_: object) -> None:
        if is_finishing():
            _interrupt()
        for stream in (sys.stdout, sys.stderr):
            silenced_if_gone(stream)
        finish()
        with suppress(OSError, RuntimeError):  # nobody to hear it, or in the middle of another line
            say()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as patience:
        if _limit is not None:
            _limit.patience = 1
            patience.callback(setattr, _limit, "patience", 0)
        with _handling(handle):
            yield


def _is_gone(stream: TextIO) -> bool:
    """Whether what is written to a stream reaches nobody any more: `head` has seen enough, or the terminal has gone."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # no file, as in a notebook, or closed
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def silenced_if_gone(stream: TextIO) -> bool:
    """Whether a stream reaches nobody any more; if so, what is still written to it goes nowhere instead of failing."""
    if not _is_gone(stream):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return True


def stand_in_for_closed_output() -> None:
    """Open streams that go nowhere where this process was started without; else a file might take their place."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  as long as the process
