"""What a run costs: zero-concentrated differential privacy and its translation to (epsilon, delta).

Setting. The unit is one phone; in neighbouring data sets its updates are zero in every round, or it is not there
(see `adjacency`), the schedule of everyone else being the same. Each update has L2 norm at most C, and the draws of
the mechanism's noise have standard deviation z C. All releases together are one Gaussian mechanism; with the
squared sensitivity s2 of the mechanism's matrix to everything one phone sends, in units of C,

    rho = s2 / (2 z^2)                   (Bun and Steinke 2016, arXiv:1605.02065, Prop. 1.6)

which holds as well when later updates depend on earlier releases, as they do here: each row is released
in its turn and looks at no later update (Denisov et al., arXiv:2202.08312, Section 2; trees: Kairouz et al.,
arXiv:2103.00039). The matrices have no negative entry, so a phone whose updates all point the same way is
the worst case, and s2 can be computed as if updates were numbers (Choquette-Choo et al., arXiv:2211.06530,
Section 2). With independent noise s2 is the number of participations; each of `mechanisms` says its own.

No amplification by sampling is claimed. Phones take part because they happen to be available, are
invited in surplus and report first; that is neither Poisson nor uniform sampling.
`amplification` says what it would be worth if it were, for whoever asks.

The translation to (epsilon, delta) is by Renyi orders, which holds for any rho-zCDP mechanism, with
dp_accounting's RdpAccountant; that is the run's epsilon. For Gaussian noise there is an exact,
smaller value, which the privacy statement shows beside it. k phones of one owner change the releases by
at most k times as much as one does, so that a group costs k^2 rho.

| paper | here |
|---|---|
| sigma / Delta | noise_multiplier, z |
| rho | zcdp_rho |
"""

import math
from functools import lru_cache

import scipy  # its parts are imported when they are first used

from server_strategy.privacy.slow_imports import without_loss_distributions
from typefleet.errors import InputError, expected

_ORDERS_FROM_2 = (
    *(order / 10 for order in range(20, 110)),
    *range(11, 64),
    *(2**power for power in range(7, 11)),
)  # of dp_accounting's usual ones
_MOST_RHO = 1e100  # of no use to anybody, and within what Renyi orders can be computed with


def gaussian_rho(noise_multiplier: float, sensitivity_squared: float) -> float:
    """zCDP of a phone that can change the releases by this much.

    Raises:
        InputError: the noise is so small or so large that the cost is no number that can be written.
    """
    try:
        rho = sensitivity_squared / (2 * noise_multiplier**2)
    except (ZeroDivisionError, OverflowError):
        rho = math.nan
    if not (rho > 0 or sensitivity_squared == 0) or not rho <= _MOST_RHO:
        costs = f"a noise whose cost in zCDP is a number up to {_MOST_RHO:g}"
        raise InputError(expected("noise multiplier", costs, f"{noise_multiplier:g}"))
    return rho


@lru_cache(maxsize=256)
def epsilon_by_rdp(rho: float, delta: float, _orders: tuple[float, ...] | None = None) -> float:
    """Epsilon of rho-zCDP at delta, by Renyi orders (dp_accounting); 0 for rho 0."""
    if rho == 0:
        return 0.0
    without_loss_distributions()
    import dp_accounting  # not before an epsilon is asked for
    from dp_accounting import rdp

    event = dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))
    return float(rdp.RdpAccountant(_orders).compose(event).get_epsilon(delta))


def epsilon_of_several(rho: float, delta: float) -> float:
    """The same of what several runs cost together, by Renyi orders from 2 on.

    So it holds for what has been proved from 2 on alone as well (`PhoneNoise.zcdp_rho_from_order_2`). Smaller orders
    would be better from an epsilon of some 40 on, where nothing is protected any more.
    """
    return epsilon_by_rdp(rho, delta, _ORDERS_FROM_2)


def epsilon_of_gaussian(rho: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of this rho, exactly: Balle and Wang, arXiv:1805.06530, Theorem 8.

    With mu = sqrt(2 rho): delta = Phi(mu / 2 - eps / mu) - exp(eps) Phi(-mu / 2 - eps / mu).
    The root is found to 1e-10 or its last digits, on either side. What is shown of it is rounded up; what runs are held
    to is `epsilon_by_rdp`.
    """
    if rho == 0:
        return 0.0
    mu = math.sqrt(2 * rho)

    def excess(epsilon: float) -> float:
        # The sum is below 0, but of large numbers that lose their last digits.
        inner = math.exp(min(epsilon + scipy.special.log_ndtr(-mu / 2 - epsilon / mu), 0.0))
        return float(scipy.special.ndtr(mu / 2 - epsilon / mu)) - inner - delta

    if excess(0.0) <= 0:
        return 0.0
    return float(scipy.optimize.brentq(excess, 0.0, epsilon_by_rdp(rho, delta) + 1.0, xtol=1e-10))


@lru_cache(maxsize=256)
def rho_for(target_epsilon: float, delta: float, of: str = "epsilon") -> float:
    """The largest rho (to 1e-9 of itself, rounded down) whose epsilon is within the target.

    Args:
        target_epsilon: by Renyi orders.
        delta: at which.
        of: the flag that asks for it, for the message.

    Raises:
        InputError: no rho between 1e-12 and 1e6 meets the target.
    """

    def excess(log_rho: float) -> float:
        return epsilon_by_rdp(math.exp(log_rho), delta) - target_epsilon

    low, high = math.log(1e-12), math.log(1e6)
    if excess(low) > 0 or excess(high) < 0:
        meets = f"a target that some rho in [1e-12, 1e6] meets at delta {delta:g}"
        raise InputError(expected(of, meets, f"{target_epsilon:g}"))
    rho = math.exp(scipy.optimize.brentq(excess, low, high, xtol=1e-12))
    while epsilon_by_rdp(rho, delta) > target_epsilon:
        rho *= 1 - 1e-9
    return rho


def noise_multiplier_for(target_epsilon: float, delta: float, sensitivity_squared: float) -> float:
    """The smallest noise multiplier (to 1e-9, rounded up) whose epsilon is within the target.

    Raises:
        InputError: no noise meets the target.
    """
    z = math.sqrt(sensitivity_squared / (2 * rho_for(target_epsilon, delta, "--privacy.target-epsilon")))
    while epsilon_by_rdp(gaussian_rho(z, sensitivity_squared), delta) > target_epsilon:
        z *= 1 + 1e-9
    return z


@lru_cache(maxsize=64)
def epsilon_if_poisson(noise_multiplier: float, sampling_share: float, rounds: int, delta: float) -> float:
    """A counterfactual: epsilon had each phone joined each round by an independent coin of this share.

    By privacy loss distributions (dp_accounting), for independent noise and phones that are added or
    removed. Availability breaks its assumption: it is never a claim about a run here.
    """
    import dp_accounting
    from dp_accounting import pld

    joined = dp_accounting.PoissonSampledDpEvent(sampling_share, dp_accounting.GaussianDpEvent(noise_multiplier))
    accountant = pld.PLDAccountant()
    return float(accountant.compose(dp_accounting.SelfComposedDpEvent(joined, rounds)).get_epsilon(delta))


def default_delta(population: float) -> float:
    """population^-1.1, at most 1e-6."""
    return min(1e-6, float(population**-1.1))
