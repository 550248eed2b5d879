"""Whatever asks a command to end does, in time, with all that it has started, and in one line."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from simulation.processes import below
from simulation.signals import can_go_on_with, ended_by_signals, was_interrupted
from tests.conftest import ROOT

# A command that says where it is, and counts hashes in native code, which lets no handler of Python's run.
COMMAND = """
import hashlib, os, signal, subprocess, sys, threading, time
from simulation import early_signals, signals
signals.LIMIT_S = 0.5
if {sigint}:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it

def native(seconds=30):
    print("at work", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(seconds * 2e6))

def rounds(unwind_s=0.0):
    stop = threading.Event()
    with signals.first_signal_finishes(stop.set, stop.is_set, lambda: print("finishing", flush=True)):
        try:
            print("at work", flush=True)
            while not stop.is_set() or {stubborn}:
                time.sleep(0.01)
        finally:
            time.sleep(unwind_s)
    print("finished", flush=True)
    return 130

def with_child():
    subprocess.Popen(["sleep", "60"])
    native()

class PutAwaySlowly:  # when Python ends, and no thread of it runs any more
    def __del__(self, hash_many=hashlib.pbkdf2_hmac, say=os.write):
        say(1, b"putting away\\n")
        hash_many("sha256", b"", b"", 60_000_000)

def behind_the_door(body):  # as `run_door` does, which takes longer to import
    with signals.ended_by_signals():
        try:
            return signals.left_with(body())
        except KeyboardInterrupt:
            signals.was_interrupted()
            return signals.left_with(signals.INTERRUPTED)

sys.slow = PutAwaySlowly() if {slow_end} else None  # which Python puts away whatever the collector does
sys.exit(behind_the_door(lambda: {body}))
"""


class Started:
    """The command in a session of its own, as it is from a terminal."""

    def __init__(self, body, *, stubborn=False, sigint=True, slow_end=False, **how):
        code = COMMAND.format(body=body, stubborn=stubborn, sigint=sigint, slow_end=slow_end)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        self.process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **{**streams, **how})
        if self.process.stdout is not None:
            assert self.process.stdout.readline() == "at work\n"

    def send(self, *numbers):
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.1)
        return self

    def child(self):
        """What it has started, once it is in native code."""
        give_up = time.monotonic() + 30
        while not (children := below(self.process.pid)) and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(0.2)
        return children[0]

    def ended(self):
        began = time.monotonic()
        printed, said = self.process.communicate(timeout=60)
        assert time.monotonic() - began < 15  # what they do instead takes 30 s; a busy machine takes some
        return self.process.returncode, printed, said


def runs(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


ASKING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", ASKING)
def test_what_asks_to_end_is_one_line_and_exit_code_130(number):
    assert Started("time.sleep(30) if print('at work', flush=True) is None else 0").send(number).ended() == (
        130,
        "",
        "interrupted\n",
    )


def test_native_code_that_goes_on_is_ended_with_all_that_was_started():
    started = Started("with_child()")
    child = started.child()
    assert started.send(signal.SIGINT).ended() == (130, "", "interrupted\n")
    give_up = time.monotonic() + 15  # the system ends a killed process in its own time; by itself it would take 60 s
    while runs(child) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert not runs(child)


def test_nothing_is_put_away_after_the_second_signal_nor_waited_for_when_another_comes_later():
    twice = Started("rounds()", stubborn=True, slow_end=True).send(signal.SIGINT, signal.SIGINT).ended()
    assert twice == (130, "finishing\n", "interrupted\n")
    done = Started("print('at work', flush=True) or 0", slow_end=True)
    assert done.process.stdout.readline() == "putting away\n"
    assert done.send(signal.SIGINT).ended() == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("number", ASKING)
def test_the_first_signal_finishes_and_the_second_ends(number):
    assert Started("rounds()").send(number).ended() == (130, "finishing\nfinished\n", "")
    twice = Started("rounds()", stubborn=True).send(number, number).ended()
    assert twice == (130, "finishing\n", "interrupted\n")


def test_what_can_go_on_is_said_in_the_same_line_however_it_ends():
    within = "[signals.can_go_on_with('go on').__enter__(), {}]"
    said = "interrupted; go on with: go on\n"
    twice = Started(within.format("rounds()"), stubborn=True).send(signal.SIGINT, signal.SIGTERM).ended()
    assert twice == (130, "finishing\n", said)
    assert Started(within.format("native()")).send(signal.SIGINT).ended() == (130, "", said)  # by the limit


def test_what_has_ended_is_nothing_to_go_on_with(capsys):
    with can_go_on_with("go on"):
        pass
    was_interrupted()
    with pytest.raises(KeyboardInterrupt), can_go_on_with("go on"):
        raise KeyboardInterrupt
    was_interrupted()
    with ended_by_signals():
        was_interrupted()
    assert capsys.readouterr().err == "interrupted\ninterrupted; go on with: go on\ninterrupted\n"


def test_what_takes_long_to_end_after_the_second_signal_is_ended():
    twice = Started("rounds(unwind_s=30)", stubborn=True).send(signal.SIGINT, signal.SIGTERM).ended()
    assert twice == (130, "finishing\n", "interrupted\n")


def test_nohup_outlives_its_terminal():
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    started = Started("rounds()", **ignored).send(signal.SIGHUP)
    assert started.process.poll() is None
    assert started.send(signal.SIGTERM).ended() == (130, "finishing\nfinished\n", "")


# A command started without an output: what it writes to a descriptor must not land in a file of its own.
WITHOUT = """
import os, sys
from simulation.flags import run_door
def body():
    with open(sys.argv[1], "w") as file:
        os.write(1, b"from below")
        print("not here")
        file.write("mine")
