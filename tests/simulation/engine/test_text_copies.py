"""Machines of a cluster that do not see the driver's folder of text get a copy of it, and keep none."""

import ctypes
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster

from client_model.config import DataConfig
from client_model.learning.cells.lstm import Lstm
from client_model.text.cache import SEAL, entries, is_whole
from client_model.text.population import open_population, prepare_population, text_key_of
from simulation.engine import text_copies
from simulation.engine.config import EngineConfig
from simulation.engine.failures import EngineError
from simulation.engine.host_task import HostTask
from simulation.engine.node_text import NOTHING_TOLD, NodeTextError, population_here
from simulation.engine.text_copies import _receive, _remove, _sees, text_on_all_machines
from tests.conftest import ROOT
from tests.forked_processes import ForkedProcess
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine.test_faults import write_messages
from tests.simulation.engine.test_host_task import task_with
from tests.simulation.test_runs import outcome
from tests.waiting import PATIENCE_S, wait_until
from typefleet.sealed import envelope
from typefleet.sealed.envelope import ENVELOPE, is_encrypted

CLUSTER = EngineConfig(address="auto")


@pytest.fixture(params=["", "env:STORAGE_KEY"], ids=["plain", "encrypted"])
def run(request, tmp_path, monkeypatch):
    """(the task of a run, the key of its text, the folder of it); the caches are those of another machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    monkeypatch.setattr(envelope, "_OPENED", {})
    monkeypatch.setenv("STORAGE_KEY", "ab" * 32)
    (tmp_path / "m.jsonl").write_text('{"user_id": "a", "text": "walnut"}\n{"user_id": "b", "text": "tundra"}\n')
    data = DataConfig(path=tmp_path / "m.jsonl", cache_dir=tmp_path / "first")
    spec = prepare_population(data, 0, None, storage_key=request.param or None)
    task = HostTask.from_json(replace(task_with(Lstm()), population=spec, text=data).to_json())
    return task, text_key_of(spec), Path(spec.cache_folder)


@pytest.fixture
def second(run, monkeypatch):
    """A machine that sees nothing of the first one's: what it is asked to do is done here."""
    *_, folder = run
    hidden, done = folder.with_name("hidden"), []

    def on(machines, timeout_s, do, *told):
        done.append(do.__name__)
        folder.rename(hidden)
        try:
            contents = [content.copy() if hasattr(content, "copy") else content for content in told]
            return {machine: do(*contents) for machine in machines}
        finally:
            hidden.rename(folder)

    monkeypatch.setattr(text_copies, "_on", on)
    monkeypatch.setattr(text_copies, "_machines", lambda: ["second"])
    monkeypatch.setattr("ray.put", lambda content: content)
    return done


def plain_words(path):
    return [
        word for word in (b"walnut", b"tundra") for one in path.rglob("*") if one.is_file() and word in one.read_bytes()
    ]


def test_a_machine_without_the_folder_has_a_copy_until_the_rounds_have_ended(run, second, tmp_path):
    task, key, folder = run
    caches = tmp_path / "second" / "typefleet"
    with text_on_all_machines(task, CLUSTER) as told:
        sent = HostTask.from_json(told.to_json())
        (copy,) = (entry.path for entry in entries(caches))
        assert is_whole(copy) and copy.name == sent.copy and not is_encrypted(copy)  # its key does not travel
        assert {one.name for one in copy.iterdir()} == {one.name for one in folder.iterdir()} - {ENVELOPE}
        assert bool(plain_words(copy)) == (not key)
        here = population_here(sent, NOTHING_TOLD, key)
        assert Path(here.spec.cache_folder) == copy and here.key == key
        population, first = open_population(*here), open_population(task.population, key)
        assert population.lexicon == first.lexicon == ["walnut", "tundra"]
        assert [population.types(one)[0].tolist() for one in (0, 1)] == [first.types(one)[0].tolist() for one in (0, 1)]
    assert second == ["_sees", "_receive", "_remove"] and not list(caches.iterdir())


def test_of_two_runs_with_the_same_text_each_has_a_copy_of_its_own(run, second, tmp_path):
    task, key, _ = run
    with text_on_all_machines(task, CLUSTER) as told:
        with text_on_all_machines(task, CLUSTER) as other:
            assert told.copy != other.copy
        assert is_whole(Path(population_here(told, NOTHING_TOLD, key).spec.cache_folder))
    assert not list((tmp_path / "second" / "typefleet").iterdir())


def test_a_copy_is_removed_after_an_error_and_one_that_was_put_there_is_replaced(run, second, tmp_path, monkeypatch):
    task, _, folder = run
    monkeypatch.setattr("secrets.token_bytes", bytes)
    with pytest.raises(ZeroDivisionError), text_on_all_machines(task, CLUSTER) as told:
        name = told.copy
        raise ZeroDivisionError
    left = tmp_path / "second" / "typefleet" / name
    left.mkdir(parents=True)
    (left / "lexicon.txt").write_text("of a driver that was killed")
    with text_on_all_machines(task, CLUSTER):
        assert is_whole(left) and (left / SEAL).read_bytes() == (folder / SEAL).read_bytes()
    assert not left.exists()


