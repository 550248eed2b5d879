import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.files import write_text_atomically
from simulation.run.checkpoint import (
    CheckpointError,
    flattened,
    load_newest_checkpoint,
    nested,
    newest_about,
    numbered,
    path_of,
    rewrite_earlier,
    save_checkpoint,
    whole_checkpoint,
)
from typefleet.errors import ConfigError, MachineError


def save(folder, number, keep=3):
    state = {"weights": np.full(1000, number, np.float32), "strategy": {"noise": {"releases": np.array(number)}}}
    return save_checkpoint(folder, number, state, {"n": number}, keep)


def test_round_trip_and_only_the_newest_are_kept(tmp_path):
    for n in range(6):
        save(tmp_path, n)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [f"checkpoint-00000{n}.npz" for n in (3, 4, 5)]
    (state, about, _), notes = load_newest_checkpoint(tmp_path)
    assert about == {"n": 5} and (state["weights"] == 5).all() and notes == []
    assert state["strategy"]["noise"]["releases"] == 5


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped byte", "not a zip"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, damage):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(
        {
            "truncated": bytes(path.read_bytes()[:-100]),
            "empty": b"",
            "flipped byte": bytes(content),
            "not a zip": b"hello",
        }[damage]
    )
    (_, about, _), notes = load_newest_checkpoint(tmp_path)
    assert about == {"n": 1}
    assert len(notes) == 1 and str(path) in notes[0] and "falling back" in notes[0]


