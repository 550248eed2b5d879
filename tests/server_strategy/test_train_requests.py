"""How many messages a round is split into."""

import numpy as np
import pytest
from flwr.app import ArrayRecord

from server_strategy.cohorts import RoundPlan
from server_strategy.model_versions import ModelVersions
from server_strategy.protocol import TrainRequest
from server_strategy.train_requests import train_requests


def phones_of_messages(phones, num_messages, phones_per_message=None, tokens=10, **plan):
    ids = np.arange(phones) * 3
    current = TrainRequest(arrays=ArrayRecord(), phones=ids, server_round=4, clip_norm=1.0, clip_scope="update")
    round_plan = RoundPlan(reporters=ids, tokens=np.full(phones, tokens), **plan)
    requests = train_requests(
        current, round_plan, ModelVersions(0), num_messages=num_messages, phones_per_message=phones_per_message
    )
    np.testing.assert_array_equal(np.sort(np.concatenate([request.phones for request in requests])), ids)
    return [len(request.phones) for request in requests]


@pytest.mark.parametrize("nodes", [1, 2, 8, 64])
@pytest.mark.parametrize("phones", [1, 5, 999, 1000, 1001, 8000, 8001, 50_000])
def test_each_node_has_equally_many_messages_of_a_thousand_phones_at_most(nodes, phones):
    found = phones_of_messages(phones, nodes)
    assert max(found) <= 1000 and max(found) - min(found) <= 1
    assert len(found) % nodes == 0 or len(found) == phones < nodes
    assert len(found) == min(nodes, phones) or phones / nodes > 1000  # no more messages than it takes


@pytest.mark.parametrize("nodes", [1, 2, 8])
@pytest.mark.parametrize(
    ("phones", "tokens", "messages"),
    [(50, 1000, 1), (51, 1000, 2), (150, 1000, 3), (10_000, 1, 10), (400, 1000, 4), (4000, 1000, 4), (5000, 1000, 5)],
)
def test_a_node_has_more_messages_where_there_is_more_work_up_to_four(nodes, phones, tokens, messages):
    found = phones_of_messages(nodes * phones, nodes, tokens=tokens)
    assert len(found) == nodes * messages and max(found) - min(found) <= 1


def test_more_phones_in_a_message_can_be_asked_for():
    assert phones_of_messages(5000, 2, 2500) == [2500, 2500]


def test_phones_of_different_weights_go_apart():
    weights = np.where(np.arange(3000) < 2500, 1.0, 0.5)
    assert sorted(phones_of_messages(3000, 2, update_weight=weights)) == [500, *[625] * 4]
