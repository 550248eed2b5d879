import numpy as np
import pytest

from server_strategy.state import StateError, branch, leaf, leaves_of

TREE = {"clock": np.array(3.5), "diary": {"days": np.arange(3)}}


def test_leaves_are_copies():
    days = leaf(branch(TREE, "diary"), "days")
    days += 1
    assert TREE["diary"]["days"].tolist() == [0, 1, 2] and leaf(TREE, "clock") == 3.5
    assert leaves_of(branch(TREE, "diary"))["days"].tolist() == [0, 1, 2]


def test_a_branch_without_leaves_is_as_good_as_none():
    assert branch(TREE, "policy") == {} and leaves_of(branch(TREE, "policy")) == {}


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: leaf(TREE, "now"), "state: expected an array now, found only clock, diary"),
        (lambda: leaf({}, "now"), "state: expected an array now, found only nothing"),
        (lambda: leaf(TREE, "diary"), "expected an array diary"),
        (lambda: branch(TREE, "clock"), "state: expected a branch clock, found an array"),
        (lambda: leaves_of(TREE), "expected an array diary"),
    ],
)
def test_what_is_not_there_is_said(read, message):
    with pytest.raises(StateError, match=message):
        read()
