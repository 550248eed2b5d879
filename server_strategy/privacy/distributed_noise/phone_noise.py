"""The settled parameters of noise that phones add, and what they promise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.distributed_noise.accounting import (
    discrete_gaussians_rho,
    epsilon_of_whole_orders,
    skellam_rdp,
)
from server_strategy.privacy.distributed_noise.ring import check_bits
from server_strategy.privacy.distributed_noise.rounding import l1_bound, rounded_norm_bound
from server_strategy.privacy.distributed_noise.share import DISCRETE_GAUSSIAN, NoiseKind
from server_strategy.privacy.plan_values import no_plan, require_values_of
from server_strategy.update_sum import MAX_WEIGHTS
from typefleet.errors import ConfigError, expected
from typefleet.whole import is_whole

MOST_PHONES = 2**24  # of a round; what their shares' sum differs by is a sum over them
_LEAST_UNITS, _MOST_UNITS = 2.0**-40, 2.0**64  # of the clip norm and of a share, on record
_BETWEEN_WHOLE_ORDERS = (8 - 4 * math.sqrt(3)) * (1 + 1e-12)


def check_clip_norm(clip_norm: float) -> None:
    """Refuse a clip norm that bounds nothing.

    Raises:
        ValueError: it is no finite number > 0.
    """
    if not (clip_norm > 0 and math.isfinite(clip_norm)):
        raise ValueError(expected("clip_norm", "a number > 0", clip_norm))


@dataclass(frozen=True)
class PhoneNoise:
    """What each phone adds; constant over a run, made by `settle`.

    Everything is in units of the ring or of the clip norm, so that a clip norm that adapts changes nothing of it. The
    claim counts on the noise of `counted_on` phones, whose shares have the claimed variance together. Further survivors
    add as much each: with all of `phones` there, the sum has phones / counted_on times the claimed variance, and costs
    no more.
    """

    kind: NoiseKind
    bits: int  # of the ring
    dimension: int  # weights of an update
    block: int  # coordinates that are rotated together, a power of 2
    phones: int  # in a round, at most; the ring has room for their sum
    counted_on: int  # honest survivors whose noise the claim needs
    clip_units: float  # the clip norm in units of the ring
    share_stddev: float  # of a phone's noise on each coordinate, in units of the ring
    deviations: float  # k: how many of its standard deviations the sum has room for, to each side

    @classmethod
    def from_json(cls, values: Any) -> "PhoneNoise | None":
        """Inverse of `dataclasses.asdict`; None stays None.

        Raises:
            ConfigError: it is no such noise.
        """
        if values is None:
            return None
        if not isinstance(values, Mapping):
            raise no_plan("noise of phones of another kind")
        require_values_of(cls, values, {"kind": str})
        noise = cls(**values)
        is_whole_share = noise.kind != DISCRETE_GAUSSIAN or noise.share_stddev == int(noise.share_stddev)
        is_power_of_2 = noise.block > 0 and noise.block & (noise.block - 1) == 0
        counts = 1 <= noise.counted_on <= noise.phones <= MOST_PHONES and 1 <= noise.dimension <= MAX_WEIGHTS
        sizes = all(_LEAST_UNITS <= size <= _MOST_UNITS for size in (noise.clip_units, noise.share_stddev))
        if not (noise.kind in get_args(NoiseKind) and counts and is_power_of_2 and is_whole_share and sizes):
            raise no_plan("noise of phones that no run has")
        check_bits(noise.bits)
        return noise

    def simulated(self, share: float) -> "PhoneNoise":
        """How the phones of a simulation carry this noise that are fewer than those it is for.

        Their units are finer by 1 / sqrt(share), and their noise and their rounding have as many units as ever: so the
        mean over their sum has the variance that the mean over the sum of all would have. They do not have what this
        noise promises; it is not computed from what is returned.

        Args:
            share: phones of the simulation over those that this is for, in (0, 1].
        """
        phones, counted_on = (max(round(share * number), 1) for number in (self.phones, self.counted_on))
        return replace(self, clip_units=self.clip_units / math.sqrt(share), phones=phones, counted_on=counted_on)

    @property
    def padded(self) -> int:
        """Coordinates of what a phone sends: the next multiple of the block."""
        return -(-self.dimension // self.block) * self.block

    @property
    def upload_bytes(self) -> int:
        """Of the vector that a phone sends, packed to its bits."""
        return -(-self.padded * self.bits // 8)

    @property
    def l2_sensitivity(self) -> float:
        """Norm of what a phone sends, before its noise, at most: of the clip norm and what rounding adds."""
        return rounded_norm_bound(self.clip_units, self.padded)

    @property
    def l1_sensitivity(self) -> float:
        """The same in L1 norm."""
        return l1_bound(self.l2_sensitivity, self.padded)

    @property
    def noise_multiplier(self) -> float:
        """Standard deviation of the claimed noise over the clip norm, as of central noise."""
        return self.share_stddev * math.sqrt(self.counted_on) / self.clip_units

    @property
    def charged_noise_multiplier(self) -> float:
        """The central noise multiplier that costs at least as much per participation, by `zcdp_rho`."""
        return math.sqrt(1 / (2 * self.zcdp_rho))

    def noise_stddev(self, survivors: int, clip_norm: float) -> float:
        """Standard deviation of the noise in the sum, in the units of the weights.

        Args:
            survivors: phones whose vectors are in the sum.
            clip_norm: of the round.

        Raises:
            ValueError: no number of survivors, or a clip norm that is none.
        """
        if not is_whole(survivors, 0):
            raise ValueError(expected("survivors", "a whole number >= 0", survivors))
        check_clip_norm(clip_norm)
        return self.share_stddev * math.sqrt(survivors) * clip_norm / self.clip_units

    @property
    def zcdp_rho(self) -> float:
        """Cost of one participation: zCDP of discrete Gaussian noise; of Skellam noise, for whole Renyi orders only."""
        if self.kind == DISCRETE_GAUSSIAN:
            return discrete_gaussians_rho(
                sigma=self.share_stddev,
                phones=self.counted_on,
                l2_sensitivity=self.l2_sensitivity,
                l1_sensitivity=self.l1_sensitivity,
                size=self.padded,
            )
        # Each of the bounds that the minimum is of, over the order, is largest at 2 or in the limit.
        variance, squared, l1 = self._variance, self.l2_sensitivity**2, self.l1_sensitivity
        by_squares = max(1.5 * squared + 3 * l1, 2 * squared) / (4 * variance**2)
        return squared / (2 * variance) + min(by_squares, 3 * l1 / (4 * variance))

    @property
    def zcdp_rho_from_order_2(self) -> float:
        """Cost of one participation that adds up with others' and is translated at any Renyi order from 2 on.

        For Skellam noise: (alpha - 1) times the Renyi divergence of order alpha is convex in alpha (Hoelder), so that
        between the whole orders k and k + 1 it is at most the chord of (k - 1) k rho and k (k + 1) rho, which is
        alpha (alpha - 1) rho + t (1 - t) rho at alpha = k + t. From 2 on that is at most 8 - 4 sqrt(3) = 1.0718 times
        alpha (alpha - 1) rho.
        """
        return self.zcdp_rho if self.kind == DISCRETE_GAUSSIAN else self.zcdp_rho * _BETWEEN_WHOLE_ORDERS

    def rdp(self, order: int) -> float:
        """Renyi divergence of one participation, at most.

        Args:
            order: whole, > 1.
        """
        if self.kind == DISCRETE_GAUSSIAN:
            return order * self.zcdp_rho
        return skellam_rdp(
            order,
            variance=self._variance,
            l2_sensitivity=self.l2_sensitivity,
            l1_sensitivity=self.l1_sensitivity,
        )

    def epsilon(self, participations: int, delta: float, beside: float = 0.0) -> float:
        """Epsilon of a phone that takes part so often, whatever the rounds: costs of its participations add up.

        Args:
            participations: of one phone.
            delta: of (epsilon, delta).
            beside: zCDP of something else that it pays for.

        Raises:
            ConfigError: no number of participations, or a delta that is none.
        """
        if not is_whole(participations, 0):
            raise ConfigError(expected("participations", "a whole number >= 0", participations))
        if not 0 < delta < 1:
            raise ConfigError(expected("delta", "a number above 0 and below 1", delta))
        return self.epsilon_of(participations * self.zcdp_rho_from_order_2, delta, beside)

    def epsilon_of(self, rho: float, delta: float, beside: float = 0.0) -> float:
        """Epsilon of so much of `zcdp_rho_from_order_2`; of Skellam noise by its own bound, at whole orders alone.

        Args:
            rho: of participations, or of several phones of one owner: k of them cost at most k^2 times as much.
            delta: of (epsilon, delta).
            beside: zCDP of something else.
        """
        if rho + beside == 0:
            return 0.0
        if self.kind == DISCRETE_GAUSSIAN:
            return epsilon_by_rdp(rho + beside, delta)
        times = rho / self.zcdp_rho_from_order_2
        return epsilon_of_whole_orders(lambda order: times * self.rdp(order) + order * beside, delta)

    @property
    def _variance(self) -> float:
        return self.counted_on * self.share_stddev**2