sys.exit(run_door(body))
"""


def test_a_command_without_output_works_and_no_file_takes_the_place_of_it(tmp_path):
    command = f'exec "$0" -c "$1" {tmp_path}/file >&- 2>&-'
    assert subprocess.run(["sh", "-c", command, sys.executable, WITHOUT], cwd=ROOT).returncode == 0
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_before_a_command_handles_signals_itself_they_end_it_without_a_word(number, code):
    early = "import os, signal, sys, time; signal.signal(signal.SIGINT, {}); import simulation.early_signals\n"
    early += "os.kill(os.getpid(), signal.{}); time.sleep(0.1); print('goes on')"
    for handler, found in (("signal.default_int_handler", (code, "")), ("signal.SIG_IGN", (0, "goes on\n"))):
        if number == "SIGTERM" and found[0] == 0:
            continue
        done = subprocess.run(
            [sys.executable, "-c", early.format(handler, number)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (*found, "")


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_is_quiet_about_signals_from_its_first_line_on(path):
    ours = ("simulation", "client_model", "server_strategy", "typefleet", "benchmarks")
    lines = [line.split()[1] for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert next(name for name in lines if name.startswith(ours)) == "simulation.early_signals"


def test_python_goes_through_no_objects_when_a_command_has_ended():
    says = "print(gc.get_freeze_count() > 1000)"  # what is registered first is called last
    code = f"import atexit, gc, sys; from simulation.signals import left_with; atexit.register(lambda: {says}); "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(left_with(3))"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "True\n")


@pytest.mark.parametrize("how", ["w", "wb", "w+b"])
def test_a_file_that_a_part_of_somebody_left_open_is_written_when_a_command_ends(tmp_path, how):
    text = "'said'" if how == "w" else "b'said'"
    code = f"""
import sys, types
from simulation.signals import left_with
part = types.ModuleType("part")
exec("import sys; out = open(sys.argv[1], sys.argv[2]); out.write({text}); keeps = lambda: out", vars(part))
sys.modules["part"] = part
sys.exit(left_with(0))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out"), how], cwd=ROOT, check=True)
    assert (tmp_path / "out").read_bytes() == b"said"


def test_a_stream_that_was_taken_apart_is_no_hindrance_when_a_command_ends(tmp_path):
    code = """
import io, sys
from simulation.signals import left_with
sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="utf-8")  # a usual way to have another encoding
sys.out = open(sys.argv[1], "w")
sys.out.write("said")
sys.exit(left_with(0))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr, (tmp_path / "out").read_text()) == (0, "", "said")
