"""A forked process is what a started one is, so that tests of what a program does may use either."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.forked_processes import ForkedProcess, run_forked

SHOW = """
import atexit, json, os, sys, threading, time
def say():
    time.sleep(0.05)
    print("from a thread")
atexit.register(print, "at the end")
threading.Thread(target=say).start()
about = [sys.argv, os.getcwd(), sorted(os.environ), sys.path[:2], __name__, os.getsid(0) == os.getpid()]
print(json.dumps(about), sys.stdin.read())
print("error", file=sys.stderr)
sys.exit({code})
"""


def both(args, **how):
    """What a started process leaves, and a forked one."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    for start in (subprocess.Popen, ForkedProcess):
        with start(args, **pipes, start_new_session=True, **how) as process:
            yield (*process.communicate("asked"), process.returncode)


@pytest.mark.parametrize("code", ["0", "3", "None", "'said'"])
@pytest.mark.parametrize("form", ["-c", "file", "-m"])
def test_a_program_has_the_same_arguments_environment_place_and_streams(form, code, tmp_path):
    (tmp_path / "shown.py").write_text(SHOW.format(code=code))
    words = {"-c": ["-c", SHOW.format(code=code)], "file": [str(tmp_path / "shown.py")], "-m": ["-m", "shown"]}[form]
    environment = {"ONE": "1", "PYTHONPATH": str(tmp_path / "more"), "LC_ALL": "C.UTF-8"}
    started, forked = both([sys.executable, *words, "a b", "c"], cwd=tmp_path, env=environment)
    assert started == forked and forked[0].endswith("from a thread\nat the end\n")
    assert forked[2] == {"0": 0, "3": 3, "None": 0, "'said'": 1}[code]


def test_an_error_is_a_traceback_and_1():
    done = run_forked([sys.executable, "-c", "1 / 0"])
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n") and not done.stdout


def test_it_is_looked_at_and_killed_by_its_id_and_leaves_the_others():
    first, second = (ForkedProcess([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    assert first.poll() is second.poll() is None and first.pid != second.pid
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait(60) == first.poll() == -signal.SIGKILL and second.poll() is None
    second.communicate(b"\n", timeout=60)
    assert second.returncode == 0


def test_a_terminal_of_its_own_interrupts_it():
    ours, theirs = pty.openpty()
    code = "import time; print('up', flush=True)\nwhile True: time.sleep(0.1)"
    process = ForkedProcess([sys.executable, "-c", code], terminal=True, stdin=theirs, stdout=theirs)
    os.close(theirs)
    try:
        assert b"up" in os.read(ours, 100)
        os.write(ours, b"\x03")
        assert process.wait(60) == -signal.SIGINT
    finally:
        os.close(ours)


def test_it_starts_with_one_thread_and_nothing_begun():
    look = "len(os.listdir('/proc/self/task')), 'tensorflow' in sys.modules, random.random(), tempfile.gettempdir()"
    asked = f"import json, os, sys, random, tempfile; print(json.dumps([{look}]))"
    found = [
        json.loads(run_forked([sys.executable, "-c", asked], env={**os.environ, "TMPDIR": folder}).stdout)
        for folder in ("/tmp", "/")
    ]
    assert [one[:2] for one in found] == [[1, True]] * 2
    assert found[0][2] != found[1][2] and [one[3] for one in found] == ["/tmp", "/"]
