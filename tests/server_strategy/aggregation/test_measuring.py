"""What is measured of a few phones are the bytes of a whole round, and real work."""

import numpy as np
import pytest

from server_strategy.aggregation import measuring
from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.measuring import measure, phone_seconds
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.terms import Step
from tests.server_strategy.aggregation.conftest import SECRET


@pytest.mark.parametrize("check_views", [True, False])
def test_a_sample_costs_what_a_round_costs_each(check_views):
    assumptions, ring = Assumptions(check_views=check_views, complete_up_to=0), Ring(32)
    measured = measure(24, 10, ring, assumptions, sample=2)
    played = play_round({n: np.arange(10) for n in range(24)}, SECRET, ring=ring, assumptions=assumptions)
    assert played.failure is None and not measured.size.complete
    for costs in played.costs.values():
        assert costs.up_bytes == measured.phone.up_bytes and costs.down_bytes == measured.phone.down_bytes
    assert all(measured.phone.seconds[step] > 0 for step in Step if step in measured.phone.up_bytes)
    assert measured.survivor_s > 0 and measured.dropout_s > 0


def test_a_phone_alone_is_all_its_steps_together(monkeypatch):
    assumptions, seen, costs = Assumptions(complete_up_to=0), [], measuring._Sample.costs
    monkeypatch.setattr(measuring._Sample, "costs", lambda own, number: seen.append(costs(own, number)) or seen[0])
    assert phone_seconds(24, 10, Ring(48), assumptions) == sum(seen[0].seconds.values()) > 0
    assert len(seen) == 1 and {step for step, spent in seen[0].seconds.items() if spent} == set(seen[0].up_bytes)
