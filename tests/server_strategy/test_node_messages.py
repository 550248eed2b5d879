"""What a strategy says to nodes, and what it does while their answers come."""

import gc
import weakref

import pytest

from server_strategy.node_messages import with_one_left


class Answer:
    """Stands for one, and can be watched."""


@pytest.mark.parametrize("sent", range(6))
@pytest.mark.parametrize("came", range(6))
def test_something_is_done_once_when_one_answer_is_still_to_come(sent, came):
    done, seen = [], []
    for number in with_one_left(iter(range(came)), sent, lambda: done.append(len(seen))):
        seen.append(number)
    assert seen == list(range(came))
    assert done == ([sent - 2] if 2 <= sent <= came + 1 else [])  # before the last but one is worked on


def test_no_answer_is_kept_while_the_next_one_is_waited_for():
    kept = []

    def answers():
        for _ in range(3):
            one = Answer()
            kept.append(weakref.ref(one))
            yield one
            del one
            gc.collect()
            assert kept[-1]() is None

    for answer in with_one_left(answers(), 3, lambda: None):
        del answer
    assert len(kept) == 3
