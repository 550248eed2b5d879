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
dp_accounting's RdpAccountant. For Gaussian noise alone the privacy loss distribution gives a tighter
value; both are stated, and the larger one is the run's epsilon.

| paper | here |
|---|---|
| sigma / Delta | noise_multiplier, z |
| rho | zcdp_rho |
"""

import math

import dp_accounting
from dp_accounting import pld, rdp
from scipy.optimize import brentq


def gaussian_rho(noise_multiplier: float, participations: int) -> float:
    """zCDP of a phone that took part in this many releases."""
    return participations / (2 * noise_multiplier**2)


def planned_participations(rounds: int, min_separation_rounds: int, limit: int | None) -> int:
    """The most releases one phone can be part of."""
    by_separation = -(-rounds // min_separation_rounds)
    return by_separation if limit is None else min(limit, by_separation)


def epsilon_by_rdp(rho: float, delta: float) -> float:
    """Epsilon of rho-zCDP at delta, by Renyi orders (dp_accounting); 0 for rho 0."""
    if rho == 0:
        return 0.0
    event = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))
    return float(rdp.RdpAccountant().compose(event).get_epsilon(delta))


def epsilon_by_pld(rho: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of this rho, by its privacy loss distribution."""
    if rho == 0:
        return 0.0
    event = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))
    return float(pld.PLDAccountant().compose(event).get_epsilon(delta))


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
