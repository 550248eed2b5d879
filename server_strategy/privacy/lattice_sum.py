"""`ProtectedSum` with discrete noise: the exact sum stays whole numbers until its noise is in it.

The sum comes as the hosts made it, in whole multiples of clip_norm 2^-b (`server_strategy.update_sum`, b its fraction
bits). One phone changes it by at most 2^b in L2 norm: the bound holds for what is summed, after rounding to the
multiples, which the clipping leaves room for. So discrete noise of parameter sigma = z 2^b on each coordinate costs
1 / (2 z^2) in zCDP (Canonne, Kamath and Steinke 2020, arXiv:2004.00010, Theorem 14), as continuous noise of the
multiplier z does; sigma is rounded up. What is divided, stepped and shown later is computed from the noised numbers.

With a clip norm that adapts, the count of shorter updates is noised in the same way, in units of 2^-b as well.

Only for independent noise. The others mix draws of several rounds with real weights, and a sum of weighted whole
numbers is on no lattice; their other form, in which the encoded sums are rounded and noised, would keep the exact sums
of earlier rounds on the server, which nothing here does.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.discrete_gaussian import MOST_SIGMA, discrete_gaussian
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.noised_sum import NoisedSum
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.protected_sum import ProtectedSum, saved_clip_norm
from server_strategy.state import State, leaf
from typefleet.errors import ConfigError, expected


class LatticeSum:
    """Makes releases with discrete noise, one after the other; see `ProtectedSum`.

    Args:
        plan: with independent noise.
        noise: key of it.
        fraction_bits: b; sums are in whole multiples of clip_norm 2^-b.

    Attributes:
        releases: made so far.
        clip_norm: bound on the L2 norm of an update in the next release.

    Raises:
        ConfigError: more noise than 64 bits hold.
        ValueError: a plan whose noise is not settled.
    """

    def __init__(self, plan: PrivacyPlan, noise: NoiseKey, fraction_bits: int) -> None:
        self._plan, self._key, self._one = plan, noise, 2**fraction_bits
        self.releases, self.clip_norm = 0, plan.clip_norm
        adaptive = plan.adaptive
        multiplier = plan.noise_multiplier if adaptive is None else adaptive.update_noise_multiplier
        self._sigma = self._whole(multiplier)
        self._count_sigma = None if adaptive is None else self._whole(adaptive.count_stddev)

    def release(self, total: NDArray[Any], reports: int, reports_below: int, attempt: int = 0) -> NDArray[np.float64]:
        """Protect a sum.

        Args:
            total: sum of the clipped updates, int64 [num_weights], in multiples of clip_norm 2^-b.
            reports, reports_below, attempt: as of `ProtectedSum.release`.

        Returns:
            float64 [num_weights], in the units of the weights.
        """
        noised = total + self._noise("discrete noise", self._sigma, len(total), attempt)
        clip_norm = self.clip_norm
        if self._plan.adaptive is not None and self._count_sigma is not None:
            noise = self._noise("discrete clip-noise", self._count_sigma, 1, attempt)
            halves = (2 * reports_below - reports) * (self._one // 2) + int(noise[0])
            share = halves / self._one / self._plan.goal + 0.5
            adaptive = self._plan.adaptive
            self.clip_norm = adaptive.moved(clip_norm, share)
        self.releases += 1
        protected: NDArray[np.float64] = noised * (clip_norm / self._one)
        return protected

    def state(self) -> State:
        """All that a checkpoint needs; independent noise leaves nothing to be kept."""
        return {"releases": np.array(self.releases), "clip_norm": np.array(self.clip_norm), "streams": {}}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave.

        Raises:
            StateError: it is not such a state.
        """
        self.releases = int(leaf(state, "releases"))
        if self._plan.adaptive is not None and self.releases:
            self.clip_norm = saved_clip_norm(state)

    def _noise(self, purpose: str, sigma: int, size: int, attempt: int) -> NDArray[np.int64]:
        rng = self._key.generator(self.releases, 0, purpose=purpose, attempt=attempt)
        return discrete_gaussian(rng, sigma, size)

    def _whole(self, multiplier: float | None) -> int:
        """Noise that costs at most what the plan says of a multiplier, for this run's cohort, rounded up."""
        plan = self._plan
        if multiplier is None:
            raise ValueError(expected(f"mechanism {plan.mechanism_name!r}", "a plan that settles its noise", "none"))
        share = Fraction(plan.goal, plan.modelled_cohort or plan.goal)
        sigma: int = math.ceil(Fraction(multiplier) * share * self._one)
        if sigma > MOST_SIGMA:
            most = f"noise of a deviation up to {MOST_SIGMA // self._one:,} clip norms with --privacy.sampler discrete"
            raise ConfigError(expected("--privacy.noise-multiplier", most, f"{sigma / self._one:,.4g}"))
        return sigma


def protected_sum_of(plan: PrivacyPlan, noise: NoiseKey, fraction_bits: int) -> ProtectedSum | LatticeSum | NoisedSum:
    """What makes the releases of a plan, by who adds the noise, and by its sampler.

    Args:
        plan: of the run.
        noise: key of the noise.
        fraction_bits: of the sums that a `LatticeSum` gets.
    """
    if plan.phone_noise is not None:
        return NoisedSum(plan)
    is_discrete = plan.mechanism is not None and plan.sampler == "discrete"
    return LatticeSum(plan, noise, fraction_bits) if is_discrete else ProtectedSum(plan, noise)
