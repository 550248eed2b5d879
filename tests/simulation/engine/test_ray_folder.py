"""Ray's folder is its owner's, and gone with it; nobody else's is touched."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from simulation.engine.ray_folder import RayFolder, remove_abandoned
from tests.conftest import ROOT

HOLDER = """
from simulation.engine.ray_folder import RayFolder
folder = RayFolder()
folder.of_ray.mkdir()
{more}
print(folder.root, flush=True)
input()
{at_the_end}
"""


@pytest.fixture
def parent(monkeypatch):
    """The folder for temporary files, with a path that is short enough."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(short)


def holder(more="", at_the_end=""):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(more=more, at_the_end=at_the_end)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_for_its_owner_only_and_gone_with_it(parent):
    folder = RayFolder()
    assert folder.root.parent == parent and folder.root.stat().st_mode & 0o777 == 0o700
    socket = folder.of_ray / "session_2026-11-29_01-28-31_161042_1234567" / "sockets" / "plasma_store"
    assert len(os.fsencode(socket)) <= 107
    folder.of_ray.mkdir(mode=0o777)
    folder.close()
    assert not list(parent.iterdir())


def test_what_a_killed_owner_left_is_removed_and_nobody_else_s(parent):
    (alive, held), (dead, left), (failed, kept) = (
        holder(),
        holder(),
        holder("folder.keep()"),
    )
    try:
        for process in (dead, failed):
            process.kill()
            process.wait()
        (parent / "typefleet-ray-of-somebody").mkdir()
        (parent / "session_2026").mkdir()
        remove_abandoned(parent)
        assert not left.exists()
        names = {held.name, kept.name}
        assert {path.name for path in parent.iterdir()} == names | {"typefleet-ray-of-somebody", "session_2026"}
        week_ago = kept.stat().st_mtime - 8 * 86_400
        os.utime(kept / "kept", (week_ago, week_ago))
        remove_abandoned(parent)
        assert not kept.exists() and held.exists()
    finally:
        alive.kill()
        alive.wait()


def test_an_owner_that_ends_at_once_with_all_that_it_has_started_leaves_nothing(parent):
    in_a_hurry = "import os; from simulation.processes import below, kill; kill(below(os.getpid())); os._exit(130)"
    owner, folder = holder(at_the_end=in_a_hurry)
    time.sleep(0.2)  # for the guard to be one
    assert folder.exists()
    owner.communicate("\n")
    assert owner.returncode == 130
    give_up = time.monotonic() + 10
    while folder.exists() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not list(parent.iterdir())


def test_a_parent_whose_path_is_too_long_for_sockets_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 30)))
    folder = RayFolder()
    assert str(folder.root.parent) == "/tmp"
    folder.close()
