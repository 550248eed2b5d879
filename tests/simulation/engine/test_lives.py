"""One run in several lives, each ended in another way: what is said, what is left, and the same bits at the end.

`python -m benchmarks.soak` does it at random moments, a hundred times.
"""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from simulation.engine import ray_guard
from simulation.run.checkpoint import load_newest_checkpoint
from tests.conftest import ROOT
from tests.forked_processes import ForkedProcess
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.test_runs import assert_same_rounds, rounds_of
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.slow
SIMULATE = (ROOT / "scripts/simulate.py",)
KILLED_RAYLET = ("-m", "tests.simulation.engine.killed_raylet")
FLAGS = [*map(str, WEIGHTS_ONLY), "--rounds", "20", "--cohort.min-separation-rounds", "3"]


class Life:
    """scripts/simulate.py on a terminal of its own, or with pipes."""

    def __init__(self, *flags, temporary, terminal=False, program=SIMULATE):
        self.master, slave = pty.openpty() if terminal else (None, subprocess.PIPE)
        streams = {"stdin": slave} if terminal else {}
        self.process = ForkedProcess(
            [sys.executable, *program, *flags, "--engine.workers", "1"],
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TMPDIR": str(temporary)},
            terminal=terminal,
            **streams,
        )
        if terminal:
            os.close(slave)
            self.shown, self.leaving = b"", threading.Event()
            self.reader = threading.Thread(target=self._read_terminal, daemon=True)
            self.reader.start()
        self.temporary, self.members = temporary, set()

    def until_a_round_more(self, folder):
        """Wait until it has done one, and see whom it has started."""
        before = self.rounds(folder)
        wait_until(lambda: self.rounds(folder) > before or self.process.poll() is not None, "another round")
        driver = psutil.Process(self.process.pid)
        self.members = {driver, *driver.children(recursive=True), *guards_in(self.temporary)}
        assert len(self.members) >= 5  # the driver, its guard, Ray's two, a worker

    @staticmethod
    def rounds(folder):
        return len(rounds_of(folder)) if (folder / "rounds.jsonl").exists() else 0

    def _read_terminal(self):
        """All the time, since who writes waits while the terminal is full."""
        while not self.leaving.is_set():
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.master, 4096)
                except OSError:  # everybody has closed it
                    return

    def close_terminal(self):
        """The terminal goes away: SIGHUP for all, and nowhere to write to."""
        self.leaving.set()
        self.reader.join()
        os.close(self.master)

    def read_terminal(self):
        """What was shown, once nobody is left who could write."""
        self.reader.join()
        os.close(self.master)
        return self.shown.decode(errors="replace")

    def end(self):
        """Its exit code, once it has ended and nothing of it is left."""
        code = self.process.wait(PATIENCE_S)
        _, left = psutil.wait_procs(self.members, timeout=PATIENCE_S / 10)
        assert [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
        return code


@pytest.fixture
def temporary():
    """The folder for temporary files, with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def guards_in(temporary):
    """The processes that clean up after a Ray there; nobody's children."""
    for one in psutil.process_iter(["cmdline"]):
        command = one.info["cmdline"] or []
        if str(ray_guard.__file__) in command and Path(command[-1]).parent == temporary:
            yield one


def folders_in(temporary):
    return [path for path in temporary.iterdir() if path.name.startswith("typefleet-ray-")]


def test_a_run_that_is_ended_in_every_way_goes_on_with_the_same_bits(simulate, temporary, tmp_path):
    straight, folder = tmp_path / "straight", tmp_path / "run"
    simulate(*FLAGS, "--output-dir", straight)

    life = Life(*FLAGS, "--output-dir", folder, temporary=temporary)
    life.until_a_round_more(folder)
    life.process.send_signal(signal.SIGINT)
    assert life.end() == 130 and f"--resume {folder}" in life.process.stdout.read().decode()
    done = load_newest_checkpoint(folder / "checkpoints")[0].about["totals"]["rounds_completed"]
    assert done == len(rounds_of(folder)) < 20 and not folders_in(temporary)

    # While the driver holds an answer that lies in Ray's memory, which is to be given back afterwards.
    life = Life("--resume", folder, temporary=temporary, program=KILLED_RAYLET)
    life.until_a_round_more(folder)
    life.process.send_signal(signal.SIGUSR1)
    assert life.end() == 2 and len(rounds_of(folder)) < 20  # it was seen, and the rest of the run not waited for
    said = life.process.stderr.read().decode()
    assert said.startswith("error: Ray: expected to run on, found it dead: its raylet has ended; the logs in ")
    assert said.count("\n") == 1 and said.endswith("may say why; --resume goes on with the run\n")
    logs = Path(re.search(r"the logs in (\S+)", said)[1])
    assert (logs / "raylet.out").exists()  # kept, for who wants to know
    (kept,) = folders_in(temporary)

    life = Life("--resume", folder, temporary=temporary, terminal=True)
    life.until_a_round_more(folder)
    life.close_terminal()
    assert life.end() == 130
    assert folders_in(temporary) == [kept]

    life = Life("--resume", folder, temporary=temporary, terminal=True)
    life.until_a_round_more(folder)
    os.write(life.master, b"\x03\x03")  # Ctrl-C twice, for all
    shown = life.read_terminal()
    assert life.end() == 130 and len(rounds_of(folder)) < 20  # not the rest of the run
    assert "stopping after this round" in shown and "Traceback" not in shown and "Termination" not in shown

    life = Life("--resume", folder, temporary=temporary)
    life.until_a_round_more(folder)
    life.process.send_signal(signal.SIGKILL)
    assert life.end() == -signal.SIGKILL
    wait_until(lambda: folders_in(temporary) == [kept], "that the guard has removed what was left")

    simulate("--resume", folder)
    assert_same_rounds(straight, folder)
