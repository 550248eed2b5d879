"""Work beside its caller: it has begun, its result or its error comes to who asks, and its thread ends."""

import threading
import time

import pytest

from typefleet.at_once import at_once


def test_it_goes_on_while_the_caller_does_something_else():
    caller_was_there = threading.Event()
    found = at_once(lambda: caller_was_there.wait(10.0))
    caller_was_there.set()
    assert found.result(10.0) is True


def test_an_error_is_raised_where_the_result_is_asked_for():
    found = at_once(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        found.result(10.0)


def test_no_thread_is_left():
    threads = threading.active_count()
    assert at_once(lambda: 3).result(10.0) == 3
    give_up = time.monotonic() + 10.0
    while threading.active_count() > threads and time.monotonic() < give_up:
        time.sleep(0.001)
    assert threading.active_count() <= threads
