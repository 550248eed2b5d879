"""Who is with whom: by seed, round and phone alone."""

import itertools

import numpy as np
import pytest

from server_strategy.robust.buckets import buckets_of, spoiled_on_average
from server_strategy.robust.config import spoiled_at_most


@pytest.mark.parametrize(("phones", "number"), itertools.product([1, 2, 7, 40, 101], [1, 3, 10]))
def test_each_phone_is_in_one_of_buckets_of_nearly_one_size(phones, number):
    ids = np.random.default_rng(0).permutation(1000)[:phones]
    found = buckets_of(ids, number, seed=3, server_round=2)
    assert len(found) == min(phones, number)
    assert sorted(np.concatenate(found).tolist()) == sorted(ids.tolist())
    sizes = [len(bucket) for bucket in found]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_the_order_in_which_phones_come_makes_no_difference_and_the_round_and_the_seed_do():
    ids = np.arange(50)
    one = [b.tolist() for b in buckets_of(ids, 7, seed=0, server_round=1)]
    assert [b.tolist() for b in buckets_of(ids[::-1].copy(), 7, seed=0, server_round=1)] == one
    for seed, server_round in ((0, 2), (1, 1)):
        assert [b.tolist() for b in buckets_of(ids, 7, seed=seed, server_round=server_round)] != one


def test_no_bucket_is_refused():
    with pytest.raises(ValueError, match="at least one bucket"):
        buckets_of(np.arange(3), 0, seed=0, server_round=1)


@pytest.mark.parametrize(
    ("share", "phones", "buckets", "most"),
    [(0.0, 20, 5, 0), (0.05, 20, 5, 1), (0.051, 20, 5, 2), (0.1, 30, 10, 3), (0.5, 20, 5, 5), (0.001, 20, 5, 1)],
)
def test_attackers_spoil_a_bucket_each_at_most(share, phones, buckets, most):
    assert spoiled_at_most(share, phones, buckets) == most


@pytest.mark.parametrize("phones", [1, 2, 5])
def test_on_average_as_many_as_a_draw_of_all_attackers_shows(phones):
    rng = np.random.default_rng(0)
    spoiled = (rng.random((200_000, phones)) < 0.1).any(1).mean()
    assert abs(spoiled_on_average(0.1, phones) - spoiled) < 0.005
