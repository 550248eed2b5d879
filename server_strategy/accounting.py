"""What a run costs: zero-concentrated differential privacy and its translation to (epsilon, delta).

Setting. The unit is one phone; neighbouring data sets differ in one phone's text being replaced by
"contributes zero" in every round (zero-out adjacency), the schedule of who takes part being the
same. Each release is the sum of updates of L2 norm at most C plus Gaussian noise of standard
deviation z C. Noise is independent between releases, so a phone that takes part in k of them sees
a Gaussian mechanism of squared sensitivity k C^2:

    rho = k / (2 z^2)                    (Bun and Steinke 2016, arXiv:1605.02065, Prop. 1.6, Lemma 2.3)

No amplification by sampling is claimed. Phones take part because they happen to be available, are
invited in surplus and report first; that is neither Poisson nor uniform sampling.

The translation to (epsilon, delta) is by Renyi orders, which holds for any rho-zCDP mechanism, with
dp_accounting's RdpAccountant; that is the run's epsilon. For Gaussian noise alone there is an exact,
smaller value, which the privacy statement shows beside it.

| paper | here |
|---|---|
| sigma / Delta | noise_multiplier, z |
| rho | zcdp_rho |
"""

import math
from functools import lru_cache

import dp_accounting
from dp_accounting import rdp
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr


def gaussian_rho(noise_multiplier: float, participations: int) -> float:
    """zCDP of a phone that took part in this many releases."""
    return participations / (2 * noise_multiplier**2)


def planned_participations(rounds: int, min_separation_rounds: int, limit: int | None) -> int:
    """The most releases one phone can be part of."""
    by_separation = -(-rounds // min_separation_rounds)
    return by_separation if limit is None else min(limit, by_separation)


@lru_cache(maxsize=256)
def epsilon_by_rdp(rho: float, delta: float) -> float:
    """Epsilon of rho-zCDP at delta, by Renyi orders (dp_accounting); 0 for rho 0."""
    if rho == 0:
        return 0.0
    event = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))
    return float(rdp.RdpAccountant().compose(event).get_epsilon(delta))


def epsilon_of_gaussian(rho: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of this rho, exactly: Balle and Wang, arXiv:1805.06530, Theorem 8.

    With mu = sqrt(2 rho): delta = Phi(mu / 2 - eps / mu) - exp(eps) Phi(-mu / 2 - eps / mu).
    """
    if rho == 0:
        return 0.0
    mu = math.sqrt(2 * rho)

    def excess(epsilon: float) -> float:
        inner = math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
        return float(ndtr(mu / 2 - epsilon / mu)) - inner - delta

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, epsilon_by_rdp(rho, delta) + 1.0, xtol=1e-10))


def noise_multiplier_for(target_epsilon: float, delta: float, participations: int) -> float:
    """The smallest noise multiplier (to 1e-9, rounded up) whose epsilon is within the target.

    Raises:
        ValueError: no noise multiplier between 1e-2 and 1e6 meets the target.
    """

    def excess(log_z: float) -> float:
        return epsilon_by_rdp(gaussian_rho(math.exp(log_z), participations), delta) - target_epsilon

    low, high = math.log(1e-2), math.log(1e6)
    if excess(high) > 0 or excess(low) < 0:
        raise ValueError(
            f"Expected a target epsilon that some noise multiplier in [0.01, 1e6] meets. Found {target_epsilon}."
        )
    z = math.exp(brentq(excess, low, high, xtol=1e-12))
    while epsilon_by_rdp(gaussian_rho(z, participations), delta) > target_epsilon:
        z *= 1 + 1e-9
    return z


def default_delta(population: float) -> float:
    """population^-1.1, at most 1e-6."""
    return min(1e-6, population**-1.1)
