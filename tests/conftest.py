"""Shared pieces of the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

# Before TensorFlow: the packages set their environment when they are imported.
import simulation  # noqa: F401

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first, so that none is left alone at the end when several run at once."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
