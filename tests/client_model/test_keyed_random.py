import numpy as np
import pytest

from client_model.keyed_random import generator, hash_uint64, purpose_key, uniform, weighted_choice


def test_draws_do_not_depend_on_what_else_is_drawn():
    key = purpose_key(3, "purpose")
    whole = uniform(key, np.arange(1000)[:, None], np.arange(5))
    part = uniform(key, np.arange(200, 300)[:, None], np.arange(5))
    np.testing.assert_array_equal(whole[200:300], part)


@pytest.mark.parametrize("other", [(4, "purpose", ()), (3, "Purpose", ()), (3, "purpose", (1,))])
def test_seed_purpose_and_counters_give_unrelated_draws(other):
    seed, purpose, counters = other
    a = uniform(purpose_key(3, "purpose"), np.arange(20_000))
    b = uniform(purpose_key(seed, purpose, *counters), np.arange(20_000))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
    assert not np.intersect1d(a, b).size


def test_uniform_is_uniform_and_open():
    u = uniform(purpose_key(0, "u"), np.arange(200_000))
    assert u.min() > 0 and u.max() < 1
    histogram = np.histogram(u, 100, (0, 1))[0]
    chi2 = ((histogram - 2000) ** 2 / 2000).sum()
    assert 50 < chi2 < 160  # 99 degrees of freedom: 1e-4 quantiles are 55 and 156


def test_neighbouring_counters_are_uncorrelated():
    u = uniform(purpose_key(0, "u"), np.arange(300)[:, None], np.arange(300))
    for a, b in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1]), (u, u.T)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02 or np.array_equal(a, b)


def test_order_of_counters_matters():
    key = purpose_key(0, "u")
    assert hash_uint64(key, 1, 2) != hash_uint64(key, 2, 1)


def test_generator_is_keyed():
    assert generator(1, "a", 5).integers(1 << 60) == generator(1, "a", 5).integers(1 << 60)
    assert generator(1, "a", 5).integers(1 << 60) != generator(1, "a", 6).integers(1 << 60)


def test_weighted_choice_follows_the_weights_and_is_keyed():
    key = purpose_key(3, "zones")
    found = weighted_choice(key, (-5.0, 0.0, 8.0), (2, 1, 1), np.arange(40_000))
    np.testing.assert_allclose([(found == v).mean() for v in (-5, 0, 8)], [0.5, 0.25, 0.25], atol=0.01)
    np.testing.assert_array_equal(weighted_choice(key, (-5.0, 0.0, 8.0), (2, 1, 1), np.arange(10)), found[:10])
    assert set(weighted_choice(key, (1.0, 2.0), (1.0, 0.0), np.arange(1000))) == {1.0}


def test_counters_can_be_hashed_in_steps():
    key, a, b = purpose_key(0, "u"), np.arange(30), np.arange(30)[::-1]
    np.testing.assert_array_equal(hash_uint64(hash_uint64(key, a), b), hash_uint64(key, a, b))
