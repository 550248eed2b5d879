"""Shared pieces of the tests."""

import fcntl
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Before TensorFlow: the packages set their environment when they are imported.
import simulation  # noqa: F401

# In a process of tests, too, TensorFlow has the one thread that it has in a run: whoever comes first may have no
# `limit_threads`, and whoever comes later compares weights.
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

settings.register_profile("typefleet", deadline=None)  # a busy machine is slow: speed is for the benchmark
settings.load_profile("typefleet")

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that none is left alone at the end when several run at once."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name tests: those of a gzip or protobuf file differ by the second and from process to process."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish() -> None:
    """What was imported lives as long as the process: collections need not go over it again and again."""
    gc.collect()
    gc.freeze()


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
                folder.mkdir(exist_ok=True)
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

    def run(name: str, *arguments: object, timeout: float = 300, **kwargs) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "scripts" / name), *(str(a) for a in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)

    return run
