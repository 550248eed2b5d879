"""What a policy lets go is gone, recorded and, where it was encrypted, read by nobody; the statement still holds."""

import io
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client_model.config import DataConfig
from client_model.text.population import open_population, prepare_population
from simulation.commands import check_privacy, retain
from simulation.run.artefacts import ARTEFACTS
from simulation.run.checkpoint import load_newest_checkpoint, save_checkpoint
from simulation.storage.deletion_log import LOG, Deletion, read_log, record_deletion
from simulation.storage.run_files import begin_storage, read_secret, write_secret
from simulation.studies.retention import (
    ALWAYS_KEPT,
    CATEGORIES,
    delete_from_caches,
    delete_from_run,
    look_at_caches,
    look_at_run,
    read_policy,
)
from simulation.studies.retention_report import retain as show
from tests.conftest import ROOT
from tests.simulation.storage.encrypted_run import DIGITS, TINY, key_file, played, write_messages
from typefleet import chained_log
from typefleet.chained_log import chained
from typefleet.errors import ConfigError, InputError
from typefleet.sealed.envelope import ENVELOPE, data_key_of, is_encrypted

DAY_S = 86_400.0
DELETION = Deletion("2026-11-30T10:00:00+00:00", "report.html", "reports", 1, 10, 30.0, 31.5, key_erased=False)


def aged(path, days):
    then = time.time() - days * DAY_S
    for one in [*path.rglob("*")] if path.is_dir() else [path]:
        os.utime(one, (then, then))


@pytest.fixture
def run(tmp_path):
    """Files of an encrypted run, as old as a test makes them."""
    root = tmp_path / "run"
    (root / "checkpoints").mkdir(parents=True)
    (root / "tensorboard").mkdir()
    begin_storage(root, str(key_file(tmp_path / "key", DIGITS)))
    save_checkpoint(root / "checkpoints", 1, {}, {"n": 1}, 1)
    write_secret(root, root / "held_out.parquet", b"counts")
    for name in ("config.toml", "privacy.json", "privacy_head.json", "report.html", "tensorboard/events"):
        (root / name).write_text("x" * 10)
    return root


def test_every_file_of_a_run_is_in_one_category_or_always_stays():
    sorted_in = [name for names in CATEGORIES.values() for name in names]
    assert sorted([*sorted_in, *ALWAYS_KEPT]) == sorted(one.name for one in ARTEFACTS)


def test_only_what_is_old_enough_and_named_goes(run):
    aged(run / "tensorboard", 40)
    aged(run / "report.html", 10)
    found = look_at_run(run, {"telemetry": 30, "reports": 30, "people": 30})
    assert [(one.what, one.is_over) for one in found] == [
        ("held_out.parquet", False),
        ("tensorboard/", True),
        ("report.html", False),
    ]
    assert [one.what for one in delete_from_run(run, found)] == ["tensorboard/"]
    assert not (run / "tensorboard").exists() and (run / "report.html").exists() and is_encrypted(run)
    ((line, _),) = read_log(run)
    assert (line.what, line.files, line.bytes, line.keep_days, line.key_erased) == ("tensorboard/", 1, 10, 30, False)
    assert line.age_days == pytest.approx(40, abs=0.1)
    assert delete_from_run(run, look_at_run(run, {"telemetry": 30})) == [] and len(read_log(run)) == 1


def test_the_key_goes_with_the_last_that_is_encrypted(run):
    kept = (run / "held_out.parquet").read_bytes(), (run / ENVELOPE).read_bytes()
    aged(run / "checkpoints", 40)
    found = look_at_run(run, {"checkpoints": 30})
    assert [one.key_erased for one in found] == [False]  # what was counted on people is encrypted, and stays
    delete_from_run(run, found)
    assert data_key_of(run) and not (run / "checkpoints").exists()
    assert read_secret(run, run / "held_out.parquet") == b"counts"
    found = look_at_run(run, {"checkpoints": 0, "people": 0, "reports": 0})
    assert [(one.what, one.key_erased) for one in found] == [("held_out.parquet", True), ("report.html", False)]
    delete_from_run(run, found)
    assert not is_encrypted(run) and [line.key_erased for line, _ in read_log(run)] == [False, True, False]
    (run / "held_out.parquet").write_bytes(kept[0])  # as from a backup
    with pytest.raises(ConfigError, match="can be read by nobody"):
        read_secret(run, run / "held_out.parquet")


