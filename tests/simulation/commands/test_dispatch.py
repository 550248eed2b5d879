"""`typefleet` and its subcommands, as a user meets them."""

import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from simulation.commands.dispatch import dispatch, meant_by, overview
from simulation.subcommands import SUBCOMMANDS
from tests.conftest import ROOT
from tests.scripts.test_imports import imported
from typefleet.errors import ConfigError


def typefleet(*arguments):
    command = [sys.executable, "-m", "typefleet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_alone_it_lists_every_subcommand_in_one_line(arguments):
    done = typefleet(*arguments)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for name, one in SUBCOMMANDS.items():
        assert [line for line in lines if line.split()[:1] == [name]] == [f"  {name:13}{one.about}"]
    assert max(map(len, lines)) <= 80 and all(line == line.rstrip() for line in lines)


def test_the_list_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = overview().splitlines()
    assert max(map(len, lines)) <= 60
    words = " ".join(" ".join(lines).split())
    assert all(f"{name} {one.about}" in words for name, one in SUBCOMMANDS.items())


def test_the_list_imports_nothing_heavy():
    asked = [[], ["run", "--help"], ["rnu"]]
    assert imported([["-m", "typefleet", *words] for words in asked]) == [(0, set()), (0, set()), (2, set())]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("exprt", "export"), ("dryrun", "dry-run"), ("personalize", "personalise"), ("Sweep", "sweep")),
        *(("simulate", "run"), ("scripts/simulate.py", "run"), ("simulat", "run"), ("fleet-dry-run", "dry-run")),
        *((one.module, name) for name, one in SUBCOMMANDS.items()),
        *((f"{name}s", name) for name in SUBCOMMANDS),
    ],
)
def test_a_slip_or_the_name_of_a_script_is_taken_for_the_subcommand_that_was_meant(typed, meant):
    assert meant_by(typed) == meant


def test_what_may_have_been_meant_is_said_in_one_line():
    done = typefleet("simulate", "--rounds", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("found none of that name; did you mean typefleet run?\n")


def test_nothing_like_it_is_not_guessed():
    assert typefleet("xyzzy").stderr == (
        "error: typefleet: expected a subcommand that typefleet --help lists, found none of that name\n"
    )


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_a_subcommand_is_the_script_s_own_code_under_its_own_name(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["typefleet"])  # which the subcommand's name is put behind
    with pytest.raises(SystemExit) as stopped:
        dispatch([name, "--help"])
    assert not stopped.value.code and capsys.readouterr().out.startswith(f"usage: typefleet {name} ")
    with pytest.raises(ConfigError, match="expected"):
        dispatch([name, "--no-such-flag"])
    script = ROOT / "scripts" / f"{SUBCOMMANDS[name].module}.py"
    if script.exists():
        module = import_module(f"simulation.commands.{SUBCOMMANDS[name].module}")
        assert f"from {module.__name__} import main" in script.read_text()


def test_the_exit_code_and_the_messages_are_those_of_the_script(script, tmp_path):
    ours, theirs = typefleet("check", tmp_path), script("check_privacy.py", tmp_path)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert ours.returncode == 2


def test_the_console_script_leads_here():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["typefleet"].partition(":")
    code = f"import sys; from {module} import {function}; sys.argv[1:] = ['--version']; sys.exit({function}())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"typefleet {project['version']}\n")


def test_what_is_missing_is_said_in_words():
    done = typefleet("type")
    said = "error: the command line: expected a path (Folder of an exported run), found none\n"
    assert (done.returncode, done.stderr) == (2, said)
