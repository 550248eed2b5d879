"""Every command on a run leaves a line when it begins and one when it ends, and nothing of what it was told."""

import hashlib
import json
import os
import pwd
import re
import subprocess
import sys
from datetime import datetime
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.api import resume
from simulation.audit_trail import (
    ACTOR,
    FORM,
    TRAIL,
    begin_on,
    files_of,
    flag_names,
    has_parsed,
    recording,
    run_of,
)
from simulation.commands.dispatch import dispatch
from simulation.flags import run_door
from simulation.subcommands import SUBCOMMANDS
from tests.conftest import ROOT
from tests.scripts.test_imports import imported
from tests.waiting import PATIENCE_S
from typefleet.errors import InputError

SECRET = "private-value-7351"
# What a command needs besides a run to get as far as its work, by module; each is refused soon after, or reads only.
ARGUMENTS = {
    "simulate": ["--resume", "{run}", "--output-dir", f"{{tmp}}/{SECRET}"],
    "compare_runs": ["{run}", "{run}"],
    "audit": ["{run}", "--attacks", SECRET],
    "explain_phone": ["{run}", "--phone", SECRET],
    "account": [f"{{tmp}}/{SECRET}", "--abandon", "{run}"],
    "export_model": ["{run}", f"--require={{tmp}}/{SECRET}"],
    "publish": ["{run}", f"{{tmp}}/{SECRET}/inside"],
    "verify_model": ["{run}/model", "--public_key", f"{{tmp}}/{SECRET}"],
    "rotate_key": ["{run}", "--to", f"env:{SECRET}"],
    "retain": ["{run}", "--policy", f"{{tmp}}/{SECRET}"],
    "forget": ["{run}", "--phones", SECRET],
    "sign_off": ["{run}", "--role", "trainer", "--key", f"{{tmp}}/{SECRET}"],
}


def takes_a_run(name):
    """Whether a command's own words say that it does."""
    module = SUBCOMMANDS[name].module
    says = import_module(f"simulation.commands.{module}").__doc__
    return module in ARGUMENTS or re.search(r"\bRUN(_DIR)?\b", says) is not None


ON_RUNS = [name for name in SUBCOMMANDS if takes_a_run(name)]


@pytest.fixture
def run(tmp_path):
    """What makes a folder a run's, and no more: whoever reads on refuses it."""
    folder = tmp_path / "a run"
    (folder / "model").mkdir(parents=True)
    (folder / "config.toml").write_text("rounds = 1\n")
    return folder


def lines_of(folder):
    return [line.says for line in FORM.read(folder).lines]


def test_most_commands_are_on_runs():
    assert {"run", "report", "check", "trail", "export", "shred", "demo", "account", "compare"} <= {*ON_RUNS}
    assert {"keys", "dry-run", "completion", "cache"}.isdisjoint(ON_RUNS)


@pytest.mark.parametrize("name", ON_RUNS)
def test_each_command_that_takes_a_run_is_in_its_trail_with_its_exit_code_and_without_its_values(
    name, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["typefleet"])  # which the subcommand's name is put behind
    given = ARGUMENTS.get(SUBCOMMANDS[name].module, ["{run}"])
    arguments = [one.format(run=run, tmp=tmp_path) for one in given]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    code = run_door(lambda: dispatch([name, *arguments]))
    assert len(lines_of(run)) == 2, "its arguments may have to be in ARGUMENTS"
    begin, end = lines_of(run)
    assert (begin["event"], begin["command"], end["event"], end["of"]) == ("begin", name, "end", 1)
    assert end["exit_code"] == code, capsys.readouterr().err
    flags = [one.partition("=")[0].replace("_", "-") for one in arguments if one.startswith("--")]
    assert begin["flags"] == flags
    assert SECRET not in (run / TRAIL).read_text() and str(run) not in (run / TRAIL).read_text()
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    left = {path.name for path in after.keys() - before.keys()} - {".lock"}
    assert TRAIL in left and all(after[path] == content for path, content in before.items())


