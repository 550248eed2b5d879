"""Keys that are wrapped anew, and keys that are erased: by the commands, on folders of runs and of caches."""

import os
import shutil
from pathlib import Path

import pytest

from client_model.config import DataConfig
from client_model.text.cache import take_away
from client_model.text.population import PopulationSpec, open_population, prepare_population
from simulation.commands import rotate_key, shred
from simulation.run.checkpoint import load_newest_checkpoint, save_checkpoint
from simulation.run.ledger_head import HEAD
from simulation.run.lock import RunInUseError, only_writer
from simulation.storage.deletion_log import read_log
from simulation.storage.run_files import begin_storage, write_secret
from simulation.studies import key_life
from tests.simulation.storage.encrypted_run import DIGITS, OTHER, key_file
from typefleet.errors import ConfigError
from typefleet.sealed import envelope
from typefleet.sealed.envelope import ENVELOPE, data_key_of, is_encrypted


@pytest.fixture(autouse=True)
def as_another_process(monkeypatch):
    monkeypatch.setattr(envelope, "_OPENED", {})


@pytest.fixture
def keys(tmp_path):
    return key_file(tmp_path / "key", DIGITS), key_file(tmp_path / "new", OTHER)


@pytest.fixture
def runs(tmp_path, keys):
    made = []
    for name in ("first", "second"):
        root = tmp_path / name
        (root / "checkpoints").mkdir(parents=True)
        (root / "config.toml").touch()
        begin_storage(root, str(keys[0]))
        save_checkpoint(root / "checkpoints", 1, {}, {"n": 1}, 1)
        write_secret(root, root / "noise_secret", b"secret")
        made.append(root)
    return made


@pytest.fixture
def spec(tmp_path, keys):
    (tmp_path / "m.jsonl").write_text('{"user_id": "a", "text": "walnut"}\n{"user_id": "b", "text": "tundra"}\n')
    config = DataConfig(path=tmp_path / "m.jsonl", cache_dir=tmp_path / "cache")
    return prepare_population(config, 0, None, storage_key=str(keys[0]))


def sealed_bytes_of(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != ENVELOPE}


def test_runs_and_caches_have_a_new_key_by_one_command_and_nothing_else_is_written(tmp_path, runs, keys, spec, capsys):
    before = [sealed_bytes_of(root) for root in (*runs, tmp_path / "cache")]
    flags = [*map(str, runs), str(tmp_path / "cache"), "--to", str(keys[1])]
    rotate_key.main(flags)
    assert capsys.readouterr().out.count("wrapped by the key of fingerprint") == 3
    keys[0].unlink()
    envelope._OPENED.clear()
    for root in runs:
        assert load_newest_checkpoint(root / "checkpoints")[0].about == {"n": 1}
        (root / ".lock").unlink()  # which the command holds while it is at work
    assert open_population(spec).lexicon == ["walnut", "tundra"]
    assert [sealed_bytes_of(root) for root in (*runs, tmp_path / "cache")] == before
    with pytest.raises(ConfigError, match="found another one"):
        data_key_of(runs[0], str(key_file(tmp_path / "old", DIGITS)))


def test_where_one_cannot_be_opened_none_is_changed(tmp_path, runs, keys):
    other = key_file(tmp_path / "other", "ab" * 32)
    key_life.rotate([runs[1]], str(other))
    before = [(root / ENVELOPE).read_bytes() for root in runs]
    with pytest.raises(ConfigError, match="found another one"):
        key_life.rotate(runs, str(keys[1]), str(keys[0]))
    assert [(root / ENVELOPE).read_bytes() for root in runs] == before
    assert key_life.rotate(runs, str(keys[1])) == runs  # each by the key that it names


def test_a_crash_between_two_runs_is_made_good_by_asking_again(runs, keys, monkeypatch):
    def killed_at_the_second(path, content, private):
        if path.parent == runs[1]:
            raise KeyboardInterrupt
        path.write_bytes(content)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(key_life, "write_bytes_atomically", killed_at_the_second)
        key_life.rotate(runs, str(keys[1]))
    assert [envelope.needed_by(root).place for root in runs] == [str(keys[1]), str(keys[0])]
    key_life.rotate(runs, str(keys[1]))
    assert {envelope.needed_by(root).place for root in runs} == {str(keys[1])}


def test_what_is_in_use_is_left(runs, keys, spec, tmp_path):
    with only_writer(runs[0]), pytest.raises(RunInUseError):
        key_life.rotate(runs, str(keys[1]))
    reader = open_population(spec)
    with pytest.raises(ConfigError, match="that no process reads"):
        key_life.rotate([tmp_path / "cache"], str(keys[1]))
    with pytest.raises(ConfigError, match="that no process reads"):
        key_life.erase_key(Path(spec.cache_folder))
    assert reader.num_phones == 2 and is_encrypted(Path(spec.cache_folder))


