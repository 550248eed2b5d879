"""Workers are forked from a process that has imported what they need, and are as if they had been started."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from client_model.learning.native.available import is_built
from simulation.engine import fork_client, fork_server
from simulation.engine.fork_server import can_be_forked
from tests.conftest import ROOT
from tests.waiting import PATIENCE_S, wait_until

# A driver, which has drawn from all generators that a fork might go on with.
DRIVER = """
import os, random, ssl, sys, threading, uuid
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
random.random(), ssl.RAND_bytes(8), uuid.uuid4(), np.random.random(), X25519PrivateKey.generate(), os.urandom(8)
os.environ.update(OF_THE_DRIVER="1", OF_BOTH="driver")
from simulation.engine.fork_server import ForkServer
from simulation.engine import fork_server
from simulation.engine.ray_folder import RayFolder
{more}
server = ForkServer(RayFolder(), "{kernel}")
print(server.pid, server.folder.root, server.is_fork, flush=True)
input()
server.end()
"""
NOTHING_IMPORTED = "fork_server.import_early = lambda kernel: None"
THREAD = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
# In the place of Ray's program for workers.
WORKER = """
import json, os, random, signal, ssl, sys, time, uuid
import numpy as np
from pathlib import Path
from simulation import start_up
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
drawn = [random.random(), ssl.RAND_bytes(8).hex(), uuid.uuid4().hex, np.random.random(), os.urandom(8).hex()]
drawn.append(X25519PrivateKey.generate().private_bytes_raw().hex())
print(json.dumps({
    "drawn": drawn, "flags": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "name": __name__,
    "threads": len(os.listdir("/proc/self/task")), "tensorflow": "tensorflow" in sys.modules, "id": os.getpid(),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "child": str(signal.getsignal(signal.SIGCHLD)),
    "oom_score": Path("/proc/self/oom_score_adj").read_text().strip(),
    "open": [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.exists()],
}), flush=True)
print("said", file=sys.stderr)
time.sleep(0.01)
start_up.since_the_last("wait", "for a message")
if "--stay" in sys.argv:
    time.sleep(600)
