"""Drafts that a crash left are removed, and nothing else is."""

import pytest

from simulation.files import write_text_atomically
from simulation.run.drafts import drop_drafts


@pytest.fixture
def root(tmp_path):
    for folder in ("run/checkpoints", "run/model", "run/mine", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "of", ["rounds.parquet", "privacy.json", "noise_secret", "checkpoints/checkpoint-000003.npz", "model/weights.npz"]
)
def test_the_draft_of_a_file_of_the_run_is_removed(of, root, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.fsync", _killed)
        patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # SIGKILL leaves no time for it
        write_text_atomically(root / of, "half of i")
    folder = (root / of).parent
    assert len([path for path in folder.iterdir() if path.is_file()]) == 1
    drop_drafts(root)
    assert not [path for path in folder.iterdir() if path.is_file()]


def _killed(_):
    raise KeyboardInterrupt


def test_the_draft_of_an_export_is_removed_and_no_link_in_it_is_followed(root):
    draft = root / "model" / ".export-a1_b2c3d"
    draft.mkdir()
    (draft / "keyboard.tflite").touch()
    (draft / "away").symlink_to(root.parent / "elsewhere")
    drop_drafts(root)
    assert not draft.exists() and (root.parent / "elsewhere" / "precious").exists()


def test_what_is_not_ours_stays_and_links_are_not_followed(root):
    elsewhere = root.parent / "elsewhere"
    files = (
        *(".notes-1", ".git-mine", ".my-letter-0123abcd", "mine/.privacy.json-0123abcd", ".privacy.json-draft"),
        *("model/.draft-1", "checkpoints/.letter-0123abcd", "model/.export-mine"),
    )
    for name in files:
        (root / name).touch()
    (root / ".export-a1_b2c3d").mkdir()  # not where the export has its own
    links = ("model/.export-00000000", ".privacy.json-0123abcd", ".a-link")
    for name in links:
        (root / name).symlink_to(elsewhere)
    drop_drafts(root)
    assert all((root / name).exists() for name in (*files, *links, ".export-a1_b2c3d"))
    assert (elsewhere / "precious").read_text() == "mine"
