import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_strategy.cohorts import RoundPlan, UniformCohorts, balanced_shards, check_plan
from typefleet.errors import InputError

work = st.lists(st.integers(1, 2000), min_size=1, max_size=80)


@given(work, st.integers(1, 12), st.none() | st.integers(1, 10))
def test_shards_hold_each_phone_once(tokens, num_shards, phones_per_shard):
    phones = np.arange(len(tokens)) * 3
    shards = balanced_shards(phones, np.array(tokens), num_shards, phones_per_shard)
    assert sorted(np.concatenate(shards).tolist()) == phones.tolist()
    assert all(len(s) for s in shards)
    if phones_per_shard:
        assert max(len(s) for s in shards) <= phones_per_shard
        assert len(shards) == -(-len(tokens) // phones_per_shard)
    else:
        assert len(shards) == min(num_shards, len(tokens))


@given(work, st.integers(1, 12))
def test_shards_are_balanced(tokens, num_shards):
    tokens = np.array(tokens)
    shards = balanced_shards(np.arange(len(tokens)), tokens, num_shards)
    heaviest = max(tokens[s].sum() for s in shards)
    # Graham's bound for longest-first: at most 4/3 of the best possible.
    best = max(tokens.max(), tokens.sum() / num_shards)
    assert heaviest <= 4 / 3 * best + tokens.max() / 3 + 1e-9


def test_uniform_cohorts_are_keyed_and_respect_the_rule():
    cohorts = UniformCohorts(goal=5, seed=1)
    admitted = np.arange(40) % 2 == 0
    a, b, c = (cohorts.plan_round(r, admitted).reporters for r in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert a.tolist() != c.tolist() and admitted[a].all() and len(set(a.tolist())) == 5


@pytest.mark.parametrize("admitted", [0, 4])
def test_too_few_phones_abandon_the_round(admitted):
    plan = UniformCohorts(goal=5).plan_round(1, np.arange(10) < admitted)
    assert plan.abandoned == f"{admitted} phones admitted, goal 5" and not len(plan.reporters)


@pytest.mark.parametrize(
    ("reporters", "message"),
    [
        (np.array([-1, 9]), "ids from 0 to 9, found others"),  # to numpy both are the last phone
        (np.array([0, 10]), "ids from 0 to 9, found others"),
        (np.array([0.0, 1.0]), r"whole numbers \[reports\], found float64 \[2\]"),
        (np.ones(2, bool), r"whole numbers \[reports\], found bool \[2\]"),
        ([0, 1], r"whole numbers \[reports\], found list \[2\]"),
        (np.array([[0, 1]]), r"whole numbers \[reports\], found int64 \[1, 2\]"),
        (np.array([3, 3]), "at most 2, each once"),
    ],
)
def test_a_plan_names_phones_that_there_are_once_each(reporters, message):
    plan = RoundPlan(reporters=reporters, tokens=np.ones(2, np.int64))
    with pytest.raises(InputError, match=f"^reporters: expected {message}"):
        check_plan(plan, UniformCohorts(goal=2), 1, np.ones(10, bool))
