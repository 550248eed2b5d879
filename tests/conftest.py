"""Shared pieces of the tests."""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.reached_lines import HandedToCoverage, note_if_asked

note_if_asked()
# A second thread of numpy's BLAS would wait, busily, for a processor that another process of tests has. Before numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Else each of a hundred processes compiles all our modules, and each that runs tests rewrites all their assertions.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Before TensorFlow: the packages set their environment when they are imported.
import simulation  # noqa: E402, F401
from client_model.quiet import quick_imports, restore_keras_switch  # noqa: E402
from simulation.flags import run_door  # noqa: E402
from tests.forked_processes import run_forked  # noqa: E402
from tests.waiting import PATIENCE_S  # noqa: E402

# Readline, which the debugger brings, tells processes of tests how wide a terminal is that they do not write to.
os.environ.pop("COLUMNS", None)
# Nothing that tests write need outlive a power cut, and a busy disk takes seconds; what they start writes as it does.
os.fsync = os.fstat  # which wants an open file as well
settings.register_profile("typefleet", deadline=None)  # a busy machine is slow: speed is for the benchmark
settings.load_profile("typefleet")

restore_keras_switch()  # of the process that started this one to run its tests
_collecting = ExitStack()  # imports TensorFlow, without Keras
_collecting.enter_context(quick_imports())

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"
LONGEST = (  # files whose slow tests take more than some 10 s, longest first
    *("test_faults", "test_lives", "test_superlink", "test_keyboard_page", "test_sweep", "test_runs", "test_places"),
    *("test_flower_on_ray", "test_cell_door", "test_face", "test_memorisation", "test_fleet_fit", "test_fleet_scripts"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that none is left alone at the end when several run at once.

    With `--dist worksteal` each process begins with a stretch of the list, and takes from the end of another's when it
    has done its own. So each stretch begins with its share of the slow ones, those of a file together: what they share
    is made once, and nobody waits for it.
    """
    stretches = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    files, quick = {}, []
    for item in items:
        if item.get_closest_marker("slow") is None:
            quick.append(item)
        else:
            files.setdefault(item.path, []).append(item)
    rank = {name: number for number, name in enumerate(LONGEST)}
    for number, path in enumerate(sorted(files, key=lambda path: (rank.get(path.stem, len(rank)), path))):
        there_and_back = [*stretches, *reversed(stretches)]  # as cards are dealt, so that nobody gets all longer ones
        there_and_back[number % len(there_and_back)].extend(files[path])
    left = len(items)
    for number, stretch in enumerate(stretches):
        room = max(left // (len(stretches) - number) - len(stretch), 0)
        stretch.extend(quick[:room])
        del quick[:room]
        left -= len(stretch)
    items[:] = [*chain.from_iterable(stretches), *quick]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name tests: those of a gzip or protobuf file differ by the second and from process to process."""
    return argname if isinstance(val, bytes) else None


def pytest_configure(config: pytest.Config) -> None:
    """What is imported and collected lives as long as the process: collections need not go over it again and again."""
    gc.disable()
    config.pluginmanager.register(HandedToCoverage())


def pytest_collection_finish() -> None:
    """Of what comes from now on, much is needed for a moment only."""
    _collecting.close()
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What a file of tests leaves, of TensorFlow's above all, stays: its converter collects twice for each model."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


def pytest_runtest_setup() -> None:
    """TensorFlow has the one thread that it has in a run, before its first operation, whichever test comes first.

    Else whoever comes later could not set it, and weights would depend on the order of the tests. Collecting all tests
    imports it; of a file alone, the first test may, and has then used it already.
    """
    if (tensorflow := sys.modules.get("tensorflow")) is not None:
        with suppress(RuntimeError):
            tensorflow.config.threading.set_intra_op_parallelism_threads(1)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Examples are looked for in the packages; what lies among the tests without being one is run by a test."""
    beside = collection_path.suffix == ".py" and collection_path.is_relative_to(ROOT / "tests")
    return True if beside and not collection_path.name.startswith(("test_", "__init__", "conftest")) else None


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """made_once(name, make): a folder that make(folder) fills, once for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder_of(name: str, make: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}-is-made"
        with (root / f"{name}-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what another process began and could not end
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def real_text() -> Path:
    """Real phone messages; they live outside the project."""
    path = REAL_DATA / "text" / "sms_en.jsonl"
    if not path.exists():
        pytest.skip("real phone messages are not part of the project and not on this machine")
    return path


@pytest.fixture
def script():
    """Run a script as a user would: script("simulate.py", "--rounds", "1")."""

    def run(name: str, *arguments: object, timeout: float = PATIENCE_S, **kwargs) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "scripts" / name), *(str(a) for a in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)

    return run


@pytest.fixture
def script_forked():
    """As `script`, but of a process that has its imports from another: for what a script does, not for how it starts.

    For what needs a process; what does not is `script_here`.
    """

    def run(name: str, *arguments: object, timeout: float = PATIENCE_S, **how: Any) -> subprocess.CompletedProcess:
        return run_forked([sys.executable, ROOT / "scripts" / name, *arguments], timeout=timeout, **how)

    return run


@pytest.fixture
def script_here(capsys, monkeypatch):
    """As `script`, but in this process, which has imported everything: for what a script says, not for how it starts.

    That each script is its command and nothing else is tested in simulation/commands/test_dispatch.py.
    """

    def run(name: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        command = import_module(f"simulation.commands.{name.removesuffix('.py')}")
        capsys.readouterr()
        code = run_door(lambda: command.main([str(argument) for argument in arguments]))
        return subprocess.CompletedProcess(name, code, *capsys.readouterr())

    return run
