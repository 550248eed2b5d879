"""What runs below a process, and what it listens on, as the kernel tells."""

import os
import socket
import subprocess
import sys

import psutil
import pytest

from simulation.processes import below, kill, listeners

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print('child', flush=True); input()"])
input()
"""


def test_all_descendants_are_found_parents_first_and_can_be_ended():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes) as parent:
        assert parent.stdout.readline() == b"child\n"
        (child,) = psutil.Process(parent.pid).children()
        found = below(os.getpid())
        assert found.index(parent.pid) < found.index(child.pid) and below(parent.pid) == [child.pid]
        kill([parent.pid, child.pid, 2**22 + 1])  # no process has the last one
        assert parent.wait(5) == -9
    assert parent.pid not in below(os.getpid())


@pytest.mark.parametrize(
    ("family", "address", "is_local"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, "127.8.9.10", True),
        (socket.AF_INET, "0.0.0.0", False),
        (socket.AF_INET6, "::1", True),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::ffff:127.0.0.1", True),
    ],
)
def test_a_listener_is_found_and_whether_others_reach_it(family, address, is_local):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        port = server.getsockname()[1]
        assert all(one.port != port for one in listeners([os.getpid()]))  # it does not wait for anybody yet
        server.listen()
        (found,) = [one for one in listeners([os.getpid()]) if one.port == port]
        assert found.address == type(found.address)(address) and found.is_local == is_local
        assert all(one.port != port for one in listeners([os.getppid()]))  # which has no such socket
