import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from client_model.config import DataConfig
from client_model.text import cache
from client_model.text.formats.base import DataError
from client_model.text.population import open_population, prepare_population
from tests.client_model.text.test_population import EXPECTED, GOOD, texts, write_jsonl
from tests.conftest import ROOT
from tests.simulation.storage.encrypted_run import key_file
from typefleet.sealed.envelope import OtherKeyError, needed_by

DAY_S = 86400


@pytest.fixture
def prepare(tmp_path):
    """prepare("m"): the population of a file of that name, tokenised into tmp_path/cache."""

    def run(name="m", rows=GOOD):
        path = write_jsonl(tmp_path / f"{name}.jsonl", rows)
        return prepare_population(DataConfig(path=path, cache_dir=tmp_path / "cache"), 0, None)

    return run


def entry_of(spec):
    return Path(spec.cache_folder)


def unused_for(spec, days):
    then = time.time() - days * DAY_S
    os.utime(entry_of(spec), (then, then))


def others(number):
    return [*GOOD, {"user_id": "new", "text": f"another file{number}"}]


def test_a_text_that_another_storage_key_keeps_is_refused_with_the_way_out_and_left_as_it_is(tmp_path):
    messages, keys = write_jsonl(tmp_path / "m.jsonl", GOOD), [key_file(tmp_path / d, d * 64) for d in "ab"]
    data = DataConfig(path=messages, cache_dir=tmp_path / "cache")
    folder = entry_of(prepare_population(data, 0, None, storage_key=str(keys[0])))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = rf"^--storage\.key: expected the key of fingerprint {needed_by(folder).fingerprint}, by which this text is "
    with pytest.raises(
        OtherKeyError, match=rf"{said}.* cache {folder.parent} .*, found another one; with --data.cache"
    ):
        prepare_population(data, 0, None, storage_key=str(keys[1]))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    own = replace(data, cache_dir=tmp_path / "own")
    assert entry_of(prepare_population(own, 0, None, storage_key=str(keys[1]))).name == folder.name


def test_everything_in_it_is_its_owners_alone_whatever_the_umask(prepare, tmp_path):
    before = os.umask(0)
    try:
        folder = entry_of(prepare())
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["types.npy", "lexicon.txt", "about.json", "sha256.json", "digests.npy"])
@pytest.mark.parametrize("harm", ["emptied", "cut", "changed", "gone"])
def test_a_damaged_entry_is_made_anew_and_one_line_says_so(prepare, caplog, name, harm):
    spec = prepare()
    path = entry_of(spec) / name
    content = path.read_bytes()
    changed = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
    path.write_bytes({"emptied": b"", "cut": content[:-1], "changed": changed, "gone": b""}[harm])
    if harm == "gone":
        path.unlink()
    assert prepare() == spec and texts(open_population(spec)) == EXPECTED
    prepare()
    if (name, harm) == ("sha256.json", "gone"):  # as earlier versions left it
        assert not caplog.messages
    else:
        (said,) = caplog.messages
        assert "m.jsonl: its tokenised copy in " in said and "is damaged" in said and "\n" not in said


def test_whoever_has_mapped_a_damaged_entry_keeps_it(prepare):
    spec = prepare()
    opened = open_population(spec)
    (entry_of(spec) / "lexicon.txt").write_bytes(b"")
    prepare()
    assert texts(opened) == EXPECTED