sys.exit(3)
"""


class Driver:
    """A process that has started a fork server."""

    def __init__(self, temporary, more, kernel):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER.format(more=more, kernel=kernel)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pid, folder, is_fork = self.process.stdout.readline().split()
        self.server, self.folder, self.is_fork = psutil.Process(int(pid)), Path(folder), is_fork == "True"

    def worker(self, program, *flags, **how):
        """Start a client as the raylet does."""
        command = [sys.executable, "setup_worker.py", str(program), *flags, "--language=PYTHON"]
        client = [sys.executable, "-I", "-S", fork_client.__file__, str(self.folder / "forks"), *command]
        environment = {**os.environ, "OF_BOTH": "raylet"}
        return subprocess.Popen(client, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **how)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def temporary():
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # short enough for sockets
        yield Path(short)


@pytest.fixture
def drive(temporary):
    started = []

    def begin(more, kernel="auto"):
        started.append(Driver(temporary, more, kernel))
        return started[-1]

    yield begin
    for driver in started:
        driver.kill()
    wait_until(lambda: not list(temporary.glob("typefleet-ray-*")), "that the folder is gone")


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


def said_by(client):
    """What a worker prints, and what it says on standard error, when it has ended or once it stays."""
    printed, errors = client.communicate(timeout=PATIENCE_S)
    assert client.returncode == 0, errors
    return json.loads(printed), errors.decode()


def test_a_forked_worker_is_as_if_it_had_been_started_and_shares_no_randomness(drive, program, tmp_path):
    driver = drive(NOTHING_IMPORTED)
    assert driver.is_fork
    wait_until(lambda: driver.server.name() == "fork-server", "its name")
    readable, writable = os.pipe()
    clients = [driver.worker(program, f"--number={n}", pass_fds=[writable], cwd=tmp_path) for n in (0, 1)]
    os.close(writable)
    told = [said_by(client) for client in clients]
    assert os.read(readable, 1) == b""  # its other end was the workers', who have ended
    os.close(readable)
    for number, (one, errors) in enumerate(told):
        assert one["flags"] == [f"--number={number}"] and one["name"] == "__main__" and errors == "said\n"
        assert one["environment"]["OF_BOTH"] == "raylet" and "OF_THE_DRIVER" not in one["environment"]
        assert one["folder"] == str(tmp_path) and one["threads"] == 1
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} == set(one["blocked"])
        assert (
            one["child"] == str(signal.SIG_DFL) and one["oom_score"] == Path(fork_client.OOM_SCORE).read_text().strip()
        )
        # Of the driver's only what it has imported: not its lock, its guard, nor what it reads.
        assert not [path for path in one["open"] if path.startswith(("socket", str(driver.folder)))]
    (first, _), (second, _) = told
    assert first["id"] != second["id"]
    assert all(a != b for a, b in zip(first["drawn"], second["drawn"], strict=True))
    wait_until(lambda: not driver.server.children(), "workers that have said all to end")
    assert driver.server.status() != psutil.STATUS_ZOMBIE
    assert driver.folder.stat().st_mode & 0o777 == 0o700
    spans = [json.loads(line) for line in (driver.folder / "start_up.jsonl").read_text().splitlines()]
    assert {f"worker {one['id']}" for one, _ in told} == {span["who"] for span in spans} - {"fork server"}
    assert (driver.folder / "start_up.jsonl").stat().st_mode & 0o077 == 0 or driver.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["server", "driver", "end"])
def test_what_was_forked_ends_with_the_server_and_that_with_its_driver(drive, program, how):
    driver = drive(NOTHING_IMPORTED)
    client = driver.worker(program, "--stay")
    worker = psutil.Process(json.loads(client.stdout.readline())["id"])
    assert client.wait(PATIENCE_S) == 0  # it does not wait for the worker
    if how == "end":
        driver.process.communicate("\n", timeout=PATIENCE_S)
        assert driver.process.returncode == 0 and not driver.folder.exists()
    else:
        {"server": driver.server, "driver": driver.process}[how].kill()
    _, left = psutil.wait_procs([worker], timeout=PATIENCE_S / 10)
    assert not left
    if how == "server":
        late = subprocess.run(
            [sys.executable, "-I", "-S", fork_client.__file__, str(driver.folder / "forks"), "/bin/echo", "started"],
            capture_output=True,
            text=True,
        )
        said = "a worker process is started, not forked: connection refused\n"
        assert (late.stdout, late.stderr, late.returncode) == ("started\n", said, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["tensorflow", "native"])
def test_a_process_with_a_thread_is_not_forked_and_its_server_imports_by_itself(drive, program, kernel):
    if kernel == "native" and not is_built():
        pytest.skip("the native kernel is not built here")
    driver = drive(THREAD, kernel)
    assert not driver.is_fork
    told, _ = said_by(driver.worker(program))
    assert told["tensorflow"] == (kernel == "tensorflow") and told["threads"] == 1


def test_a_worker_with_an_environment_of_its_own_is_started():
    command = ["/bin/echo", "--serialized-runtime-env-context={}"]
    client = [sys.executable, "-I", "-S", fork_client.__file__, "/nowhere", *command]
    done = subprocess.run(client, capture_output=True, text=True)
    assert done.stdout == f"{command[1]}\n" and done.stderr.endswith("a worker with an environment of its own\n")


def test_only_a_process_in_which_nothing_else_goes_on_is_forked(monkeypatch):
    alone = [one for one in threading.enumerate() if one is threading.main_thread()]
    monkeypatch.setattr(fork_server.threading, "enumerate", lambda: alone)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    assert can_be_forked()
    alone.append(threading.Thread(name=fork_server.WATCHER))
    assert can_be_forked()
    alone.append(threading.Thread(name="another"))
    assert not can_be_forked()
    alone.pop()
    monkeypatch.setitem(sys.modules, "ray", sys)
    assert not can_be_forked()


@pytest.mark.parametrize("told", [b"{}", b"no JSON", b""], ids=["gives up", "broken", "nothing"])
def test_who_asks_by_half_gets_no_worker_and_leaves_no_descriptor(tmp_path, monkeypatch, capsys, told):
    def no_fork():
        raise AssertionError("expected no fork, found one")

    monkeypatch.setattr(fork_server.os, "fork", no_fork)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "forks"))
        listener.listen(1)
        gc.collect()  # what others left open goes now, and not meanwhile
        before = len(list(Path("/proc/self/fd").iterdir()))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "forks"))
            socket.send_fds(client, [len(told).to_bytes(8, "big")], [0, 1, 2])
            client.sendall(told)
            client.shutdown(socket.SHUT_WR)
            fork_server._serve_one(listener)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert "asked for by half" in capsys.readouterr().err
