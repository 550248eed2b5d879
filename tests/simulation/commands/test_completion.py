"""The completion script is one that bash takes, and knows subcommands, flags, choices and files."""

import shutil
import subprocess

import pytest

from simulation.commands.completion import completion_script
from simulation.subcommands import SUBCOMMANDS


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "typefleet.bash"
    path.write_text(completion_script("bash"))
    return path


def test_bash_accepts_it(bash_script):
    done = subprocess.run(["bash", "-n", bash_script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def completed(bash_script, *words):
    """What is offered for the last of the words."""
    asks = (
        'source "$0"; COMP_WORDS=(typefleet "$@"); COMP_CWORD=$#; COMPREPLY=(); '
        '_typefleet; printf "%s\\n" "${COMPREPLY[@]}"; complete -p typefleet'
    )
    done = subprocess.run(["bash", "-c", asks, bash_script, *words], capture_output=True, text=True, check=True)
    *offered, registered = done.stdout.splitlines()
    assert registered == "complete -o default -F _typefleet typefleet"
    return [word for word in offered if word]


def test_it_knows_subcommands_flags_and_choices(bash_script):
    assert completed(bash_script, "ex") == ["export"]
    assert set(completed(bash_script, "")) >= set(SUBCOMMANDS)
    assert completed(bash_script, "run", "--cohort.go") == ["--cohort.goal"]
    assert completed(bash_script, "run", "--model.preset", "g") == ["gboard"]
    assert "--privacy.echo" not in completed(bash_script, "run", "--privacy.")


def test_where_it_knows_nothing_bash_offers_files(bash_script):
    assert completed(bash_script, "export", "REA") == []


def test_zsh_s_names_the_program_and_a_flag():
    script = completion_script("zsh")
    assert script.startswith("#compdef typefleet") and "--cohort.goal" in script
    if shutil.which("zsh"):
        assert subprocess.run(["zsh", "-n"], input=script, text=True, check=False).returncode == 0