def test_an_expired_run_still_holds_what_it_claims_and_says_what_is_gone(tmp_path, capsys):
    messages = write_messages(tmp_path / "m.jsonl")
    root, key = tmp_path / "run", key_file(tmp_path / "key", DIGITS)
    played(
        *TINY,
        *("--data.path", messages, "--data.cache-dir", tmp_path / "cache"),
        *("--output-dir", root, "--storage.key", key),
    )
    assert check_privacy.main([str(root)]) == 0
    capsys.readouterr()
    policy = tmp_path / "policy.toml"
    policy.write_text("[keep_days]\n" + "".join(f"{name} = 0\n" for name in CATEGORIES))
    flags = [str(root), "--policy", str(policy), "--cache-dir", str(tmp_path / "cache")]
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert retain.main(flags) == 0 and sorted(path.name for path in tmp_path.rglob("*")) == before
    shown = capsys.readouterr().out
    assert "nothing was deleted" in shown and "goes, with its key" in shown
    assert retain.main([*flags, "--apply"]) == 0
    left = {path.name for path in root.iterdir()}
    assert left == {
        *("model", "privacy.json", "privacy.md", "privacy_head.json", "privacy_ledger.jsonl"),
        *("config.toml", "summary.json", LOG, "audit_trail.jsonl", ".lock"),
    }
    capsys.readouterr()
    key.unlink()
    assert check_privacy.main([str(root)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "privacy.json agrees" in said and "deleted on 20" in said and "as deletions.jsonl says" in said
    (root / ENVELOPE).write_text("{}")  # what was erased is there again
    assert check_privacy.main([str(root)]) == 1 and "was to be erased, and is there" in capsys.readouterr().err
    (root / ENVELOPE).unlink()
    lines = (root / LOG).read_text().splitlines()
    (root / LOG).write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    assert check_privacy.main([str(root)]) == 1 and LOG in capsys.readouterr().err


def test_a_run_that_has_not_ended_is_left_alone_unless_asked(run):
    (run / "privacy_head.json").unlink()
    shown = io.StringIO()
    show(shown, [run], {"reports": 0}, None, apply=True)
    assert "has not ended" in shown.getvalue() and (run / "report.html").exists() and not (run / LOG).exists()
    show(shown, [run], {"reports": 0}, None, apply=True, unfinished=True)
    assert not (run / "report.html").exists()


def test_caches_go_when_nobody_has_used_them_and_nobody_reads_them(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"user_id": "a", "text": "walnut"}\n{"user_id": "b", "text": "tundra"}\n')
    config = DataConfig(path=tmp_path / "m.jsonl", cache_dir=tmp_path / "cache")
    key = str(key_file(tmp_path / "key", DIGITS))
    plain, sealed = prepare_population(config, 0, None), prepare_population(config, 0, None, storage_key=key)
    os.link(Path(sealed.cache_folder) / ENVELOPE, tmp_path / "same blocks")
    found = look_at_caches(tmp_path / "cache", {"caches": 14}, time.time() + 15 * DAY_S)
    assert len(found) == 2 and all(one.is_over for one in found)
    assert not any(one.is_over for one in look_at_caches(tmp_path / "cache", {"caches": 14}))
    assert look_at_caches(tmp_path / "cache", {"reports": 0}) == []
    reader, shown = open_population(plain), io.StringIO()
    assert (
        show(shown, [], {"caches": 14}, tmp_path / "cache", apply=True) == 0 and "stays 14.0 days" in shown.getvalue()
    )
    gone, left = delete_from_caches(found)
    assert [f"{one.folder / one.what}" for one in gone] == [sealed.cache_folder]
    assert [f"{one.folder / one.what}" for one in left] == [plain.cache_folder] and reader.num_phones == 2
    assert show(shown, [], {"caches": 0}, tmp_path / "cache", apply=True) == 1 and "in use" in shown.getvalue()
    assert set((tmp_path / "same blocks").read_bytes()) == {0}  # its key was overwritten, not only unlinked
    assert [(line.category, line.key_erased) for line, _ in read_log(tmp_path / "cache")] == [("caches", True)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "one table keep_days"),
        ("[keep]\nreports = 1\n", "one table keep_days"),
        ("[keep_days]\n", "one table keep_days"),
        ("[keep_days]\nledger = 1\n", "another name"),
        ("[keep_days]\nreports = -1\n", "days from 0"),
        ("[keep_days]\nreports = nan\n", "days from 0"),
        ("[keep_days]\nreports = true\n", "days from 0"),
        ("[keep_days]\nreports = 'all'\n", "days from 0"),
    ],
)
def test_a_policy_that_is_none_is_refused(tmp_path, text, found):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=found):
        read_policy(path)


