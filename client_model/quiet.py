"""Start-up: keep native code off the terminal, and import TensorFlow in half of its time.

TensorFlow and TFLite write some messages before any log level is read: about the absence of a GPU, about
oneDNN (which this project turns on deliberately), about a delegate. They alarm a first-time user and
say nothing. Whatever was written is shown after all if the code that wrote it fails.
"""

import gc
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, TextIO


@dataclass
class _Aside:
    """Where the standard error stream is while it is set aside, by how many at a time."""

    users: int = 0
    failed: bool = False
    kept: int = -1  # descriptor of the true stream
    written: IO[bytes] | None = None
    ours: TextIO | None = None  # what Python's code writes to meanwhile, another thread's error line among it
    before: TextIO | None = None


_aside, _aside_lock = _Aside(), threading.Lock()

KERAS_SWITCH = "TF_USE_LEGACY_KERAS"  # TensorFlow's own
KERAS_SWITCH_AS_FOUND = f"TYPEFLEET_{KERAS_SWITCH}"  # for processes that begin while this one has it switched
os.environ.setdefault(KERAS_SWITCH_AS_FOUND, os.environ.get(KERAS_SWITCH, ""))  # empty is off


def _let_python_speak() -> None:
    """Native code is set aside, and not what other threads say; a stream that somebody has put in place is left."""
    try:
        goes_there = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):  # no file, as in a notebook
        goes_there = False
    if goes_there:
        _aside.before = sys.stderr
        _aside.ours = sys.stderr = open(_aside.kept, "w", buffering=1, encoding=sys.stderr.encoding, closefd=False)  # noqa: SIM115


def _python_speaks_as_before() -> None:
    if _aside.ours is not None:
        _aside.ours.flush()
        if sys.stderr is _aside.ours:
            sys.stderr = _aside.before
    _aside.ours = _aside.before = None


@contextmanager
def native_messages_aside() -> Iterator[None]:
    """Set the standard error stream of the whole process aside for a moment; several threads may at once."""
    with _aside_lock:
        if not _aside.users:
            sys.stderr.flush()
            _aside.written = tempfile.TemporaryFile()  # noqa: SIM115  closed by whoever is the last to leave
            _aside.kept, _aside.failed = os.dup(2), False
            os.dup2(_aside.written.fileno(), 2)
            _let_python_speak()
        _aside.users += 1
    failed = True
    try:
        yield
        failed = False
    except KeyboardInterrupt:
        failed = False
        raise
    finally:
        with _aside_lock:
            _aside.users -= 1
            _aside.failed = _aside.failed or failed
            if not _aside.users and _aside.written is not None:
                _python_speaks_as_before()
                os.dup2(_aside.kept, 2)
                os.close(_aside.kept)
                with _aside.written as said:
                    if _aside.failed:
                        said.seek(0)
                        os.write(2, said.read())


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import large libraries quickly: without Keras, which TensorFlow would import along, and without collections.

    With TensorFlow's own switch for the former Keras, which is not installed, its import skips the present one,
    and scikit-learn and matplotlib with it; `tf.keras` still gives it to whoever asks later. Importing makes a
    million objects that live for ever, over which the garbage collector would go again and again.
    """
    before, collects = os.environ.get(KERAS_SWITCH), gc.isenabled()
    os.environ[KERAS_SWITCH] = before or "1"
    gc.disable()
    try:
        yield
    finally:
        if before is None:
            del os.environ[KERAS_SWITCH]
        else:
            os.environ[KERAS_SWITCH] = before
        gc.freeze()
        gc.unfreeze()  # all that was made is old now, so that no collection of what is young goes over it
        if collects:
            gc.enable()


@contextmanager
def only_new_objects_collected() -> Iterator[None]:
    """Within, collections of garbage leave alone what there was before: for code that asks for many of them."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Within, TensorFlow counts as not installed, for libraries that import it along where it is.

    Where this process has it already it stays. No other thread may import it meanwhile.
    """
    hidden: dict[str, Any] = {} if "tensorflow" in sys.modules else {"tensorflow": None}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def restore_keras_switch() -> None:
    """In a process that may have begun while another one's imports had it switched: as that one found it."""
    if KERAS_SWITCH_AS_FOUND in os.environ:  # else it was given an environment of its own, in which nothing is switched
        os.environ[KERAS_SWITCH] = os.environ[KERAS_SWITCH_AS_FOUND]


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and let it look for devices, which is when it talks."""
    with native_messages_aside(), quick_imports():
        import tensorflow as tf

        tf.config.list_physical_devices()
