"""Answers in Ray's memory; that a run says so whose raylet dies under one is in `test_lives`."""

import os
import pickle
import resource
import subprocess
import sys
import weakref

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server_strategy.plain_arrays import plain_record
from simulation.engine import ray_memory, ray_start
from simulation.engine.ray_memory import give_back_while_it_lives


def message(record):
    return Message(RecordDict({"arrays": record}), 7, "train")


def lent(values):
    """An answer whose array lies in memory that somebody lends; and whether that is given back."""
    owner = np.frombuffer(bytearray(values.tobytes()), values.dtype).reshape(values.shape)
    answer = pickle.loads(pickle.dumps(message(plain_record({"0": owner}))))  # noqa: S301 - written here
    given = answer.content["arrays"]["0"].numpy()
    return answer, weakref.ref(given)


@pytest.mark.parametrize("died", [[], ["raylet"]], ids=["lives", "died"])
def test_memory_is_given_back_only_while_ray_lives(monkeypatch, died):
    values = np.array([[2**63 - 1, -(2**63)], [0, 7]], np.int64)
    monkeypatch.setattr(ray_memory, "_NEVER_GIVEN_BACK", kept := [])
    monkeypatch.setattr(ray_memory, "own_that_died", lambda: died)
    answer, given = lent(values)
    give_back_while_it_lives(answer)
    array = answer.content["arrays"]["0"].numpy()
    np.testing.assert_array_equal(array, values)
    assert array.dtype == values.dtype and not array.flags.writeable and np.shares_memory(array, given())
    part = array[1:]
    del answer, array
    assert given() is not None and not kept  # somebody still has a part of it
    del part  # and at once: nothing of it waits for the collector
    assert (given() is None) == (not died) and len(kept) == len(died)


def test_a_process_counts_as_dead_from_when_the_kernel_ends_it_and_not_before():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not ray_start._ends(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert ray_start._ends(process.pid)  # nobody has waited for it yet
    finally:
        process.communicate()
    assert ray_start._ends(process.pid)


def test_where_nothing_can_be_read_of_a_process_it_is_not_taken_for_dead():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))  # what is open stays so
    try:
        assert not ray_start._ends(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