def test_copies_that_cannot_be_removed_are_said(run, monkeypatch, caplog):
    """Ray has ended meanwhile; asked then, it would start another one."""
    task, _, folder = run
    monkeypatch.setattr(text_copies, "_machines", lambda: ["second"])
    monkeypatch.setattr(text_copies, "_send", lambda *_: None)
    asked = text_copies._on
    with monkeypatch.context() as while_it_runs:
        while_it_runs.setattr(text_copies, "_on", lambda machines, *_: dict.fromkeys(machines, False))
        rounds = text_on_all_machines(task, CLUSTER)
        rounds.__enter__()
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(EngineError, match="found a Ray that has ended"):
        asked(["second"], 1.0, _sees, str(folder), b"")
    rounds.__exit__(None, None, None)
    (said,) = (one.getMessage() for one in caplog.records)
    assert "of the text may be left in caches of other machines, where show_cache.py removes it" in said


def test_where_the_folder_is_seen_nothing_is_copied(run, second, monkeypatch):
    task, _, folder = run
    assert _sees(str(folder), (folder / SEAL).read_bytes())
    assert not _sees(str(folder), b"{}") and not _sees(str(folder.with_name("none")), b"{}")
    monkeypatch.setattr(text_copies, "_on", lambda machines, *_: dict.fromkeys(machines, True))
    with text_on_all_machines(task, CLUSTER) as told:
        assert told is task
    monkeypatch.setattr(text_copies, "_machines", lambda: pytest.fail("nobody is to be asked"))
    with text_on_all_machines(task, EngineConfig()) as told:
        assert told is task


def test_what_is_not_what_was_sent_is_refused_and_not_kept(run, tmp_path):
    *_, folder = run
    sent = {path.name: np.fromfile(path, np.uint8) for path in folder.iterdir() if path.name != ENVELOPE}
    sent["types.npy"] = sent["types.npy"][:-1]
    with pytest.raises(OSError, match="expected the files that were sent, found others"):
        _receive("a" * 32 + "-1", list(sent), *sent.values())
    assert not list((tmp_path / "second" / "typefleet").iterdir()) and not _remove("a" * 32 + "-1")


@pytest.mark.parametrize("name", ["", "..", ".hidden", "../other", "missing"])
def test_a_message_names_no_other_folder_than_a_copy(run, tmp_path, name):
    task, key, folder = run
    (tmp_path / "second" / "other").mkdir(parents=True)
    (tmp_path / "second" / "typefleet" / ".hidden").mkdir(parents=True)
    here = population_here(replace(task, copy=name), NOTHING_TOLD, key)
    assert here.spec == task.population
    folder.rename(folder.with_name("gone"))
    with pytest.raises(NodeTextError):
        population_here(replace(task, copy=name, text=None), NOTHING_TOLD, key)


@contextmanager
def in_own_namespace(hidden, do):
    """Call a function in a thread that sees an empty folder in a folder's place, as do the processes that it starts.

    The thread stays as long as the context: those processes end with it.
    """
    begun, over, failed = threading.Event(), threading.Event(), []

    def there():
        try:
            if ctypes.CDLL(None).unshare(0x00020000):  # CLONE_NEWNS
                failed.append("no mount namespace")
                return
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(hidden)], check=True)
            do()
        finally:
            begun.set()
        over.wait()

    thread = threading.Thread(target=there)
    thread.start()
    try:
        begun.wait()
        if failed:
            pytest.skip("a folder can only be hidden by root")
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_two_machines_without_a_folder_in_common_train_to_the_same_bits(engine_alone, simulate, tmp_path, monkeypatch):
    monkeypatch.setenv("STORAGE_KEY", "ab" * 32)
    messages, cache, second = tmp_path / "m.jsonl", tmp_path / "cache", tmp_path / "second" / "typefleet"
    write_messages(messages)
    cache.mkdir()
    flags = [*map(str, WEIGHTS_ONLY), "--data.format", "jsonl", "--data.path", str(messages)]
    flags += ["--data.cache-dir", str(cache), "--data.vocabulary-phones", "20", "--storage.key", "env:STORAGE_KEY"]
    flags += ["--fleet.size", "60", "--cohort.min-separation-rounds", "1"]
    simulate(*flags, "--output-dir", tmp_path / "one")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    monkeypatch.setattr("ray._private.utils.set_sigterm_handler", lambda _: None)  # for the main thread alone
    command = [sys.executable, str(ROOT / "scripts" / "simulate.py"), *flags, "--engine.trust-network"]
    command += ["--engine.address", cluster.address, "--output-dir", str(tmp_path / "two")]
    try:
        with in_own_namespace(cache, lambda: cluster.add_node(num_cpus=1)):
            monkeypatch.delenv("XDG_CACHE_HOME")
            process = ForkedProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_until(lambda: process.poll() is not None or copies(second), "a copy")
            found = copies(second)
            printed, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, printed + errors
    # A machine too busy to remove it in time is said.
    assert found == 1 and (not list(second.iterdir()) or "may be left in caches of other machines" in errors)
    assert outcome(tmp_path / "two")["weights_sha256"] == outcome(tmp_path / "one")["weights_sha256"]


def copies(folder):
    return len(list(folder.glob(f"*/{SEAL}")))
