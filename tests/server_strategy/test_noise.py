import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from server_strategy.noise import KeyedGaussianSumQuery, make_query, noised_sum


def draws(seed, release, size=50_000, stddev=2.0):
    query = make_query("gaussian", 1.0, stddev, seed)
    return noised_sum(query, np.zeros(size), release)


def test_noise_is_gaussian_with_the_asked_deviation():
    noise = draws(1, 0, 400_000)
    assert stats.kstest(noise / 2.0, "norm").pvalue > 1e-3
    assert noise.std() == pytest.approx(2.0, rel=0.01)


def test_a_release_repeats_bit_for_bit():
    np.testing.assert_array_equal(draws(3, 17), draws(3, 17))


def test_no_draw_is_shared_between_seeds_or_releases():
    # tensorflow-privacy's own tree noise repeats between neighbouring seeds; ours must not.
    streams = [draws(seed, release, 2000) for seed in range(12) for release in range(12)]
    values = np.concatenate(streams)
    assert len(np.unique(values)) == len(values)
    correlation = np.corrcoef(np.stack(streams)) - np.eye(len(streams))
    assert np.abs(correlation).max() < 0.15


def test_tensors_of_one_release_have_streams_of_their_own():
    query = KeyedGaussianSumQuery(1.0, 1.0, seed=0)
    result, state, event = query.get_noised_result([tf.zeros(1000), tf.zeros(1000)], query.global_state_at(4))
    assert not np.intersect1d(*[r.numpy() for r in result]).size
    assert state.release == 5 and event.noise_multiplier == 1.0


def test_global_random_state_is_neither_used_nor_changed():
    tf.random.set_seed(1)
    np.random.seed(1)  # noqa: NPY002  the point is that it does not matter
    a = draws(5, 5)
    tf.random.set_seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(a, draws(5, 5))


def test_none_adds_nothing():
    total = np.arange(5.0)
    np.testing.assert_array_equal(noised_sum(make_query("none", 1.0, None, 0), total, 3), total)


def test_bad_settings():
    with pytest.raises(ValueError, match="Expected mechanism"):
        make_query("laplace", 1.0, 1.0, 0)
    with pytest.raises(ValueError, match="Expected noise_stddev"):
        make_query("gaussian", 1.0, None, 0)
