import errno

import numpy as np
import pytest

from simulation.files import write_text_atomically
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint, save_checkpoint


def save(folder, number, keep=3):
    return save_checkpoint(folder, number, {"weights": np.full(1000, number, np.float32)}, {"n": number}, keep)


def test_round_trip_and_only_the_newest_are_kept(tmp_path):
    for n in range(6):
        save(tmp_path, n)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [f"checkpoint-00000{n}.npz" for n in (3, 4, 5)]
    (arrays, about), notes = load_newest_checkpoint(tmp_path)
    assert about == {"n": 5} and (arrays["weights"] == 5).all() and notes == []


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
    (_, about), notes = load_newest_checkpoint(tmp_path)
    assert about == {"n": 1}
    assert len(notes) == 1 and str(path) in notes[0] and "falling back" in notes[0]


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
    with pytest.raises(CheckpointError, match="No space left on device"):
        save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-000001.npz"]


def test_text_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    write_text_atomically(path, "one")
    write_text_atomically(path, "two")
    assert path.read_text() == "two" and [p.name for p in tmp_path.iterdir()] == ["a"]
