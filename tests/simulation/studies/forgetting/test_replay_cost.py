"""The price is what the rule of runs leaves at each moment, counted phone by phone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.run.kept_checkpoints import FACTOR
from simulation.studies.forgetting.arrivals import Arrivals
from simulation.studies.forgetting.replay_cost import (
    KEEPS,
    Kept,
    mean_share,
    mean_when_asked,
    rounds_again,
    shares_by_arrival,
)


@st.composite
def runs(draw):
    """Rounds of which some were abandoned, and phones of whom each first came in one that was not."""
    made = np.array([draw(st.integers(0, 5)) > 0 for _ in range(draw(st.integers(1, 60)))] + [True])
    released = np.flatnonzero(made) + 1
    first = sorted(draw(st.lists(st.sampled_from(released.tolist()), min_size=1, max_size=30)))
    return Arrivals(np.array(first), released, len(made), draw(st.integers(1, 7)))


def test_a_checkpoint_is_written_before_the_first_round_every_so_many_completed_and_at_the_end():
    rounds = Arrivals(np.array([1]), np.array([1, 3, 4, 7, 9]), 10, 2)
    assert rounds.written == (0, 3, 7, 10)


@settings(max_examples=40, deadline=None)
@given(runs())
def test_what_it_costs_one_phone_after_the_other(arrivals):
    for keep in KEEPS:
        kept = Kept(keep, arrivals.written)
        there = kept.when_over(forgets_noise=True)
        cost = [arrivals.rounds - max([0, *(n for n in there if n < one)]) for one in arrivals.first.tolist()]
        assert rounds_again(arrivals.first, arrivals.rounds, there).tolist() == cost
        assert mean_share(arrivals, there) == pytest.approx(np.mean(cost) / arrivals.rounds)
        whole = shares_by_arrival(arrivals, there, (0, 0.3, 0.6, 1))
        assert sum(share for share, _ in whole) == pytest.approx(1)
        assert sum(share * (mean or 0) for share, mean in whole) == pytest.approx(np.mean(cost) / arrivals.rounds)


@settings(max_examples=25, deadline=None)
@given(runs(), st.integers(0, 12))
def test_whoever_asks_while_the_run_goes_on_costs_what_is_there_then(arrivals, later):
    for keep in KEEPS:
        kept = Kept(keep, arrivals.written)
        costs = []
        for one in arrivals.first.tolist():
            now = one + later
            if now <= arrivals.rounds:
                written = max(n for n in arrivals.written if n <= now)
                there = kept.after[arrivals.written.index(written)]
                costs.append(now - max([0, *(n for n in there if n < one)]))
        assert mean_when_asked(arrivals, kept, later) == (pytest.approx(np.mean(costs)) if costs else None)


@settings(max_examples=25, deadline=None)
@given(runs())
def test_spaced_is_at_most_twice_what_all_costs_and_a_number_no_less_than_a_larger_one(arrivals):
    by_keep = {keep: Kept(keep, arrivals.written) for keep in KEEPS}
    for later in range(0, 60, 7):
        cost = {keep: mean_when_asked(arrivals, kept, later) for keep, kept in by_keep.items()}
        if cost["all"] is not None:
            assert cost["all"] <= cost["spaced"] <= max(FACTOR * (later + 1), cost["all"]) + 1e-9
            assert cost["all"] <= cost[5] <= cost[2] <= cost[1]


def test_of_several_at_once_the_earliest_decides():
    """Against every set of three of five phones."""
    from itertools import combinations

    arrivals = Arrivals(np.array([1, 3, 3, 8, 10]), np.arange(1, 13), 12, 3)
    there = Kept("all", arrivals.written).when_over(forgets_noise=True)
    of_each = [12 - max(n for n in there if n < min(some)) for some in combinations([1, 3, 3, 8, 10], 3)]
    assert mean_share(arrivals, there, together=3) == pytest.approx(np.mean(of_each) / 12)
    assert mean_share(arrivals, there, together=5) == 1
    assert mean_share(arrivals, there, together=6) is None


def test_what_is_over_and_has_forgotten_its_noise_has_the_last_alone_of_a_number():
    kept = Kept(5, tuple(range(0, 60, 5)))
    assert kept.when_over(forgets_noise=True) == (55,) and kept.when_over(forgets_noise=False) == (35, 40, 45, 50, 55)
    assert Kept("spaced", kept.written).when_over(forgets_noise=True) == Kept("spaced", kept.written).after[-1]
