"""The gap between groups, and that its interval holds although best and worst are chosen by what was seen."""

import numpy as np
import pytest

from client_model.metrics.groups import LEAST_PEOPLE, best_to_worst, draw_groups, largest_difference, worst_below
from client_model.metrics.keyboard_metrics import TOP1_RECALL


def people(recalls, number=40, seed=0):
    """Counts of people in groups of these recalls, and the group of each."""
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(recalls)), number)
    words = rng.integers(100, 300, len(member))
    hits = rng.binomial(words, np.clip(np.array(recalls)[member] + 0.03 * rng.standard_normal(len(member)), 0, 1))
    return {"word-positions": words, "out-of-vocabulary": 0 * words, "top1-hits": hits}, member


def drawn(recalls, **more):
    counts, member = people(recalls, **more)
    return draw_groups(TOP1_RECALL, counts, member, [f"group {i}" for i in range(len(recalls))], 0)


def test_a_planted_gap_is_found_between_the_groups_that_have_it():
    everybody, groups = drawn([0.2, 0.3, 0.1, 0.2])
    spread, best, worst = best_to_worst(groups)
    assert (best.name, worst.name) == ("group 1", "group 2")
    assert spread.low < 0.2 < spread.high and spread.low > 0.15 and spread.value == best.value - worst.value
    below, lowest = worst_below([(everybody, one) for one in groups])
    assert lowest.name == "group 2" and below.low < 0.1 < below.high and below.low > 0.05


def test_groups_that_do_not_differ_are_not_said_to():
    lows = [best_to_worst(drawn([0.2] * 4, seed=seed)[1])[0].low for seed in range(12)]
    assert sum(low > 0 for low in lows) <= 2  # of which 0.6 are expected; without max-t it is one in five


def test_the_interval_of_the_largest_difference_covers_it_as_often_as_it_says():
    """Means of normals, whose draws are known without drawing people; the true gap is 0.5 or none."""
    for truth in (np.array([0.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.25, 0.25, 0.5])):
        covered = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            means = truth + 0.1 * rng.standard_normal(4)
            draws = means + 0.1 * rng.standard_normal((400, 4))
            pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
            spread = largest_difference(
                np.array([means[i] - means[j] for i, j in pairs]),
                np.column_stack([draws[:, i] - draws[:, j] for i, j in pairs]),
            )
            covered += max(spread.low, 0) <= truth.max() - truth.min() <= spread.high
        assert covered >= 186, "of 190 that are expected"


def test_groups_of_few_people_are_left_out_but_are_people_all_the_same():
    counts, member = people([0.2, 0.3, 0.9])
    keep = np.r_[0 : 80 + LEAST_PEOPLE - 1]
    some = {name: values[keep] for name, values in counts.items()}
    everybody, groups = draw_groups(TOP1_RECALL, some, member[keep], ["a", "b", "few"], 0)
    assert [one.name for one in groups] == ["a", "b"] and everybody.people == len(keep)
    assert everybody.value == TOP1_RECALL.value({name: values.sum() for name, values in some.items()})


def test_the_same_seed_draws_the_same_people():
    assert np.array_equal(drawn([0.2, 0.3])[1][0].drawn, drawn([0.2, 0.3])[1][0].drawn)


@pytest.mark.parametrize("alike", [True, False])
def test_groups_without_spread_have_intervals_without_width(alike):
    observed = np.array([0.0, 0.1])
    spread = largest_difference(observed, np.tile(observed, (50, 1)) if alike else np.zeros((50, 2)))
    assert (spread.value, spread.low, spread.high) == (0.1, 0.1, 0.1)
