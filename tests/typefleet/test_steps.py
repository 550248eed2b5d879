"""Steps are heard by whoever listens, in their order and to their end; without a listener they cost nothing."""

import threading
import time

import pytest

from tests.heard_steps import Heard
from typefleet.steps import Step, each, heard_by, step


def test_without_a_listener_nothing_happens():
    with step("a", 2) as one:
        one.advance()
    assert list(each("b", "xyz")) == ["x", "y", "z"] and one.done == 1


def test_every_move_is_heard_and_the_items_are_the_same():
    heard = Heard()
    with heard_by(heard):
        assert list(each("counting", range(3), 3)) == [0, 1, 2]
    assert heard.names == ["counting"] and [done for done, *_ in heard.moves] == [1, 2, 3] and not heard.open


def test_steps_within_steps_end_in_their_order_also_when_one_fails():
    heard = Heard()
    with heard_by(heard), pytest.raises(ZeroDivisionError), step("outer"), step("inner"):
        assert heard.open == ["outer", "inner"]
        raise ZeroDivisionError
    assert heard.open == [] and heard.names == ["outer", "inner"]


def test_a_step_left_in_the_middle_has_ended():
    heard = Heard()
    with heard_by(heard):
        going = each("counting", range(3))
        next(going)
        going.close()
    assert heard.open == []


def test_outside_and_in_other_threads_nobody_hears():
    heard = Heard()

    def elsewhere():
        with step("elsewhere"):
            pass

    with heard_by(heard):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with step("later"):
        pass
    assert heard.names == []


def test_the_time_left_is_in_proportion_and_unknown_at_first():
    began_s = time.monotonic() - 30
    assert Step("a", 100, began_s=began_s).left_s() is None
    assert Step("a", None, done=5, began_s=began_s).left_s() is None
    assert Step("a", 100, done=25, began_s=began_s).left_s() == pytest.approx(90, abs=1)
    assert Step("a", 100, done=120, began_s=began_s).left_s() == 0
