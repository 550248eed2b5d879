"""Which run some weights are of, by whatever way one gets to them."""

from pathlib import Path

import pytest

from simulation.run.earlier_runs import run_of


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run" / "model" / "weights.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "run" / "forgotten.jsonl").touch()
    return path


def test_a_run_is_named_as_it_was_given(weights):
    assert run_of(Path("run/model/weights.npz")) == Path("run")
    Path("link").symlink_to("run")
    assert run_of(Path("link/model/weights.npz")) == Path("link")  # the whole run, so all of it is seen
    assert run_of(Path("elsewhere/weights.npz")) == Path("elsewhere")


@pytest.mark.parametrize("link", ["lk/model", "lk/model/weights.npz", "lk/other.npz", "other.npz"])
def test_a_link_to_weights_leads_to_their_run(weights, link):
    Path(link).parent.mkdir(parents=True, exist_ok=True)
    Path(link).symlink_to(weights.parent if link == "lk/model" else weights)
    assert run_of(Path(link, "weights.npz") if link == "lk/model" else Path(link)) == Path(weights.parents[1])


def test_from_within_the_folder_it_is_the_run_around_it(weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    assert run_of(Path("weights.npz")) == weights.parents[1]


def test_a_run_whose_files_were_moved_stays_that_run(weights):
    weights.parent.rename("stored")
    weights.parent.symlink_to("../stored")
    assert run_of(Path("run/model/weights.npz")) == Path("run")
