import os
from pathlib import PurePosixPath

import pytest

from simulation.run.artefacts import artefact_of, is_to_pass_on, keep_private
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.files_statement import folder_table
from tests.conftest import ROOT


def mode(path):
    return path.stat().st_mode & 0o777


def test_everything_is_closed_but_what_is_to_be_passed_on(tmp_path):
    before = os.umask(0o022)
    try:
        wandb = "wandb/run/files/config.toml"
        for name in ("tensorboard/events", wandb, "model/weights.npz", "model/.draft", "unknown"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "elsewhere").symlink_to(ROOT / "README.md")
        of_the_link = mode(ROOT / "README.md")
        (tmp_path / "gone").symlink_to(tmp_path / "nothing")
        keep_private(tmp_path)
    finally:
        os.umask(before)
    found = {str(path.relative_to(tmp_path)): mode(path) for path in tmp_path.rglob("*") if not path.is_symlink()}
    assert mode(tmp_path) == 0o700
    folders = {"tensorboard": 0o700, "wandb": 0o700, "wandb/run": 0o700, "wandb/run/files": 0o700, "model": 0o755}
    private = ("tensorboard/events", wandb, "model/.draft", "unknown")
    assert found == {**folders, **dict.fromkeys(private, 0o600), "model/weights.npz": 0o644}
    assert mode(ROOT / "README.md") == of_the_link


def test_what_no_row_names_is_private():
    assert artefact_of(PurePosixPath("model/weights.npz")).name == "model/weights.npz"
    assert artefact_of(PurePosixPath("model/notes.txt")) is None and not is_to_pass_on(PurePosixPath("model/notes.txt"))
    assert artefact_of(PurePosixPath("mlflow/artifacts/1/file")).name == "mlflow/"
    assert artefact_of(PurePosixPath("model2/weights.npz")) is None
    assert not is_to_pass_on(PurePosixPath("privacy.md.bak")) and is_to_pass_on(PurePosixPath("privacy.md"))
    assert not is_to_pass_on(PurePosixPath("checkpoints/privacy.md"))


def test_the_privacy_page_has_the_table():
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    assert "\n".join(folder_table()) in page, "python -m simulation.run.files_statement prints it"


@pytest.mark.slow
def test_a_run_leaves_nothing_that_the_table_does_not_name(straight):
    folder, _ = straight
    for path in folder.rglob("*"):
        place = PurePosixPath(path.relative_to(folder).as_posix())
        assert artefact_of(place) is not None or str(place) == "model", place
        if not is_to_pass_on(place):
            assert mode(path) == (0o700 if path.is_dir() else 0o600), place
    assert mode(folder) == 0o700
    salt = load_newest_checkpoint(folder / "checkpoints")[0].about["salt"].encode()
    assert {path.parent.name for path in folder.rglob("*") if path.is_file() and salt in path.read_bytes()} == {
        "checkpoints"
    }
