"""Scripts end in one line and an exit code, whatever is expected to go wrong; a defect keeps its traceback."""

import ast
import errno
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from client_model.text.formats.base import DataError
from client_model.text.vocabulary import VocabularyError
from server_strategy.privacy.ledger import LedgerError
from simulation.flags import run_door
from tests.conftest import ROOT
from tests.waiting import PATIENCE_S
from typefleet.errors import InputError, MachineError, TypefleetError

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def raising(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    "kind",
    [TypefleetError, InputError, MachineError, DataError, VocabularyError, LedgerError],
    ids=lambda k: k.__name__,
)
def test_every_expected_error_is_one_line_and_exit_code_2(kind, capsys):
    assert run_door(raising(kind("run.toml: expected one line,\n   found two"))) == 2
    assert capsys.readouterr() == ("", "error: run.toml: expected one line, found two\n")


def test_an_error_of_the_operating_system_names_what_and_where(tmp_path, capsys):
    assert run_door(lambda: (tmp_path / "none" / "file").write_text("")) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "none" / "file") in said and "found no such file or directory" in said
    assert run_door(raising(OSError(errno.ENOSPC, "No space left on device"))) == 2
    assert capsys.readouterr().err.endswith("found no space left on device\n")


def test_a_broken_pipe_to_a_process_of_ours_is_no_reader_who_has_gone(capsys):
    assert run_door(raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == 2
    said = "error: a process that this one has started: expected to go on, found an end of its pipe\n"
    assert capsys.readouterr().err == said


PIPE_BREAKS_AFTER_A_SIGNAL = """
import os, signal, sys, time
from simulation.flags import run_door
def body():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    except KeyboardInterrupt:
        raise BrokenPipeError
sys.exit(run_door(body))
"""


def test_a_pipe_that_breaks_since_all_is_ending_is_no_error():
    command = [sys.executable, "-c", PIPE_BREAKS_AFTER_A_SIGNAL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_door(lambda: 1 // 0)


def test_the_exit_code_is_the_body_s():
    assert [run_door(lambda: None), run_door(lambda: 0), run_door(lambda: 1)] == [0, 0, 1]


AT_WORK = """
import signal, sys, time
from simulation.flags import run_door
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
sys.exit(run_door(lambda: print("at work", flush=True) or time.sleep(600)))
"""


def test_ctrl_c_is_one_line_and_exit_code_130():
    command = [sys.executable, "-c", AT_WORK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (130, "interrupted\n")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_a_script_does_all_of_its_work_behind_the_door(path):
    *_, last = ast.parse(path.read_text()).body
    assert isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"
    (call,) = last.body
    assert ast.unparse(call).startswith("sys.exit(run_door(")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_a_flag_that_is_not_there_is_one_line(path, script, script_here):
    own_process = find_spec(f"simulation.commands.{path.stem}") is None  # of two scripts that are no commands
    done = (script if own_process else script_here)(path.name, "--no-such-flag")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_too_little_memory_is_one_line(capsys):
    import numpy as np

    assert run_door(lambda: np.zeros(10**17) and None) == 2
    assert capsys.readouterr() == ("", "error: memory: expected enough of it for what was asked, found too little\n")
