"""A finished run that is resumed makes nothing twice, and what it lacks once."""

import io
import json
from dataclasses import replace

import pytest

from simulation.config import RunConfig
from simulation.run.already_done import has_all_results, print_what_there_is
from simulation.run.directory import RunDirectory
from tests.simulation.studies.run_folders import ROUNDS, make_run


@pytest.fixture
def whole(tmp_path):
    """(folder, settings) of a run that has everything."""
    folder = make_run(tmp_path / "run")
    (folder / "participation.json").write_text("{}")
    (folder / "report.html").write_text("a page")
    (folder / "model" / "keyboard.tflite").write_bytes(b"a file")
    manifest = {"keyboard.tflite": {"weights_sha256": RunDirectory(folder).read_summary().weights_sha256}}
    (folder / "model" / "manifest.json").write_text(json.dumps(manifest))
    return RunDirectory(folder), RunConfig()


def test_a_whole_run_has_nothing_left_to_do_and_says_what_to_run(whole):
    directory, config = whole
    assert has_all_results(directory, config)
    said = io.StringIO()
    print_what_there_is(said, directory, ROUNDS)
    text = " ".join(said.getvalue().split())
    assert f"{ROUNDS} rounds are done" in text
    for script in ("report.py", "export_model.py", f"simulate.py --config {directory.root}/config.toml"):
        assert f"scripts/{script}" in text
    assert "stopped early" not in text


def test_a_run_that_a_budget_ended_says_so_again(whole):
    directory, _ = whole
    said, why = io.StringIO(), "privacy budget: the next release would take epsilon to 15.08, above the budget of 7"
    print_what_there_is(said, directory, 1, why)
    text = " ".join(said.getvalue().split())
    assert "is finished: 1 round is done" in text and f"stopped early {why}" in text


@pytest.mark.parametrize("name", ["participation.json", "report.html", "model/keyboard.tflite", "model/manifest.json"])
def test_whatever_is_missing_is_made(whole, name):
    directory, config = whole
    (directory.root / name).unlink()
    assert not has_all_results(directory, config)


def test_files_of_other_weights_and_a_manifest_that_is_none_are_made_again(whole):
    directory, config = whole
    for content in ({"keyboard.tflite": {"weights_sha256": "f" * 64}}, {"keyboard.tflite": 5}, {}):
        (directory.model / "manifest.json").write_text(json.dumps(content))
        assert not has_all_results(directory, config)


def test_what_the_settings_do_not_ask_for_is_not_missing(whole):
    directory, config = whole
    (directory.root / "report.html").unlink()
    (directory.model / "manifest.json").unlink()
    engine = replace(config.engine, report=False, export=False)
    assert has_all_results(directory, replace(config, engine=engine))
    central = replace(config, engine=engine, evaluation=replace(config.evaluation, central=True))
    assert not has_all_results(directory, central)
