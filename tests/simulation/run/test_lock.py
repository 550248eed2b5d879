"""One writer for a run, whatever becomes of the writer."""

import errno
import fcntl
import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulation.flags import parse_simulate
from simulation.run.directory import new_run_directory
from simulation.run.lifecycle import start_run
from simulation.run.lock import LOCK, NoLockError, RunInUseError, only_writer
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from tests.conftest import ROOT
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError

# Holds the lock, and leaves a child that outlives it, as a worker outlives a driver that is killed.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from simulation.run.lock import only_writer
with only_writer(Path(sys.argv[1])):
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    print(child.pid, flush=True)
    time.sleep(3600)
"""


def test_a_second_writer_is_told_who_the_first_one_is(tmp_path):
    with only_writer(tmp_path), pytest.raises(RunInUseError) as refused, only_writer(tmp_path):
        pass
    found = f"found process {os.getpid()} at work on it"
    assert str(refused.value) == f"{tmp_path}: expected a run that no process is working on, {found}"
    with only_writer(tmp_path):  # let go of
        pass


def test_the_lock_ends_with_its_process_even_if_that_is_killed_and_its_children_live_on(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(RunInUseError, match=f"found process {holder.pid} at work on it"), only_writer(tmp_path):
            pass
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # still there
        with only_writer(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_run_in_progress_is_no_other_s_until_it_is_closed(tmp_path):
    folder = tmp_path / "run"
    flags = [*map(str, TINY), "--output-dir", str(folder)]
    with RunProgress(io.StringIO(), 1, 0) as progress:
        run = start_run(prepare(parse_simulate(flags).run), resume=False, progress=progress)
        config = parse_simulate(["--resume", str(folder)]).run
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with pytest.raises(RunInUseError, match=f"{folder}: expected a run that no process is working on"):
            start_run(prepare(config, resume=True), resume=True, progress=progress)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        run.close()
        start_run(prepare(config, resume=True), resume=True, progress=progress).close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)  # as a network file system does whose lock service is away
    with pytest.raises(NoLockError) as refused, only_writer(tmp_path):
        pass
    found = f"one that refuses them: {os.strerror(code).lower()}"
    said = f"a file system with locks, so that no two write one run, found {found}"
    assert str(refused.value) == f"{tmp_path}: expected {said}"


def made(folder):
    try:
        return new_run_directory(folder, "").root
    except ConfigError as error:
        return str(error)


def test_of_new_runs_in_one_folder_at_once_one_wins_and_the_others_say_so(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            folder = tmp_path / str(number)
            found = list(pool.map(made, [folder] * 8))
            assert found.count(folder) == 1
            lost = f"--output-dir: expected a new or empty folder, found {folder} in use"
            assert set(found) == {folder, lost}


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(made, [None] * 8))
    assert len(set(found)) == 8 and all(one.is_dir() for one in found)


def test_a_lock_that_is_a_link_leads_nowhere(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "victim"
    folder.mkdir()
    other.write_text("mine")
    (folder / LOCK).symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"), only_writer(folder):
        pass
    assert other.read_text() == "mine"