def test_a_flipped_bit_in_the_list_of_arrays_is_damage_or_changes_nothing(tmp_path):
    """That list has no checksum."""
    path = save_checkpoint(tmp_path, 2, {"a": np.arange(3), "b": {"c": np.array(2)}}, {"n": 2}, 3)
    content, found = path.read_bytes(), []
    for place in range(content.index(b"PK\1\2"), len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        found.append(whole_checkpoint(path))
    whole = [one for one in found if one is not None]
    assert len(whole) < len(found) / 2
    assert all(one.about == {"n": 2} and plain(one.state) == {"a": [0, 1, 2], "b": {"c": 2}} for one in whole)


def test_none_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        load_newest_checkpoint(tmp_path)
    (tmp_path / "checkpoint-000001.npz").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_newest_checkpoint(tmp_path)


def test_a_failed_write_leaves_the_earlier_checkpoint_and_no_draft(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("simulation.files.np.savez", full)
    with pytest.raises(CheckpointError, match="no space left on device"):
        save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-000001.npz"]


def test_text_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    write_text_atomically(path, "one")
    write_text_atomically(path, "two")
    assert path.read_text() == "two" and [p.name for p in tmp_path.iterdir()] == ["a"]


trees = st.recursive(
    st.integers(0, 9).map(np.array),
    lambda children: st.dictionaries(st.text("abc_0", min_size=1), children, min_size=1),
    max_leaves=8,
)


def plain(tree):
    return tree.tolist() if isinstance(tree, np.ndarray) else {name: plain(value) for name, value in tree.items()}


@settings(max_examples=40)
@given(st.dictionaries(st.text("abc_0", min_size=1), trees))
def test_a_tree_and_its_paths_say_the_same(tree):
    flat = flattened(tree)
    assert all(isinstance(value, np.ndarray) for value in flat.values())
    assert plain(nested(flat)) == plain(tree)


def test_the_file_names_each_array_by_its_path(tmp_path):
    path = save(tmp_path, 3)
    with np.load(path) as stored:
        assert set(stored.files) == {"about", "weights", "strategy/noise/releases"}


@pytest.mark.parametrize("name", ["a/b", "", "/"])
def test_a_name_that_would_read_as_two_is_refused(name):
    with pytest.raises(ValueError, match="expected names without a slash"):
        flattened({"optimizer": {"moments": {name: np.zeros(1)}}})


def test_a_checkpoint_of_before_is_refused_in_one_line(tmp_path):
    """Its arrays lay side by side, and the text beside them had another name."""
    save(tmp_path, 1)
    old = tmp_path / "checkpoint-000002.npz"
    np.savez(old, about_json=np.frombuffer(b'{"salt": "ab"}', np.uint8), world_now_s=np.array(3.0))
    with pytest.raises(ConfigError, match=r"000002\.npz: expected a checkpoint of this version of Typefleet, found"):
        load_newest_checkpoint(tmp_path)


@pytest.mark.parametrize("damaged", [1, 2])
def test_what_is_said_of_a_damaged_one_is_true_of_it(tmp_path, damaged):
    (tmp_path / "checkpoint-000001.npz").write_bytes(b"hello")
    if damaged == 1:
        save(tmp_path, 0)
        (note,) = load_newest_checkpoint(tmp_path)[1]
        assert note.endswith(
            "000001.npz is damaged: cut short, changed, or no checkpoint at all; falling back to the one before"
        )
        return
    os.truncate(save(tmp_path, 2), 900)
    with pytest.raises(CheckpointError) as error:
        load_newest_checkpoint(tmp_path)
    assert str(error.value).count("is damaged") == 2 and "falling back" not in str(error.value)
    assert "pickle" not in str(error.value)


def test_what_a_run_says_of_itself_is_read_where_it_would_go_on(tmp_path, caplog):
    """Past a damaged one, and past files that are none of the run's, such as a copy that somebody keeps."""
    save(tmp_path, 999_999)
    kept = save(tmp_path, 1_000_000)
    shutil.copy(kept, tmp_path / "checkpoint-last-good.npz")
    whole = kept.read_bytes()
    assert newest_about(tmp_path)["n"] == 1_000_000 and not caplog.records
    assert load_newest_checkpoint(tmp_path)[0].path == kept
    for content in (b"", b"hello", whole[:-7], bytes(len(whole))):
        kept.write_bytes(content)
        stored, (note,) = load_newest_checkpoint(tmp_path)
        caplog.clear()
        assert newest_about(tmp_path)["n"] == 999_999 and stored.path.name == "checkpoint-999999.npz"
        assert [record.getMessage() for record in caplog.records] == [note]
    path_of(tmp_path, 999_999).write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"no usable one; .*1000000\.npz is damaged.*999999\.npz is damaged"):
        newest_about(tmp_path)


def test_the_reason_that_the_system_gives_stands_within_the_line(tmp_path, monkeypatch):
    save(tmp_path, 0)
    path = save(tmp_path, 1)
    opened = Path.open

    def refuse(self, *args, **more):
        if self == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(self, *args, **more)

    monkeypatch.setattr(Path, "open", refuse)  # as a disk does that fails
    (note,) = load_newest_checkpoint(tmp_path)[1]
    assert note.endswith("or cannot be read (input/output error); falling back to the one before")


@pytest.mark.parametrize("text", [b"[]", b"3", b"null", b"\xff", b"[" * 99_999])
def test_a_text_that_is_none_is_damage(tmp_path, text):
    np.savez(tmp_path / "checkpoint-000001.npz", about=np.frombuffer(text, np.uint8))
    with pytest.raises(MachineError):
        load_newest_checkpoint(tmp_path)


def test_what_is_left_after_each_write_is_what_the_rule_keeps(tmp_path):
    for n in range(0, 101, 5):
        save(tmp_path, n, keep="spaced")
    assert list(numbered(tmp_path)) == [0, 45, 60, 75, 85, 90, 95, 100]


def test_files_of_other_names_are_neither_counted_nor_deleted(tmp_path):
    mine = tmp_path / "checkpoint-000001 (copy).npz"
    mine.write_bytes(b"mine")
    for n in range(5):
        save(tmp_path, n, keep=1)
    assert list(numbered(tmp_path)) == [4] and mine.read_bytes() == b"mine"


def test_earlier_ones_are_written_again_and_what_nobody_can_read_goes(tmp_path):
    for n in range(4):
        save(tmp_path, n, keep="all")
    path_of(tmp_path, 1).write_bytes(b"damaged, and may hold anything")
    rewrite_earlier(tmp_path, 3, lambda state: {**state, "strategy": {"noise": {"releases": np.array(-1)}}})
    assert list(numbered(tmp_path)) == [0, 2, 3]
    for n, path in numbered(tmp_path).items():
        with np.load(path) as stored:
            assert stored["strategy/noise/releases"] == (3 if n == 3 else -1) and (stored["weights"] == n).all()