def test_a_folder_with_nothing_encrypted_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="FOLDER: expected the folder of an encrypted run"):
        shred.main([])
    for folder, found in ((tmp_path, "nothing that is encrypted"), (tmp_path / "none", "no such file")):
        with pytest.raises(ConfigError, match=found):
            key_life.encrypted_in(folder)


def test_shredding_is_said_first_and_then_done_and_recorded(runs, capsys, tmp_path):
    shred.main([str(runs[0])])
    shown = capsys.readouterr().out
    assert "would be erased, and with it 2 files" in shown and "nothing was erased" in shown
    assert f"{runs[0]}: the run has not ended, and could not go on without its key" in " ".join(shown.split())
    (runs[1] / HEAD).touch()
    shred.main([str(runs[1])])
    assert "has not ended" not in capsys.readouterr().out
    assert data_key_of(runs[0])
    copy = shutil.copytree(runs[0] / "checkpoints", tmp_path / "backup" / "checkpoints").parent
    shred.main([str(runs[0]), "--apply"])
    assert "is erased, and with it 2 files" in capsys.readouterr().out
    ((line, _),) = read_log(runs[0])
    assert (line.category, line.files, line.key_erased, line.keep_days) == ("key", 2, True, None)
    for folder in (runs[0], copy):
        with pytest.raises(ConfigError, match="can be read by nobody"):
            load_newest_checkpoint(folder / "checkpoints")
    with pytest.raises(ConfigError, match="nothing that is encrypted"):
        shred.main([str(runs[0]), "--apply"])
    assert load_newest_checkpoint(runs[1] / "checkpoints")  # the other run has a key of its own


def test_a_tokenised_file_that_a_kill_left_half_removed_can_be_read_by_nobody(spec, monkeypatch):
    folder = Path(spec.cache_folder)

    def killed(*_, **__):
        raise KeyboardInterrupt

    for step in ("rename", "rmtree"):  # before its files are out of sight, and before they are deleted
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path if step == "rename" else shutil, step, killed)
            take_away(folder)
        left = [path.parent for path in folder.parent.rglob("*.npy")]
        assert left and not any(is_encrypted(one) for one in left)


def test_who_erases_at_the_same_time_as_another_is_told_that_nothing_was_there(runs, monkeypatch):
    opened = os.open

    def erased_meanwhile(path, flags, *rest):
        Path(path).unlink()
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", erased_meanwhile)
    assert not envelope.shred(runs[0])


def test_a_run_that_is_named_twice_is_one_and_erased_twice_has_one_line(runs, keys, capsys):
    twice = [str(runs[0]), str(runs[0].parent / "second" / ".." / "first")]
    assert key_life.rotate([Path(one) for one in twice], str(keys[1])) == [runs[0]]
    shred.main([*twice, "--apply"])
    assert capsys.readouterr().out.count("is erased") == 1
    with pytest.raises(ConfigError, match="found none"):
        key_life.erase_key(runs[0])
    assert len(read_log(runs[0])) == 1


def test_the_runs_below_a_folder_are_not_taken_for_a_cache(runs, keys, tmp_path):
    with pytest.raises(ConfigError, match="found a folder above such; name each of them"):
        shred.main([str(tmp_path), "--apply"])
    with pytest.raises(ConfigError, match="name each of them"):
        key_life.rotate([tmp_path], str(keys[1]))
    assert all(is_encrypted(root) for root in runs)


def test_a_tokenised_file_is_shredded_with_its_copy_and_made_anew_when_it_is_asked_for(tmp_path, keys, spec):
    folder = Path(spec.cache_folder)
    copy, text = tmp_path / "backup" / folder.name, (tmp_path / "m.jsonl")
    shutil.copytree(folder, copy)
    shred.main([str(tmp_path / "cache"), "--apply"])
    assert not folder.exists()
    (copy / ENVELOPE).unlink()  # as where the copy has its files from a backup, and the key was in none
    with pytest.raises(ConfigError, match="can be read by nobody"):
        open_population(PopulationSpec(0, 2, str(copy)))
    shutil.copytree(copy, folder)
    config = DataConfig(path=text, cache_dir=tmp_path / "cache")
    assert prepare_population(config, 0, None, storage_key=str(keys[0])) == spec
    assert open_population(spec).lexicon == ["walnut", "tundra"]
