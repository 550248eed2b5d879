"""A round that is counted without keys fails where, why and with as many phones as one with keys."""

import numpy as np
import pytest

from server_strategy.aggregation.departures import count_round
from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.terms import RoundTerms, Step

ORDER = RunSecret(bytes(32))  # `play_round` draws the ring by the secret of its phones


def both(leaves, assumptions, server_round):
    """(the failure and the survivors with keys, those without)."""
    phones = np.arange(len(leaves)) * 3 + 1
    vectors = {phone: np.array([phone, -1]) for phone in phones.tolist()}
    gone = {phone: Step(step) for phone, step in zip(phones.tolist(), leaves, strict=True) if step != Step.DONE}
    played = play_round(vectors, ORDER, gone, server_round=server_round, assumptions=assumptions)
    terms = RoundTerms(server_round, 2, b"", phones=len(leaves), assumptions=assumptions)
    counted = count_round(terms, phones, np.array(leaves), ORDER)
    return played, counted


@pytest.mark.parametrize("views", [True, False])
@pytest.mark.parametrize("graph", ["complete", "sparse"])
def test_whoever_leaves_the_failure_is_the_same(graph, views):
    rng = np.random.default_rng(0)
    usual = Assumptions(check_views=views)
    sparse = Assumptions(0.05, 0.2, security_bits=2, correctness_bits=2, complete_up_to=3, check_views=views)
    failures = set()
    for number in range(9):
        share = 0.06 * number
        steps = list(RoundTerms(1, 2, b"", phones=12, assumptions=usual).steps())
        leaves = np.where(rng.random(12) < share, rng.choice(steps, 12), Step.DONE)
        played, counted = both(leaves.tolist(), usual if graph == "complete" else sparse, number)
        assert counted.failure == played.failure
        if counted.failure is None:
            assert counted.took[Step.MASK] == len(played.survivors) == int((leaves > Step.MASK).sum())
        failures.add(counted.failure)
    assert None in failures and len(failures) > 1


def test_a_large_round_is_counted_at_once():
    phones = np.arange(5000)
    leaves = np.where(np.random.default_rng(1).random(5000) < 0.05, Step.MASK, Step.DONE)
    counted = count_round(RoundTerms(1, 2, b"", phones=5000), phones, leaves, ORDER)
    assert counted.failure is None and counted.took[Step.MASK] == (leaves == Step.DONE).sum()
    assert counted.size is not None and not counted.size.complete
