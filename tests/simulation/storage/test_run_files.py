"""An encrypted run keeps what it promises, whatever is done to its files."""

import json

import pytest

from client_model.text.population import PopulationSpec, open_population
from simulation.commands import check_privacy
from simulation.engine import client_app
from simulation.files import write_bytes_atomically
from simulation.run.checkpoint import load_newest_checkpoint, newest_about, save_checkpoint
from simulation.run.held_out_phones import read_phone_counts
from simulation.storage.run_files import begin_storage, read_secret, require_storage, write_secret
from simulation.studies.key_life import rotate
from tests.simulation.storage.encrypted_run import OTHER, TINY, WORDS, key_file, played
from typefleet.errors import ConfigError
from typefleet.sealed import envelope
from typefleet.sealed.chunks import SealedError, is_sealed
from typefleet.sealed.envelope import ENVELOPE, data_key_of, shred


@pytest.fixture(autouse=True)
def as_another_process(monkeypatch):
    """What earlier tests opened is forgotten."""
    monkeypatch.setattr(envelope, "_OPENED", {})


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_encryption_changes_no_bit_and_what_is_sealed_shows_no_word(tmp_path, messages, monkeypatch):
    found, told, seeded = {}, set(), ("--privacy.noise-source", "seeded", "--data.path", messages)
    key, host_for = key_file(tmp_path / "key", OTHER), client_app.host_for

    def noted(task, own, text_key):
        told.add(text_key)
        return host_for(task, own, text_key)

    for name, own in (("plain", ()), ("sealed", ("--storage.key", key))):
        told.clear()
        with monkeypatch.context() as patched:
            patched.setattr(client_app, "host_for", noted)
            folder = tmp_path / name
            flags = (*TINY, *seeded, "--data.cache-dir", folder / "cache")
            played(*flags, "--output-dir", folder / "run", *own)
        found[name] = json.loads((folder / "run" / "summary.json").read_text())["weights_sha256"]
        (entry,) = (folder / "cache").iterdir()
        shown = {word for word in WORDS for content in files_in(entry).values() if word.encode() in content}
        assert shown == (set() if own else set(WORDS))
        assert told == ({data_key_of(entry)} if own else {b""})  # and the hosts got it with their messages
        checkpoints = list((folder / "run" / "checkpoints").iterdir())
        assert checkpoints and all(is_sealed(path) is bool(own) for path in checkpoints)
        assert is_sealed(folder / "run" / "held_out.parquet") is bool(own)
        assert (folder / "run" / ENVELOPE).exists() is bool(own)
        stated = json.loads((folder / "run" / "privacy.json").read_text())["handling"]
        assert ("with a key of the run's own that a storage key from a file wraps" in stated["at_rest"]) is bool(own)
        assert stated["consent"].startswith("Nobody was asked")
        assert len(read_phone_counts(folder / "run" / "held_out.parquet").phones) == 4
    assert found["plain"] == found["sealed"]
    for content in files_in(tmp_path / "sealed").values():
        assert OTHER.encode() not in content and bytes.fromhex(OTHER) not in content


def test_a_run_goes_on_with_its_key_from_wherever_that_lies_now(stopped, capsys):
    moved = stopped.key.rename(stopped.root / "moved")
    before = files_in(stopped.run)
    with pytest.raises(ConfigError, match="expected a file of 64 hexadecimal digits, found none"):
        played("--resume", stopped.run)
    wrong = key_file(stopped.root / "wrong", OTHER)
    with pytest.raises(ConfigError, match=r"expected the storage key of fingerprint .* found another one"):
        played("--resume", stopped.run, "--storage.key", wrong)
    changed = {name for name, text in files_in(stopped.run).items() if before.get(name) != text}
    assert {name.name for name in changed} <= {".lock", "audit_trail.jsonl"}
    assert before.keys() <= files_in(stopped.run).keys()
    played("--resume", stopped.run, "--storage.key", moved)
    assert json.loads((stopped.run / "summary.json").read_text())["rounds_completed"] == 2
    assert json.loads((stopped.run / ENVELOPE).read_text())["place"] == str(moved)
    assert not (stopped.run / "noise_secret").exists()


def test_a_run_whose_key_was_rotated_goes_on_without_a_flag(stopped):
    new = key_file(stopped.root / "new", OTHER)
    rotate([stopped.run, stopped.cache], str(new))
    stopped.key.unlink()
    envelope._OPENED.clear()
    played("--resume", stopped.run)
    assert json.loads((stopped.run / "summary.json").read_text())["rounds_completed"] == 2


