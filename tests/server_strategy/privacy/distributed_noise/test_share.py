import numpy as np
import pytest
from scipy import stats

from server_strategy.privacy.distributed_noise.share import generator_of, noise_share
from server_strategy.privacy.noise_key import NoiseKey

KEY = NoiseKey.secret(bytes(range(32)), b"a run")


def rng(kind="skellam", server_round=1, phone=0, attempt=0, key=KEY):
    return generator_of(key, kind, server_round, phone, attempt)


def chi_square(samples, probability, width):
    """p-value of samples against probabilities of whole numbers, tails together."""
    values = np.arange(-width, width + 1)
    inside = samples[np.abs(samples) <= width]
    observed = np.append(np.bincount(inside + width, minlength=len(values)), len(samples) - len(inside))
    probabilities = np.array([probability(int(value)) for value in values])
    expected = np.append(probabilities, 1 - probabilities.sum()) * len(samples)
    return stats.chisquare(observed, expected).pvalue


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 8.0, 21.0])
def test_discrete_gaussian_shares_have_the_distribution(sigma):
    normal = np.exp(-(np.arange(-400.0, 401) ** 2) / (2 * sigma**2)).sum()
    samples = noise_share(rng("discrete-gaussian"), "discrete-gaussian", sigma, 60_000)
    assert chi_square(samples, lambda y: np.exp(-(y**2) / (2 * sigma**2)) / normal, int(3 * sigma)) > 1e-3


@pytest.mark.parametrize("stddev", [0.4, 1.0, 2.5, 4.4, 4.6, 10.0, 30.0])  # the sampler changes its way at 4.47
def test_skellam_shares_have_the_distribution(stddev):
    samples = noise_share(rng(), "skellam", stddev, 60_000)
    width = max(int(3 * stddev), 2)
    assert chi_square(samples, lambda y: stats.skellam.pmf(y, stddev**2 / 2, stddev**2 / 2), width) > 1e-3


def test_shares_of_skellam_noise_are_skellam_noise_together():
    shares = sum(noise_share(rng(phone=phone), "skellam", 1.3, 40_000) for phone in range(7))
    mean = 7 * 1.3**2 / 2
    assert chi_square(shares, lambda y: stats.skellam.pmf(y, mean, mean), 10) > 1e-3


def test_wide_shares_are_nearly_normal():
    for kind in ("discrete-gaussian", "skellam"):
        samples = noise_share(rng(kind), kind, 5e6, 50_000) / 5e6
        assert stats.kstest(samples, "norm").pvalue > 1e-3


@pytest.mark.parametrize("kind", ["discrete-gaussian", "skellam"])
def test_a_share_is_a_function_of_key_purpose_round_phone_and_attempt(kind):
    def share(source):
        return noise_share(source, kind, 40.0, 4000)

    own = share(rng(kind))
    np.testing.assert_array_equal(own, share(rng(kind)))
    another = NoiseKey.secret(bytes(32), b"a run")
    others = [
        *(rng(kind, phone=1), rng(kind, server_round=2), rng(kind, attempt=1)),
        *(rng(kind, key=another), generator_of(KEY, "rounding", 1, 0)),
    ]
    for other in others:
        assert abs(np.corrcoef(own, share(other))[0, 1]) < 0.08  # 5 standard errors


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_a_sigma_that_is_not_sampled_exactly_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma: expected a whole number"):
        noise_share(rng(), "discrete-gaussian", sigma, 3)


@pytest.mark.parametrize("stddev", [0.0, 1e18, float("nan")])
def test_a_deviation_that_skellam_noise_cannot_have_is_refused(stddev):
    with pytest.raises(ValueError, match="variance: expected a number above 0, at most"):
        noise_share(rng(), "skellam", stddev, 3)
