"""The completion scripts are ones that bash and zsh take, and know subcommands, flags, values, kinds and paths."""

import re
import shutil
import subprocess
from importlib import import_module

import pytest

from simulation.commands.completion import completion_script
from simulation.commands.completion_options import completed_commands
from simulation.subcommands import SUBCOMMANDS
from tests.waiting import PATIENCE_S
from typefleet import MECHANISMS, Kind

MECHANISM_NAMES = ["gaussian", "tree", "banded", "blt", "none"]
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not on this machine (apt-get install zsh)")


@pytest.fixture(scope="module")
def commands():
    return {one.name: one for one in completed_commands()}


@pytest.mark.parametrize("name", ["run", "dry-run", "sweep", "fit", "budget", "compare"])
def test_the_flags_are_those_of_the_help(name, commands, capsys):
    one = commands[name]
    with pytest.raises(SystemExit):
        import_module(f"simulation.commands.{SUBCOMMANDS[name].module}").main(["--help-all"])
    helped = set(re.findall(r"(?<!\S)--?[a-z][\w.-]*", "\n".join(_names_of_flags(capsys.readouterr().out))))
    defaults = {(chooser.flag, chooser.default) for chooser in one.kinds}
    implied = {flag for chooser in one.kinds for flag, _ in chooser.implied_by}
    ours = {f for o in one.flags if o.with_kind in {None, *defaults} for f in o.flags} - implied
    assert ours - {"--help", "--help-all"} == helped - {"-h", "--help"}


def _names_of_flags(page):
    """The lines of a help page that begin with a flag, as far as its names go."""
    return [re.match(r"  (-[^\s,]*(?:, -[^\s,]*)*)", line)[1] for line in page.splitlines() if re.match(r"  -", line)]


def test_what_is_said_beside_a_flag_is_one_line(commands):
    abouts = [option.about for one in commands.values() for option in one.options]
    assert len(abouts) > 200 and not [about for about in abouts if "\n" in about or len(about) > 90]


def test_a_kind_of_somebody_else_is_offered():
    with MECHANISMS.lend(Kind("mine", "none of ours", make=lambda settings: None)):
        assert "gaussian tree banded blt none mine" in completion_script("bash")
    assert "none mine" not in completion_script("bash")


# bash --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "typefleet.bash"
    path.write_text(completion_script("bash"))
    return path


def completed(bash_script, *words, folder=None):
    """What bash offers for the last of the words."""
    asks = (
        'source "$0"; COMP_WORDS=(typefleet "$@"); COMP_CWORD=$#; '
        '_typefleet; printf "%s\\n" "${COMPREPLY[@]}"; complete -p typefleet'
    )
    done = subprocess.run(
        ["bash", "-c", asks, bash_script, *words], capture_output=True, text=True, check=True, cwd=folder
    )
    *offered, registered = done.stdout.splitlines()
    assert registered == "complete -F _typefleet typefleet" and done.stderr == ""
    return [word for word in offered if word]


@needs_bash
def test_bash_knows_subcommands_flags_and_values(bash_script):
    assert completed(bash_script, "exp") == ["explain", "export"]
    assert completed(bash_script, "") == [*SUBCOMMANDS, "--help", "--version"]
    assert completed(bash_script, "run", "--cohort.go") == ["--cohort.goal"]
    assert completed(bash_script, "run", "--model.preset", "g") == ["gboard"]
    assert completed(bash_script, "run", "--model.preset", "=", "g") == ["gboard"]  # as bash cuts --flag=value
    assert completed(bash_script, "run", "--privacy.mechanism", "") == MECHANISM_NAMES
    assert completed(bash_script, "run", "--privacy.mechanism", "=") == MECHANISM_NAMES
    assert completed(bash_script, "run", "--tracking.trackers", "mlflow", "w") == ["wandb"]
    assert completed(bash_script, "fit", "--idle", "") == ["screen-off", "locked", "either"]
    assert completed(bash_script, "run", "--help", "pri") == ["privacy"]
    assert completed(bash_script, "completion", "") == ["bash", "zsh"]
    assert completed(bash_script, "run", "--rounds", "") == []  # a number is nothing to guess
    assert completed(bash_script, "no-such-subcommand", "") == []


@needs_bash
def test_bash_offers_flags_and_no_word_of_their_help(bash_script):
    for words in (("run", ""), ("run", "--rounds", "3", ""), ("budget", "--"), ("sweep", "--")):
        offered = completed(bash_script, *words)
        assert len(offered) > 5 and all(word.startswith("-") for word in offered)
    assert completed(bash_script, "run", "--engine.no-pro") == ["--engine.no-profile"]
    of_privacy = [flag for flag in completed(bash_script, "dry-run", "--") if flag.startswith("--privacy")]
    assert of_privacy == ["--privacy.noise-place"]  # which decides how much a phone sends