def test_the_draft_of_a_killed_process_is_removed_by_the_next_one(prepare, tmp_path):
    folder = entry_of(prepare())
    write_and_wait = (
        "import sys, time\nfrom pathlib import Path\nfrom client_model.text.cache import write_entry\n"
        "def write(file):\n    file.write(b'words'); file.flush(); print('begun', flush=True); time.sleep(60)\n"
        "write_entry(Path(sys.argv[1]), {'types.npy': write}, {})\n"
    )
    command = [sys.executable, "-c", write_and_wait, str(folder.with_name("0" * 32 + "-jsonl-error-3"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout.readline() == "begun\n"
    prepare()
    assert len(list((tmp_path / "cache").glob(".draft-*"))) == 1  # somebody is at work on it
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    prepare()
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_what_is_unused_for_long_goes_unless_a_process_reads_it(prepare, tmp_path):
    old, used, read = (prepare(str(n), others(n)) for n in range(3))
    reader = open_population(read)
    for spec in (old, used, read):
        unused_for(spec, cache.LONGEST_UNUSED_DAYS + 1)
    prepare("1", others(1))
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {entry_of(s).name for s in (used, read)}
    del reader
    prepare("1", others(1))
    assert list((tmp_path / "cache").iterdir()) == [entry_of(used)]


def test_the_longest_unused_go_where_all_of_it_is_too_much(prepare, tmp_path, monkeypatch):
    specs = [prepare(str(n), others(n)) for n in range(4)]
    for days, spec in enumerate(specs):
        unused_for(spec, days)
    sizes = {entry.path: entry.size_bytes for entry in cache.entries(tmp_path / "cache")}
    monkeypatch.setattr(cache, "MOST_BYTES", sum(sizes.values()) - 1)
    prepare("3", others(3))  # which is the oldest, and in need
    assert set((tmp_path / "cache").iterdir()) == {entry_of(specs[i]) for i in (0, 1, 3)}


def test_what_is_not_ours_stays(prepare, tmp_path):
    spec, root = prepare(), tmp_path / "cache"
    ours_with_more = root / f"{'1' * 32}-jsonl-error-3"
    own = ("litertjs-2.5.3/core.js", "notes/types.npy", ".draft-mine/letter.txt", f"{ours_with_more.name}/letter.txt")
    for name in own:
        (root / name).parent.mkdir()
        (root / name).touch()
        os.utime((root / name).parent, (0, 0))
    (root / f"{'2' * 32}-jsonl-error-3").symlink_to(tmp_path)
    assert [entry.path for entry in cache.entries(root)] == [entry_of(spec)]
    prepare()
    assert len(list(root.iterdir())) == 6


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    config = DataConfig(path=write_jsonl(tmp_path / "m.jsonl", GOOD), cache_dir=tmp_path / "file" / "cache")
    with pytest.raises(DataError, match=r"expected a place that can be written, found file exists; set --data.cache"):
        prepare_population(config, 0, None)


def test_a_cache_that_others_may_write_into_is_not_used(prepare, tmp_path, monkeypatch):
    prepare()
    root = tmp_path / "cache"
    root.chmod(0o777)
    with pytest.raises(
        DataError, match=rf"^--data\.cache-dir: {root}: expected .* yours alone, found one that everybody"
    ):
        prepare()
    root.chmod(0o755)
    prepare()
    monkeypatch.setattr(cache.os, "geteuid", lambda: root.stat().st_uid + 1)
    with pytest.raises(DataError, match=r"found one of another user$"):
        prepare()


def test_a_link_in_a_folder_of_messages_stands_for_the_file_it_leads_to(tmp_path):
    messages, elsewhere = tmp_path / "messages", tmp_path / "elsewhere"
    for folder in (messages, elsewhere):
        folder.mkdir()
    target = write_jsonl(elsewhere / "real.jsonl", GOOD)
    (messages / "link.jsonl").symlink_to(target)
    spec = prepare_population(DataConfig(path=messages, cache_dir=tmp_path / "cache"), 0, None)
    assert (
        spec.num_phones == prepare_population(DataConfig(path=target, cache_dir=tmp_path / "cache"), 0, None).num_phones
    )
    write_jsonl(target, others(1))  # another content is another entry
    assert (
        prepare_population(DataConfig(path=messages, cache_dir=tmp_path / "cache"), 0, None).cache_folder
        != spec.cache_folder
    )
    target.unlink()
    with pytest.raises(DataError, match=r"link\.jsonl"):
        prepare_population(DataConfig(path=messages, cache_dir=tmp_path / "cache"), 0, None)
