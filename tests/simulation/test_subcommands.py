"""What messages print can be run: with a checkout and without one, with an activated environment and without."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import subcommands
from simulation.subcommands import SUBCOMMANDS, command
from tests.conftest import ROOT


def run(line, **kwargs):
    return subprocess.run(shlex.split(line), capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture
def installed_without_a_checkout(monkeypatch, tmp_path):
    """An environment of its own: its Python, and the packages, but no scripts."""
    bin_folder = tmp_path / "an environment" / "bin"
    bin_folder.mkdir(parents=True)
    python = bin_folder / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(subcommands, "scripts_folder", lambda: None)
    monkeypatch.setattr(sys, "executable", str(python))
    return bin_folder


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_printed_command_runs_from_where_it_was_printed(elsewhere, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path if elsewhere else ROOT)
    monkeypatch.setenv("PATH", "/nowhere")  # not activated
    done = run(command("scripts/check_privacy.py", tmp_path / "a run"))
    assert done.returncode == 2 and done.stderr.startswith(f"error: {tmp_path / 'a run'}: expected ")


def test_in_the_checkout_a_script_keeps_its_short_name(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert command("scripts/simulate.py", "--resume", "runs/1").endswith(" scripts/simulate.py --resume runs/1")


def test_nobody_is_sent_to_the_copy_that_flower_runs(monkeypatch, tmp_path):
    copy = tmp_path / "home" / "apps" / "typefleet.0.1.0"
    (copy / "scripts").mkdir(parents=True)
    (copy / "scripts" / "simulate.py").touch()
    monkeypatch.setattr(subcommands, "__file__", str(copy / "simulation" / "subcommands.py"))
    assert subcommands.scripts_folder() == copy / "scripts"
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    assert subcommands.scripts_folder() is None
    assert "typefleet" in (line := command("scripts/simulate.py", "--resume", "runs/1")) and str(copy) not in line


def test_an_activated_environment_is_named_by_its_program(monkeypatch, installed_without_a_checkout):
    monkeypatch.setenv("PATH", str(installed_without_a_checkout))
    assert command("-m tensorboard.main", "--logdir", "x") == "python -m tensorboard.main --logdir x"
    program = installed_without_a_checkout / "typefleet"
    program.touch(mode=0o755)
    assert command("scripts/export_model.py", "runs/1") == "typefleet export runs/1"
    monkeypatch.setenv("PATH", "/nowhere")
    assert command("scripts/export_model.py", "runs/1") == shlex.join([str(program), "export", "runs/1"])


def test_without_scripts_and_program_it_is_the_module(monkeypatch, installed_without_a_checkout):
    monkeypatch.setenv("PATH", "/nowhere")
    line = command("scripts/verify_model.py", "no such run")
    assert shlex.split(line)[1:] == ["-m", "typefleet", "verify", "no such run"]


def test_whoever_called_typefleet_is_told_to_call_it_again(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["typefleet run", "--rounds", "3"])
    assert shlex.split(command("scripts/simulate.py", "--resume", "runs/1"))[-4:][1:] == ["run", "--resume", "runs/1"]
    assert "scripts" not in command("scripts/simulate.py") and "typefleet" in command("scripts/simulate.py")
    assert command("scripts/benchmark.py").endswith("scripts/benchmark.py")  # which is no subcommand
    for other in (["scripts/simulate.py"], ["/some/typefleet run/cell.py"], []):
        monkeypatch.setattr(sys, "argv", other)
        assert command("scripts/simulate.py").endswith("scripts/simulate.py")


def test_every_subcommand_has_a_script_of_the_same_name_in_the_checkout():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    of_a_checkout_only = {"benchmark", "train_public_start"}  # what they write or measure lies in one
    assert {one.module for one in SUBCOMMANDS.values()} - {"completion"} == scripts - of_a_checkout_only


def test_the_scripts_are_found_beside_the_packages():
    assert subcommands.scripts_folder() == Path(ROOT / "scripts").resolve()
