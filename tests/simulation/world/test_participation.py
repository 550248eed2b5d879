"""Shares by group by hand, and the Gini coefficient against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.metrics.keyboard_metrics import num_tokens
from client_model.metrics.metric import Metric
from client_model.metrics.table import metric_table
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.participation import (
    Grouping,
    gini,
    overall,
    participation_by_group,
    phone_groups,
    recall_by_group,
)

PARITY = Grouping("parity", ("even", "odd", "neither"), np.arange(6) % 2)


def test_shares_by_hand():
    may_train = np.array([True, True, True, True, True, False])
    rows = participation_by_group([PARITY], may_train, np.array([3, 0, 1, 4, 0, 9]), np.array([30, 0, 5, 5, 0, 99]))
    assert rows[0] == {
        "grouping": "parity",
        "group": "even",
        "phones": 3,
        "share_of_phones": 0.6,
        "share_of_updates": 0.5,
        "share_of_tokens": 35 / 40,
        "updates_per_phone": 4 / 3,
        "never_used_share": pytest.approx(1 / 3),
    }
    assert rows[2]["phones"] == 0 and rows[2]["updates_per_phone"] is None and rows[2]["share_of_updates"] == 0


def test_nothing_happened_yet():
    rows = participation_by_group([PARITY], np.ones(6, bool), np.zeros(6, int), np.zeros(6, int))
    assert rows[0]["share_of_updates"] is None and rows[0]["never_used_share"] == 1
    found = overall(np.ones(6, bool), np.zeros(6, int))
    assert found.gini is None and found.never_used_share == 1 and found.most_updates_of_a_phone == 0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_gini_is_the_mean_difference_over_twice_the_mean(counts):
    counts = np.array(counts)
    if not counts.sum():
        assert gini(counts) is None
        return
    difference = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(difference / (2 * counts.mean()), abs=1e-12)


def test_recall_by_group():
    counts = {
        "word-positions": np.array([10, 10, 30]),
        "out-of-vocabulary": np.array([0, 2, 8]),
        "top1-hits": np.array([5, 3, 6]),
        "top3-hits": np.array([6, 5, 10]),
        "characters": np.array([40, 60, 40]),
        "keystrokes": np.array([30, 40, 30]),
    }
    even, odd, neither = recall_by_group([PARITY], PhoneCounts(np.array([1, 2, 4]), counts), metric_table())
    assert (even["held_out_phones"], even["positions"], even["top1_recall"]) == (2, 30, 0.3)
    assert even["top3_recall"] == 0.5 and even["keystroke_savings"] == pytest.approx(0.3)
    assert odd["top1_recall"] == 0.5 and neither["top1_recall"] is neither["keystroke_savings"] is None


def test_every_phone_is_in_one_group_of_each_grouping():
    fleet = Fleet(FleetConfig(), 4000, 0, np.arange(4000))
    tokens = np.random.default_rng(0).integers(0, 900, 4000)
    groupings = phone_groups(fleet, tokens)
    assert [g.name for g in groupings] == ["device tier", "time zone", "time eligible", "tokens a round"]
    for grouping in groupings:
        assert len(grouping.member) == 4000 and grouping.member.min() >= 0
        assert grouping.member.max() < len(grouping.members) == len(set(grouping.members))
    volumes = np.bincount(groupings[-1].member) / 4000
    np.testing.assert_allclose(volumes, 0.25, atol=0.02)
    assert [g.name for g in phone_groups(fleet, None)] == ["device tier", "time zone", "time eligible"]
    # Everybody has the same little text: there is one group, and nothing breaks.
    assert len(phone_groups(fleet, np.full(4000, 7))[-1].members) == 2


def test_a_metric_that_fails_on_a_group_costs_that_groups_value_only():
    tokens = Metric("per_word", "per word", {"tokens": num_tokens}, lambda c: 1 / int(c["tokens"]), unit="number")
    metrics = metric_table((), [tokens])
    counts = {name: np.ones(3, np.int64) for name in metrics.counters if not name.endswith("by-position")}
    even, odd, neither = recall_by_group([PARITY], PhoneCounts(np.array([1, 2, 4]), counts), metrics)
    assert (even["per_word"], odd["per_word"], neither["per_word"]) == (0.5, 1.0, None)
    assert "why_no_value" not in even and "why_no_value" not in odd
    (reason,) = neither["why_no_value"].values()
    assert reason.startswith("metric per_word: expected a value of its counts, found ZeroDivisionError at test_partic")
