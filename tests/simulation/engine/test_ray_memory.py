"""Answers and weights in Ray's memory; that a run says so whose raylet dies under one is in `test_lives`."""

import gc
import os
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
import ray
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from server_strategy.plain_arrays import plain_record
from simulation.engine import ray_memory, ray_start
from simulation.engine.ray_memory import Weights, give_back_while_it_lives

LARGE = np.arange(30_000, dtype=np.float32)  # 120 kB


def message(record):
    return Message(RecordDict({"arrays": record, "config": ConfigRecord({"round": 3})}), 7, "train")


@pytest.fixture
def puts(monkeypatch):
    """What is put into Ray's memory, which here is a list: how often is what is asked."""
    put: list[ArrayRecord] = []
    monkeypatch.setattr(ray, "put", lambda record: put.append(record) or len(put) - 1)
    return put


def test_the_weights_of_a_round_are_put_once_and_those_of_the_next_anew(puts):
    weights, first, second = Weights(), plain_record({"a": LARGE, "b": LARGE[:3]}), plain_record({"a": LARGE})
    sent = [weights.put_once(message(one)) for one in (first, first, second, second, first)]
    assert [one is first for one in puts] == [True, False, True]
    puts_of = [one.content["arrays"].__reduce__()[1][0] for one in sent]
    assert puts_of == [0, 0, 1, 1, 2]
    assert all(one.content["arrays"].__reduce__()[0] is ray.get for one in sent)


def test_a_message_is_left_as_it_is_and_all_else_of_it_is_sent(puts):
    given = message(record := plain_record({"a": LARGE}))
    sent = Weights().put_once(given)
    assert given.content["arrays"] is record and sent is not given
    assert sent.metadata == given.metadata and sent.content["config"] == given.content["config"]


@pytest.mark.parametrize(
    "record",
    [plain_record({"a": LARGE[:25_600]}), ArrayRecord({"a": Array(LARGE)}), plain_record({})],
    ids=["what Ray sends along with a call", "what somebody may change", "nothing"],
)
def test_what_is_small_or_can_be_changed_is_sent_as_ever(puts, record):
    given = message(record)
    assert Weights().put_once(given) is given and not puts


def test_arrays_changed_for_others_under_the_same_record_are_put_anew(puts):
    weights, record = Weights(), plain_record({"a": LARGE})
    weights.put_once(message(record))
    record["a"] = plain_record({"a": LARGE + 1})["a"]
    weights.put_once(message(record))
    assert len(puts) == 2


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
    gc.collect()
    assert given() is not None and not kept  # somebody still has a part of it
    del part
    gc.collect()
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
