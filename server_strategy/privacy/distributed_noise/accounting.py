"""What the sum of the phones' noise costs, in units of the ring.

Neighbouring data sets differ in one phone's update, which is zero in one of them, while its noise is in both: the
sum of whole numbers changes by at most Delta_2 in L2 norm and Delta_1 in L1 norm. Phones beyond those that are counted
on, and the reduction modulo 2^bits, are applied to what is protected already, so that they cost nothing.

Discrete Gaussian noise of parameter sigma from each of n phones is not discrete Gaussian noise in sum, but so close to
one of n sigma^2 that their probabilities differ by a factor of at most exp(tau / 2)
(Kairouz et al. 2021, arXiv:2102.06387, Theorem 1 and Proposition 14), with

    tau = 10 sum over k = 1 ... n - 1 of exp(-2 pi^2 sigma^2 k / (k + 1)),

which gives rho-zCDP with 2 rho the smallest of

    Delta_2^2 / (n sigma^2) + 2 tau d,
    Delta_2^2 / (n sigma^2) + 2 Delta_1 tau / (sqrt(n) sigma) + tau^2 d,
    (Delta_2 / (sqrt(n) sigma) + tau sqrt(d))^2.

The sum of Skellam noise is Skellam noise. With variance mu its Renyi divergence of a whole order alpha > 1 is at most
(Agarwal et al. 2021, arXiv:2110.04995, Theorem 3.5 and its form for vectors, Corollary 4.1)

    alpha Delta_2^2 / (2 mu) + min(((2 alpha - 1) Delta_2^2 + 6 Delta_1) / (4 mu^2), 3 Delta_1 / (2 mu)).

That is proved for whole orders only, so its epsilon looks at no others. Every one of these is at least
alpha Delta_2^2 / (2 variance), which is what central Gaussian noise of the same variance costs.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from server_strategy.privacy.slow_imports import without_loss_distributions
from typefleet.errors import expected

WHOLE_ORDERS = (*range(2, 64), 128, 256, 512, 1024)
"""Those of dp_accounting's usual orders that are whole, so that no epsilon is below one by all of them."""

_ROUNDED_UP = 1 + 1e-13  # more than float64 is off by


@lru_cache(maxsize=256)
def tau(sigma: float, phones: int) -> float:
    """How far, in the logarithm of probabilities, the sum is from a discrete Gaussian: tau, of two of them.

    Args:
        sigma: parameter of each phone's noise, at least 1/2.
        phones: whose noise is in the sum.

    Raises:
        ValueError: so little noise that the theorem does not hold.
    """
    if not sigma >= 0.5:
        raise ValueError(expected("sigma", "a number >= 0.5", sigma))
    k = np.arange(1.0, phones)
    return float(10 * np.exp(-2 * (math.pi * sigma) ** 2 * k / (k + 1)).sum())


def discrete_gaussians_rho(
    *, sigma: float, phones: int, l2_sensitivity: float, l1_sensitivity: float, size: int
) -> float:
    """zCDP of one sum with the discrete Gaussian noise of so many phones.

    Args:
        sigma: parameter of each phone's noise.
        phones: whose noise is in the sum.
        l2_sensitivity, l1_sensitivity: of the sum of whole numbers.
        size: coordinates, d.
    """
    apart, share = tau(sigma, phones), l2_sensitivity / (math.sqrt(phones) * sigma)
    twice_rho = min(
        share**2 + 2 * apart * size,
        share**2 + 2 * l1_sensitivity * apart / (math.sqrt(phones) * sigma) + apart**2 * size,
        (share + apart * math.sqrt(size)) ** 2,
    )
    return twice_rho / 2 * _ROUNDED_UP


def skellam_rdp(order: int, *, variance: float, l2_sensitivity: float, l1_sensitivity: float) -> float:
    """Renyi divergence of one sum with Skellam noise, at most.

    Args:
        order: alpha, whole and > 1.
        variance: mu, of the noise of all phones that are counted on.
        l2_sensitivity, l1_sensitivity: of the sum of whole numbers.

    Raises:
        ValueError: an order for which nothing is proved.
    """
    if not (order > 1 and order == int(order)):
        raise ValueError(expected("order", "a whole number > 1", order))
    squared = l2_sensitivity**2
    by_squares = ((2 * order - 1) * squared + 6 * l1_sensitivity) / (4 * variance**2)
    return order * squared / (2 * variance) + min(by_squares, 3 * l1_sensitivity / (2 * variance))


def epsilon_of_whole_orders(divergence: Callable[[int], float], delta: float) -> float:
    """Epsilon at delta, by the Renyi divergences of whole orders alone (dp_accounting's translation).

    Args:
        divergence: of an order, over all participations.
        delta: of (epsilon, delta).
    """
    without_loss_distributions()
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon  # not before an epsilon is asked for

    epsilon, _ = compute_epsilon(WHOLE_ORDERS, [divergence(order) for order in WHOLE_ORDERS], delta)
    return float(epsilon)