def test_a_line_says_when_who_and_in_which_state_the_run_was(run, monkeypatch):
    (run / "privacy_ledger.jsonl").write_text(f'{{"hash": "{"a" * 64}"}}\n{{"hash": "{"b" * 64}"}}\n{{"hash": "cc')
    monkeypatch.setenv(ACTOR, "Anna, on call")
    with recording("export"):
        begin_on(run)
        (run / "model" / "weights.npz").write_bytes(b"weights")
    begin, end = lines_of(run)
    assert begin["user"] == pwd.getpwuid(os.getuid()).pw_name and begin["actor"] == "Anna, on call"
    assert datetime.fromisoformat(begin["at"]).utcoffset().total_seconds() == 0 and begin["at"] <= end["at"]
    config = hashlib.sha256((run / "config.toml").read_bytes()).hexdigest()
    assert begin["files"] == {"config.toml": config, "privacy_ledger.jsonl": "b" * 64}
    assert end["files"] == begin["files"] | {"model/weights.npz": hashlib.sha256(b"weights").hexdigest()}
    assert files_of(run) == end["files"] and begin["salt"] != end["salt"]
    (run / "privacy_ledger.jsonl").write_text('{"hash": 5}\n')
    assert "privacy_ledger.jsonl" not in files_of(run)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[1A", "x" * 81])
def test_a_name_that_no_line_can_have_is_refused_before_anything_is_done(name, run, monkeypatch, capsys):
    monkeypatch.setenv(ACTOR, name)
    assert run_door(lambda: dispatch(["check", str(run)])) == 2
    said = f"error: {ACTOR}: expected a name of 1 to 80 printable characters, found another text\n"
    assert capsys.readouterr().err == said and not (run / TRAIL).exists()


def test_a_trail_that_cannot_be_written_is_one_line_and_the_command_goes_on(run, capsys):
    (run / TRAIL).mkdir()  # in the way, as a folder is that cannot be written
    assert run_door(lambda: has_parsed("report", [], [run]) or print("the report")) == 0
    out, errors = capsys.readouterr()
    assert out == "the report\n" and errors.count("\n") == 1
    assert errors.startswith(f"note: {run / TRAIL}: expected a place that can be written, found ")
    assert errors.endswith("; the audit trail has no line of this\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_only_read_gets_no_line(run, capsys):
    run.chmod(0o500)
    assert run_door(lambda: has_parsed("report", [], [run])) == 0
    run.chmod(0o700)
    assert "permission denied" in capsys.readouterr().err and not (run / TRAIL).exists()


def test_a_trail_that_was_damaged_at_its_end_is_left_as_it_is(run, capsys):
    (run / TRAIL).write_text("{}\n")
    assert run_door(lambda: has_parsed("report", [], [run])) == 0
    assert "expected a line of an audit trail, found another one" in capsys.readouterr().err
    assert (run / TRAIL).read_text() == "{}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("no"), 2), (KeyboardInterrupt(), 130), (OSError(5, "no"), 2), (ZeroDivisionError(), 1), (None, 0)],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_however_a_command_ends_its_exit_code_is_there(error, code, run, capsys):
    def body():
        begin_on(run)
        begin_on(run / "model")  # the same one
        if error is not None:
            raise error

    try:
        assert run_door(body) == code
    except ZeroDivisionError:
        assert code == 1
    begin, end = lines_of(run)
    assert (begin["command"], end["exit_code"]) == ("python", code)


def test_what_is_within_a_command_is_that_command_s(run):
    with recording("sweep") as outer:
        with pytest.raises(InputError), recording("run"):
            begin_on(run)
            raise InputError("no")
        assert outer.exit_code == 2
    assert [(line["event"], line.get("command"), line.get("exit_code")) for line in lines_of(run)] == [
        ("begin", "sweep", None),
        ("end", None, 2),
    ]


def test_a_run_that_goes_on_from_python_is_recorded_and_so_is_that_it_was_refused(run):
    (run / "config.toml").write_text(f"[data]\npath = '{run / 'none.jsonl'}'\n")
    with pytest.raises(InputError):
        resume(run, progress=None)
    begin, end = lines_of(run)
    assert (begin["command"], begin["flags"], end["exit_code"]) == ("run", [], 2)


def test_what_is_no_run_gets_no_trail(tmp_path, run):
    (tmp_path / "config.toml").write_text("")
    with recording("check"):
        for path in (tmp_path, tmp_path / "none", run / "config.toml", run / "model" / "weights.npz"):
            begin_on(path)
    begin_on(run)  # no command is under way
    assert not list(tmp_path.rglob(TRAIL))
    assert run_of(run) == run_of(run / "model") == run


@settings(max_examples=25)
@given(
    st.lists(st.text(max_size=6), max_size=4), st.lists(st.sampled_from(["--phone", "--no_report", "-h", "--a.b-c"]))
)
def test_of_arguments_only_names_are_kept(values, flags):
    arguments = [f"{flag}={value}" for flag, value in zip(flags, values, strict=False)]
    assert flag_names([*arguments, "--", *values]) == list(
        dict.fromkeys(flag.replace("_", "-") for flag, _ in zip(flags, values, strict=False))
    )


KILLED = """
import sys, time
from pathlib import Path
from simulation.audit_trail import has_parsed
from simulation.flags import run_door
run_door(lambda: has_parsed("audit", ["--quick"], [Path(sys.argv[1])]) or print("ready", flush=True) or time.sleep(600))
"""


def test_a_killed_command_leaves_its_beginning_and_the_next_goes_on(run):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(run)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait(PATIENCE_S)
    with (run / TRAIL).open("ab") as file:
        file.write(b'{"number": 2, "event": "en')  # another one was killed while it wrote
    assert run_door(lambda: has_parsed("report", [], [run])) == 0
    events = [(line["event"], line.get("command"), line.get("of")) for line in lines_of(run)]
    assert events == [("begin", "audit", None), ("begin", "report", None), ("end", None, 2)]


def test_a_light_command_stays_light_with_a_trail(run):
    assert imported([[ROOT / "scripts" / "check_trail.py", run]]) == [(0, set())]
    assert [line["event"] for line in lines_of(run)] == ["begin", "end"]


def test_a_line_of_another_form_is_none(run):
    with recording("check"):
        begin_on(run)
    begin, end = lines_of(run)
    digests = {"config.toml": "A" * 64}
    changes = [
        *({"command": value} for value in ("", "Run", 5)),
        *({"flags": value} for value in ("--a", [5], ["value"], None)),
        *({"actor": value} for value in ("", 5)),
        *({"user": value} for value in (None, "a\nb")),
        *({"at": value} for value in ("yesterday", "2026-11-30T10:00:00", 5)),
        *({"files": value} for value in ([], {"other": "a" * 64}, digests, {"config.toml": 5})),
        *({"salt": value} for value in ("", None)),
        *({"event": value} for value in ("end", "", None)),
        {"more": 1},
    ]
    assert FORM.is_line(begin) and FORM.is_line(end)
    assert [change for change in changes if FORM.is_line({**begin, **change})] == []
    for change in ({"exit_code": True}, {"exit_code": None}, {"of": "1"}, {"of": 1.0}, {"user": "a"}):
        assert not FORM.is_line({**end, **change})
    assert not FORM.is_line({name: value for name, value in begin.items() if name != "salt"})
    assert json.loads(json.dumps(begin)) == begin