def test_a_shredded_run_is_read_by_nobody_and_its_statement_still_holds(stopped, capsys):
    assert shred(stopped.run)
    for read in (load_newest_checkpoint, newest_about):
        with pytest.raises(ConfigError, match="can be read by nobody"):
            read(stopped.run / "checkpoints")
    with pytest.raises(ConfigError, match="erased, and the run with it"):
        played("--resume", stopped.run)
    stopped.key.unlink()
    assert check_privacy.main([str(stopped.run)]) == 0 and "agrees" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="read by nobody"):
        read_secret(stopped.run, stopped.run / "noise_secret")


def test_checkpoints_that_were_swapped_or_come_from_elsewhere_are_passed_over(stopped):
    folder = stopped.run / "checkpoints"
    (first, second) = sorted(folder.iterdir())
    kept = second.read_bytes()
    second.write_bytes(first.read_bytes())  # an earlier state under the newest name
    checkpoint, (note,) = load_newest_checkpoint(folder)
    assert checkpoint.path == first and "changed" in note and "falling back" in note
    second.write_bytes(kept)
    assert load_newest_checkpoint(folder)[0].path == second and newest_about(folder)["totals"]["server_round"] == 1
    other = stopped.root / "other"
    (other / "checkpoints").mkdir(parents=True)
    begin_storage(other, str(stopped.key))
    foreign = save_checkpoint(other / "checkpoints", 1, {}, {"n": 1}, 1)
    (stopped.root / "plain").mkdir()
    plain = save_checkpoint(stopped.root / "plain", 1, {}, {"n": 1}, 1)
    for content in (foreign.read_bytes(), plain.read_bytes(), kept[:-1], kept[:60], b""):
        second.write_bytes(content)
        checkpoint, notes = load_newest_checkpoint(folder)
        assert checkpoint.path == first and len(notes) == 1
        assert newest_about(folder)["totals"]["server_round"] == 0


def test_the_secret_of_the_noise_is_sealed_and_bound_to_its_run(stopped):
    path = stopped.run / "noise_secret"
    assert is_sealed(path)
    digits = read_secret(stopped.run, path).split()[0]
    raw = path.read_bytes()
    assert len(bytes.fromhex(digits.decode())) == 32 and digits not in raw
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(SealedError, match="changed, cut short"):
        played("--resume", stopped.run)
    path.write_bytes(digits + b" 0000000000000000\n")  # a plain one in its place
    with pytest.raises(SealedError, match="expected a sealed file, found one that is not"):
        played("--resume", stopped.run)


def test_a_rotation_that_is_killed_leaves_the_old_key_at_work(stopped, monkeypatch):
    new = key_file(stopped.root / "new", OTHER)
    content, _ = envelope.wrapped_anew(stopped.run, str(new))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pathlib.Path.replace", killed)
        write_bytes_atomically(stopped.run / ENVELOPE, content, private=True)
    assert data_key_of(stopped.run, str(stopped.key)) and load_newest_checkpoint(stopped.run / "checkpoints")
    write_bytes_atomically(stopped.run / ENVELOPE, content, private=True)
    assert data_key_of(stopped.run, str(new)) and load_newest_checkpoint(stopped.run / "checkpoints")


def test_who_was_told_the_key_of_the_text_needs_no_other(stopped):
    (entry,) = stopped.cache.iterdir()
    spec, key = PopulationSpec(0, 40, str(entry)), data_key_of(entry, str(stopped.key))
    stopped.key.unlink()
    envelope._OPENED.clear()
    assert set(open_population(spec, key).lexicon) == set(WORDS)
    with pytest.raises(ConfigError, match="found none"):
        open_population(spec)
    with pytest.raises(SealedError):
        open_population(spec, bytes(32))


def test_a_run_without_a_key_does_not_get_one_as_it_goes_on(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint(tmp_path / "checkpoints", 1, {}, {}, 1)
    assert require_storage(tmp_path, None) is None
    with pytest.raises(ConfigError, match="began without a storage key"):
        require_storage(tmp_path, str(key_file(tmp_path / "key", OTHER)))
    write_secret(tmp_path, tmp_path / "x", b"as it is")
    assert (tmp_path / "x").read_bytes() == b"as it is" and read_secret(tmp_path, tmp_path / "x") is None
