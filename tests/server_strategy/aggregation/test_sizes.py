"""Bytes from counts are those of the messages."""

import numpy as np
import pytest

from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import Authority
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.sizes import step_bytes
from server_strategy.aggregation.terms import RoundTerms, Step
from tests.server_strategy.aggregation.conftest import NUMBERS, SECRET

GONE = {5: Step.SHARE, 19: Step.CONFIRM}


@pytest.mark.parametrize("check_views", [True, False])
@pytest.mark.parametrize("bits", [64, 20])
def test_bytes_are_those_of_the_messages(check_views, bits):
    assumptions, ring = Assumptions(check_views=check_views), Ring(bits)
    vectors = {n: np.arange(7) for n in NUMBERS}
    played = play_round(vectors, SECRET, GONE, ring=ring, assumptions=assumptions)
    assert played.failure is None
    terms = RoundTerms(1, 7, Authority.of(SECRET).public, ring, assumptions, phones=8)
    found = step_bytes(terms, terms.graph_size(8), sharing=6, confirming=5)
    assert set(found) == set(terms.steps())
    costs = played.costs[2]
    assert {step: each.up for step, each in found.items()} == dict(costs.up_bytes)
    assert {step: each.down for step, each in found.items()} == dict(costs.down_bytes)


def test_counts_may_be_arrays():
    terms = RoundTerms(1, 7, Authority.of(SECRET).public, phones=8)
    sharing = np.array([5, 6, 7])
    many = step_bytes(terms, terms.graph_size(8), sharing=sharing)[Step.UNMASK]
    each = [step_bytes(terms, terms.graph_size(8), sharing=int(n))[Step.UNMASK] for n in sharing]
    assert many.up.tolist() == [one.up for one in each] and many.down.tolist() == [one.down for one in each]
