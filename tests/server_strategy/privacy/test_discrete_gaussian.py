from fractions import Fraction
from math import factorial

import numpy as np
import pytest
from scipy import stats

from server_strategy.privacy import discrete_gaussian as module
from server_strategy.privacy.discrete_gaussian import MOST_SIGMA, bernoulli_exp, discrete_gaussian


def generator(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def pmf(sigma, width):
    """(whole numbers, their probabilities), by the definition."""
    values = np.arange(-width, width + 1)
    weights = np.exp(-(values.astype(np.float64) ** 2) / (2 * sigma**2))
    return values, weights / np.exp(-(np.arange(-60 * sigma, 60 * sigma + 1) ** 2) / (2 * sigma**2)).sum()


class Script:
    """A source whose uniform whole numbers are given, one after another; it notes from how many each was drawn."""

    def __init__(self, numbers):
        self.numbers, self.bases = list(numbers), []

    def integers(self, low, high, size, dtype=np.int64):
        assert low == 0
        if not size:
            return np.zeros(0, dtype)
        assert size == 1
        if len(self.bases) == len(self.numbers):
            raise StopIteration(high)
        self.bases.append(high)
        return np.array([self.numbers[len(self.bases) - 1]], dtype)


def outcomes(trial, depth):
    """Exact probability of each outcome of a trial after at most `depth` draws: {outcome: Fraction}."""
    found, open_paths = {}, [()]
    while open_paths:
        path = open_paths.pop()
        script = Script(path)
        try:
            outcome = trial(script)
        except StopIteration as more:
            if len(path) < depth:
                open_paths += [(*path, number) for number in range(int(more.args[0]))]
            continue
        weight = Fraction(1)
        for base in script.bases:
            weight /= base
        found[outcome] = found.get(outcome, 0) + weight
    return found


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 3), Fraction(2, 3), Fraction(1)])
def test_bernoulli_exp_has_its_probability_to_the_last_digit(gamma):
    # Of all ways that uniform numbers can fall: the series of exp(-gamma), and no more.
    numerators = np.array([gamma.numerator])
    found = outcomes(lambda source: bool(bernoulli_exp(source, numerators, gamma.denominator)[0]), 4)
    tails = [gamma**k / factorial(k) - gamma ** (k + 1) / factorial(k + 1) for k in range(4)]  # at coin k + 1
    assert found.get(True, 0) == tails[0] + tails[2] and found.get(False, 0) == tails[1] + tails[3]


@pytest.mark.parametrize("numerator", [0, 1, 2])
def test_the_square_has_its_probability_to_the_last_digit(numerator):
    gamma = Fraction(numerator**2, 2 * 2**2)
    square = module._bernoulli_exp_half_square
    found = outcomes(lambda source: bool(square(source, np.array([numerator]), 2)[0]), 4)
    # Four draws show the first two coins, of two draws each, in full.
    assert found.get(True, 0) == 1 - gamma and found.get(False, 0) == gamma - gamma**2 / 2


@pytest.mark.parametrize("sigma", [1, 2, 7])
def test_samples_have_the_distribution(sigma):
    samples, width = discrete_gaussian(generator(sigma), sigma, 200_000), 3 * sigma + 1
    values, probabilities = pmf(sigma, width)
    inside = samples[np.abs(samples) <= width]
    observed = np.append(np.bincount(inside + width, minlength=len(values)), len(samples) - len(inside))
    expected = np.append(probabilities, 1 - probabilities.sum()) * len(samples)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("sigma", [10**6 + 3, 2**40 + 12_345, MOST_SIGMA])
def test_a_wide_one_is_gaussian(sigma):
    samples = discrete_gaussian(generator(1), sigma, 200_000) / sigma
    assert stats.kstest(samples, "norm").pvalue > 1e-3
    assert samples.mean() == pytest.approx(0, abs=0.01) and samples.std() == pytest.approx(1, abs=0.008)
    assert stats.kurtosis(samples) == pytest.approx(0, abs=0.05)  # 4 standard errors


def test_every_lowest_bit_is_as_likely():
    samples = discrete_gaussian(generator(2), 2**40 + 1, 100_000)
    for bit in range(8):
        assert abs((samples >> bit & 1).mean() - 0.5) < 0.008  # 5 standard errors


@pytest.mark.parametrize("sigma", [1, 2, 5])
@pytest.mark.parametrize("alpha", [1.5, 2.0, 8.0, 32.0])
def test_it_costs_no_more_than_the_continuous_one(sigma, alpha):
    # Renyi divergence between the distribution and itself shifted by 1, at most alpha / (2 sigma^2): Theorem 4.
    values = np.arange(-60 * sigma, 60 * sigma + 1, dtype=np.float64)
    log_p, log_q = -(values**2) / (2 * sigma**2), -((values - 1) ** 2) / (2 * sigma**2)
    log_p -= np.logaddexp.reduce(log_p)
    log_q -= np.logaddexp.reduce(log_q)
    divergence = np.logaddexp.reduce(alpha * log_p + (1 - alpha) * log_q) / (alpha - 1)
    assert divergence <= alpha / (2 * sigma**2) * (1 + 1e-9)


def test_samples_repeat_with_their_generator_and_are_independent_of_how_many_are_asked():
    first, again = (discrete_gaussian(generator(3), 2**40, 5000) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert discrete_gaussian(generator(3), 9, 0).shape == (0,)
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.07  # 5 standard errors


@pytest.mark.parametrize("sigma", [0, -3, MOST_SIGMA + 1])
def test_a_sigma_out_of_bounds_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma: expected a whole number from 1 to 36028797018963968"):
        discrete_gaussian(generator(), sigma, 3)