def test_the_policy_that_comes_along_names_every_category():
    assert set(read_policy(ROOT / "configs/rules/retention.toml")) == {*CATEGORIES, "caches"}


def test_what_is_no_run_is_refused_and_links_are_left(run, tmp_path):
    with pytest.raises(ConfigError, match="RUN_DIR: expected the folder of a run, or a policy"):
        show(io.StringIO(), [], {"reports": 0}, None, apply=False)
    with pytest.raises(ConfigError, match="expected the folder of a run"):
        look_at_run(tmp_path, {"reports": 0})
    (run / "report.html").rename(tmp_path / "elsewhere.html")
    (run / "report.html").symlink_to(tmp_path / "elsewhere.html")
    found = look_at_run(run, {"reports": 0})
    assert [(one.what, one.is_link, one.is_over) for one in found] == [("report.html", True, False)]
    shown = io.StringIO()
    show(shown, [run], {"reports": 0}, None, apply=True)
    assert "a link; left" in shown.getvalue() and (tmp_path / "elsewhere.html").exists() and not (run / LOG).exists()


def test_the_key_stays_while_a_link_leads_to_what_it_opens(run, tmp_path):
    (run / "checkpoints").rename(tmp_path / "elsewhere")
    (run / "checkpoints").symlink_to(tmp_path / "elsewhere")
    found = look_at_run(run, {"people": 0, "checkpoints": 0})
    assert [(one.what, one.key_erased) for one in found] == [("checkpoints/", False), ("held_out.parquet", False)]
    delete_from_run(run, found)
    assert is_encrypted(run) and load_newest_checkpoint(run / "checkpoints") is not None


def test_a_run_that_is_named_twice_or_let_go_twice_has_one_line_a_deletion(run):
    show(io.StringIO(), [run, run / ".." / run.name], {"reports": 0}, None, apply=True)
    found = look_at_run(run, {"people": 0, "checkpoints": 0})
    assert delete_from_run(run, found) == delete_from_run(run, found) == found  # gone, whoever did it
    assert [line.what for line, _ in read_log(run)] == ["report.html", "checkpoints/", "held_out.parquet"]


def test_drafts_that_a_kill_left_in_a_run_go_and_fresh_ones_stay(run):
    for name in (".noise_secret-0123abcd", ".held_out.parquet-0123abcd", ".held_out.parquet-89abcdef"):
        (run / name).write_bytes(b"secret")
    aged(run / ".noise_secret-0123abcd", 1)
    aged(run / ".held_out.parquet-0123abcd", 1)
    assert delete_from_run(run, look_at_run(run, {"reports": 30})) == []
    assert [path.name for path in run.glob(".*-*")] == [".held_out.parquet-89abcdef"]


def entry(cache, number, days=20, name="{:032x}-1"):
    """An entry of a cache, by its names alone, with a key."""
    folder = cache / name.format(number)
    folder.mkdir(parents=True)
    for file in ("about.json", "lexicon.txt", ENVELOPE):
        (folder / file).write_text("x" * 10)
    aged(folder, days)
    os.utime(folder, (time.time() - days * DAY_S,) * 2)
    return folder


def test_two_at_once_write_one_log_with_each_deletion_in_it_once(tmp_path, monkeypatch):
    def chained_slowly(body, previous):
        time.sleep(0.001)  # between reading the last line and writing the next, so that the other has its turn there
        return chained(body, previous)

    monkeypatch.setattr(chained_log, "chained", chained_slowly)
    for number in range(20):
        entry(tmp_path, number)
    found = look_at_caches(tmp_path, {"caches": 14})
    with ThreadPoolExecutor(2) as pool:  # a lock is an open file's, so that two threads are as two processes
        for done in [pool.submit(delete_from_caches, half) for half in (found, [*found[10:], *found[:10]])]:
            done.result()
    whats = [line.what for line, _ in read_log(tmp_path)]
    assert sorted(whats) == [one.what for one in found] and [path.name for path in tmp_path.iterdir()] == [LOG]


def test_a_log_that_was_changed_is_said_and_no_entry_is_in_use(tmp_path):
    folder = entry(tmp_path, 1)
    (tmp_path / LOG).write_text("{}\n")
    with pytest.raises(InputError, match=r"deletions\.jsonl:1"):
        delete_from_caches(look_at_caches(tmp_path, {"caches": 14}))
    assert folder.exists()


