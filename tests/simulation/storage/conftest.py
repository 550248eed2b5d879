"""An encrypted run that was stopped after its first round, made once; each test has a copy of its folders."""

import shutil
from types import SimpleNamespace

import pytest

from tests.simulation.storage.encrypted_run import DIGITS, TINY, key_file, played, write_messages
from typefleet.sealed.envelope import ENVELOPE


@pytest.fixture(scope="session")
def messages(tmp_path_factory):
    return write_messages(tmp_path_factory.mktemp("storage text") / "m.jsonl")


@pytest.fixture(scope="session")
def _stopped(tmp_path_factory, messages):
    root = tmp_path_factory.mktemp("storage run")
    key = key_file(root / "key", DIGITS)
    text = ("--data.path", messages, "--data.cache-dir", root / "cache")
    played(*TINY, *text, "--output-dir", root / "run", "--storage.key", key, rounds=1)
    return root


@pytest.fixture
def stopped(_stopped, tmp_path):
    """run, cache and key of an encrypted run with secret noise, stopped after a round; the test's own to break."""
    for name in ("run", "cache"):
        shutil.copytree(_stopped / name, tmp_path / name)
    (tmp_path / "run" / ".lock").unlink()
    key = key_file(tmp_path / "key", DIGITS)
    for path in (tmp_path / "run" / "config.toml", *tmp_path.rglob(ENVELOPE)):
        path.write_text(path.read_text().replace(str(_stopped), str(tmp_path)))
    return SimpleNamespace(run=tmp_path / "run", cache=tmp_path / "cache", key=key, root=tmp_path)
