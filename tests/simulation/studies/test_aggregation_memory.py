import numpy as np
import pytest

from server_strategy.aggregation.measuring import measure
from server_strategy.aggregation.vector import ring_for
from server_strategy.round_replies import join_summed_replies
from simulation.studies import aggregation_memory
from simulation.studies.aggregation_memory import kept_messages_mb, summing_peak_mb


@pytest.mark.parametrize("told", [True, False])
def test_a_sum_takes_the_same_memory_for_any_number_of_phones(told):
    some, many = (summing_peak_mb(phones, 20_000, told=told) for phones in (48, 192))
    vector_mb = 8e-6 * 20_000
    assert vector_mb < some < many < 1.5 * some < 48 * vector_mb  # 192 vectors that were kept would be four times 48


def test_a_server_that_keeps_all_answers_is_seen(monkeypatch):
    def keeping(replies, reporters, length):
        return join_summed_replies(list(replies), reporters, length)

    monkeypatch.setattr(aggregation_memory, "join_summed_replies", keeping)
    assert summing_peak_mb(96, 20_000, told=False) > 90 * 8e-6 * 20_000


def test_messages_that_are_kept_are_those_of_all_phones():
    few, more = (measure(phones, 8, ring_for(phones), sample=1) for phones in (8, 16))
    assert 0.001 < kept_messages_mb(few, 8) < kept_messages_mb(more, 16) / 3  # the phones, and their neighbours
    assert np.isclose(kept_messages_mb(few, 800), 100 * kept_messages_mb(few, 8))