def test_what_a_killed_one_left_of_an_entry_goes_with_its_key_and_a_fresh_draft_stays(tmp_path):
    left, damaged = (entry(tmp_path, n, 1, ".draft-{:08x}") for n in (1, 2))
    fresh = entry(tmp_path, 3, 0, ".draft-{:08x}")
    (damaged / "about.json").unlink()
    os.utime(damaged, (time.time() - DAY_S,) * 2)
    os.link(left / ENVELOPE, tmp_path / "same blocks")
    shown = io.StringIO()
    assert show(shown, [], {"caches": 14}, tmp_path, apply=True) == 0 and "a draft" in shown.getvalue()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [fresh.name]
    assert set((tmp_path / "same blocks").read_bytes()) == {0}
    assert [line.key_erased for line, _ in read_log(tmp_path)] == [True, True]


@pytest.mark.parametrize(
    "change", ["a value", "a line taken out", "two lines turned", "a hash", "another key", "no JSON"]
)
def test_a_log_that_was_changed_is_refused(tmp_path, change):
    for _ in range(3):
        record_deletion(tmp_path, DELETION)
    assert [line for line, _ in read_log(tmp_path)] == [DELETION] * 3
    path = tmp_path / LOG
    lines = path.read_text().splitlines()
    entry = json.loads(lines[1])
    changed = {
        "a value": [lines[0], json.dumps({**entry, "bytes": 11}), lines[2]],
        "a line taken out": [lines[0], lines[2]],
        "two lines turned": [lines[1], lines[0], lines[2]],
        "a hash": [lines[0], json.dumps({**entry, "hash": "0" * 64}), lines[2]],
        "another key": [lines[0], json.dumps({**entry, "who": "me"}), lines[2]],
        "no JSON": [lines[0], "{", lines[2]],
    }[change]
    path.write_text("\n".join(changed) + "\n")
    with pytest.raises(InputError, match=r"deletions\.jsonl:[1-3]"):
        read_log(tmp_path)
    with pytest.raises(InputError):
        record_deletion(tmp_path, DELETION)


def test_half_a_line_is_none_and_the_next_one_takes_its_place(tmp_path):
    record_deletion(tmp_path, DELETION)
    with (tmp_path / LOG).open("a") as file:
        file.write('{"number": 2, "at"')
    assert len(read_log(tmp_path)) == 1
    record_deletion(tmp_path, DELETION)
    assert len(read_log(tmp_path)) == 2 and (tmp_path / LOG).stat().st_mode & 0o777 == 0o600


def entry_of(cache, digit, days):
    """The folder of a tokenised file, as it is named, unused for so many days."""
    folder = cache / f"{digit * 32}-jsonl-error-5"
    folder.mkdir(parents=True)
    (folder / "about.json").write_text("{}")
    os.utime(folder, (time.time() - days * DAY_S,) * 2)
    return folder


def shown_of(runs, cache_dir=None, **how):
    out = io.StringIO()
    code = show(out, runs, {"caches": 14}, cache_dir, apply=how.get("apply", False))
    return code, out.getvalue()


def test_the_cache_of_a_run_is_that_of_its_settings_and_no_other_is_touched(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    usual, own = entry_of(tmp_path / "home/typefleet", "a", 20), entry_of(tmp_path / "own", "b", 20)
    again = entry_of(tmp_path / "own", "c", 1)
    (run / "config.toml").write_text(f'[data]\ncache_dir = "{tmp_path / "own"}"\n')
    code, said = shown_of([run, run], apply=True)
    assert (
        code == 0 and "bbbbbbbb-jsonl-error-5" in said and "cccccccc-jsonl-error-5" in said and "aaaaaaaa" not in said
    )
    assert usual.exists() and again.exists() and not own.exists()
    (run / "config.toml").write_text("seed = 1\n")
    assert "aaaaaaaa" in shown_of([run])[1] and "aaaaaaaa" in shown_of([])[1]
    assert "aaaaaaaa" not in shown_of([run], tmp_path / "own")[1]


def test_that_nothing_is_due_is_said(run, tmp_path):
    (run / "config.toml").write_text("seed = 1\n")
    assert shown_of([run], tmp_path)[1].endswith("nothing is due\n")
    entry_of(tmp_path / "own", "b", 20)
    assert "nothing is due" not in shown_of([run], tmp_path / "own")[1]
    (run / "privacy_head.json").unlink()  # it has not ended, and was not looked at
    assert "nothing is due" not in shown_of([run], tmp_path)[1]