@needs_bash
def test_bash_offers_the_flags_of_the_kind_that_is_chosen(bash_script):
    def privacy(*words):
        return set(completed(bash_script, "run", *words, "--privacy."))

    by_default = privacy()
    assert not by_default & {"--privacy.buffers", "--privacy.bands"}
    assert privacy("--privacy.mechanism", "blt") - by_default == {"--privacy.buffers", "--privacy.workload"}
    assert "--privacy.bands" in privacy("--privacy.mechanism", "=", "banded")
    assert completed(bash_script, "run", "--fleet.trace-d") == []
    assert completed(bash_script, "run", "--fleet.trace", "t.csv", "--fleet.trace-d") == ["--fleet.trace-devices"]


@needs_bash
def test_bash_offers_paths_where_one_is_taken(bash_script, tmp_path):
    (tmp_path / "a run").mkdir()
    (tmp_path / "a.toml").touch()
    for words, offered in {
        ("run", "--config", "a"): ["a run", "a.toml"],
        ("run", "--output-dir", "a"): ["a run"],
        ("export", ""): ["a run"],
        ("compare", "a run", ""): ["a run"],
        ("sweep", "a."): ["a.toml"],
        ("verify", "a run", "--public-key", "a."): ["a.toml"],
    }.items():
        assert sorted(completed(bash_script, *words, folder=tmp_path)) == offered, words
    assert all(word.startswith("-") for word in completed(bash_script, "export", "a run", "", folder=tmp_path))


# zsh ---------------------------------------------------------------------------------------------------------

# Types into a zsh whose compadd says what it is asked to offer. $1: a completion script, $2: a folder; then what stands
# before TAB.
TYPED_INTO = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; cd ${(q)2}; autoload -U compinit; compinit -u -D; source ${(q)1}"
zpty -w shell 'compadd() {
  local word; local -a offered
  for word; do
    case $word in (-|--) break ;; (-*[OAD]) builtin compadd "$@"; return ;; esac
  done
  builtin compadd -A offered "$@"; print -rl -- "" "<OFFER>"$^offered
  builtin compadd "$@"
}'
zpty -w shell 'ended() { comppostfuncs=(ended); print "<END>" }; comppostfuncs=(ended); LISTMAX=9999; print "<"READY">"'
zpty -r -m shell seen '*<READY>*'
shift 2
for typed; do
  zpty -w -n shell $'\C-u'"$typed"$'\t'
  zpty -r -m shell seen '*<END>*'
  print -r -- "TYPED $typed"
  print -rl -- ${(M)${(f)seen}:#<OFFER>*}
done
zpty -d shell
"""


@pytest.fixture(scope="module")
def zsh_script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "_typefleet"
    path.write_text(completion_script("zsh"))
    return path


def test_zsh_s_is_a_completion_file_of_the_program(zsh_script):
    assert zsh_script.read_text().startswith("#compdef typefleet\n")


@needs_zsh
def test_zsh_accepts_it(zsh_script):
    done = subprocess.run(["zsh", "-n", zsh_script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def offered_in_zsh(zsh_script, folder, *typed):
    """By what is typed, what an interactive zsh offers at its end."""
    done = subprocess.run(
        ["zsh", "-f", "-c", TYPED_INTO, "zsh", zsh_script, folder, *typed],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("TYPED "):
            own = found[line.removeprefix("TYPED ")] = []
        elif line.strip():
            own.append(line.strip().removeprefix("<OFFER>"))
    return found


@needs_zsh
def test_zsh_completes_what_is_typed(zsh_script, tmp_path):
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run.toml").touch()
    wanted = {
        "typefleet ": list(SUBCOMMANDS),
        "typefleet expo": ["export"],
        "typefleet run --privacy.mechanism ": MECHANISM_NAMES,
        "typefleet run --privacy.mechanism=b": ["banded", "blt"],
        "typefleet run --privacy.mechanism blt --privacy.bu": ["--privacy.buffers"],
        "typefleet run --privacy.bu": [],
        "typefleet run --fleet.trace t.csv --fleet.trace-d": ["--fleet.trace-devices"],
        "typefleet run --tracking.trackers mlflow w": ["wandb"],
        "typefleet run --rounds ": [],
        "typefleet run --config run": ["run.toml", "run-1"],
        "typefleet export ru": ["run-1"],
        "typefleet completion ": ["bash", "zsh"],
        "typefleet run --help pri": ["privacy"],
    }
    found = offered_in_zsh(zsh_script, tmp_path, *wanted)
    assert {typed: set(offered) for typed, offered in found.items()} == {t: set(w) for t, w in wanted.items()}
