"""The tree: restarts forget, and its state grows with the logarithm of the rounds."""

import numpy as np
import pytest

from server_strategy.privacy.mechanisms.tree import TreeNoise
from tests.server_strategy.privacy.mechanisms.dense import make


def test_the_setting_becomes_the_mechanisms():
    assert make("tree", 24) == TreeNoise(24)
    assert make("tree", 24, tree_restart_rounds=8) == TreeNoise(24, 8)


def test_memory_is_one_vector_a_level():
    assert [TreeNoise(rounds).vectors_of_memory for rounds in (1, 2, 3, 4, 2000)] == [1, 2, 2, 3, 11]
    assert TreeNoise(2000, 8).vectors_of_memory == 4


def test_a_restart_leaves_nothing_of_the_tree_before():
    draws = np.random.default_rng(0).standard_normal((16, 8, 3))
    stream, fresh = TreeNoise(16, 8).stream(), TreeNoise(16, 8).stream()
    both = [stream.next(lambda level, t=t: draws[t, level]) for t in range(16)]
    assert stream.state()["leaves"] == 0 and len(stream.state()) == 1
    again = [fresh.next(lambda level, t=t: draws[t, level]) for t in range(8, 16)]
    np.testing.assert_array_equal(both[8:], again)


@pytest.mark.parametrize("restart", [None, 3])
def test_a_released_node_is_never_released_again(restart):
    drawn = []
    stream = TreeNoise(13, restart).stream()
    for t in range(13):
        stream.next(lambda level, t=t: (drawn.append((t, level)), np.zeros(1))[1])
    assert len(set(drawn)) == len(drawn)
    leaves = 13 if restart is None else 3
    nodes = sum(leaves // 2**height for height in range(leaves.bit_length()))
    assert len(drawn) == (nodes if restart is None else 4 * nodes + 1)
