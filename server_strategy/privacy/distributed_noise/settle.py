"""The choice of scale: as fine as the ring allows, with room for the noised sum.

The sum of n updates of norm c, rotated, has variance proxy c^2 n^2 / d on each coordinate in the worst case, in which
all point the same way; rounding adds at most n / 4 and the shares of the noise n sigma^2, in units of the ring. The
scale is the finest for which k standard deviations of all that fit to each side (Kairouz et al. 2021,
arXiv:2102.06387, Sections 4.2 and 4.4):

    2^b = 2 k sqrt(n^2 u^2 / d + n / 4 + n sigma^2),   u = clip_units, sigma = z u / sqrt(t),

with t the honest survivors that are counted on, and d the coordinates that are rotated together. Discrete Gaussian
shares have a whole sigma, so that u is then taken down to where sigma is whole: the noise multiplier is met exactly.
"""

import math
from collections.abc import Callable
from typing import get_args

from server_strategy.privacy.distributed_noise.hadamard import padded_size
from server_strategy.privacy.distributed_noise.phone_noise import MOST_PHONES, PhoneNoise
from server_strategy.privacy.distributed_noise.ring import check_bits
from server_strategy.privacy.distributed_noise.share import DISCRETE_GAUSSIAN, NoiseKind
from typefleet.errors import ConfigError, InputError, expected
from typefleet.whole import is_whole

DEFAULT_DEVIATIONS = 4.0  # k of the published trainings; their mean estimation has 2
_MOST = 1e9  # beyond all use, and squares of it are numbers
_MOST_NOISE = 1e6  # noise multiplier that is tried
_STEP = 1 + 1e-4  # to which a calibrated noise multiplier is the smallest


class NoRoomError(ConfigError):
    """A ring without room for the sum, or for noise of whole units; with other noise or more bits there may be some."""


class UnreachableError(InputError):
    """An epsilon that no noise gets down to in a ring."""


def settle(
    kind: NoiseKind,
    noise_multiplier: float,
    *,
    bits: int,
    dimension: int,
    phones: int,
    threshold: int,
    corrupted: int = 0,
    deviations: float = DEFAULT_DEVIATIONS,
    block: int | None = None,
) -> PhoneNoise:
    """Choose the scale, and with it each phone's share.

    Args:
        kind: of noise.
        noise_multiplier: z: standard deviation, over the clip norm, of the noise that the claim counts on.
        bits: of the ring.
        dimension: weights of an update.
        phones: in a round, at most.
        threshold: survivors with fewer of whom a round fails.
        corrupted: of those, how many tell the server their own noise, or add none.
        deviations: k.
        block: coordinates that are rotated together, a power of 2; all of them if None. In the worst case all of an
            update is in one block, so that a smaller one takes a larger part of the ring for the signal.

    Raises:
        NoRoomError: a ring without room.
        ConfigError: numbers out of bounds.
    """
    if kind not in get_args(NoiseKind):
        raise ConfigError(expected("kind", " or ".join(get_args(NoiseKind)), kind))
    check_bits(bits)
    _check_counts(dimension=dimension, phones=phones, threshold=threshold, corrupted=corrupted)
    for name, number, least in (("noise_multiplier", noise_multiplier, 1e-6), ("deviations", deviations, 0.1)):
        if not least <= number <= _MOST:  # NaN is neither
            raise ConfigError(expected(name, f"a number from {least:g} to {_MOST:,.0f}", number))
    whole = padded_size(dimension)
    block = whole if block is None else block
    if not (is_whole(block, 1, whole) and padded_size(block) == block):
        raise ConfigError(expected("block", f"a power of 2, at most {whole}", block))
    counted_on = threshold - corrupted
    units = _finest_units(noise_multiplier, bits, phones, counted_on, deviations=deviations, block=block)
    share = units * noise_multiplier / math.sqrt(counted_on)
    if kind == DISCRETE_GAUSSIAN:
        share = float(math.floor(share))
        if share < 1:
            raise NoRoomError(expected("bits", "enough for noise of at least 1 unit on each phone", bits))
        units = share * math.sqrt(counted_on) / noise_multiplier
    return PhoneNoise(
        kind=kind,
        bits=bits,
        dimension=dimension,
        block=block,
        phones=phones,
        counted_on=counted_on,
        clip_units=units,
        share_stddev=share,
        deviations=deviations,
    )


def _check_counts(*, dimension: int, phones: int, threshold: int, corrupted: int) -> None:
    """Refuse what is no whole number, or one out of bounds.

    Raises:
        ConfigError: names it.
    """
    if not is_whole(dimension, 1):
        raise ConfigError(expected("dimension", "a whole number >= 1", dimension))
    if not is_whole(phones, 1, MOST_PHONES):
        raise ConfigError(expected("phones", f"a whole number from 1 to {MOST_PHONES:,}", phones))
    if not is_whole(threshold, 1, phones):
        raise ConfigError(expected("threshold", f"a whole number from 1 to {phones}, the phones of a round", threshold))
    if not is_whole(corrupted, 0, threshold - 1):
        raise ConfigError(expected("corrupted", f"a whole number from 0 to {threshold - 1}", corrupted))


def _finest_units(
    noise_multiplier: float, bits: int, phones: int, counted_on: int, *, deviations: float, block: int
) -> float:
    """The clip norm in units of the finest ring that has room for the sum.

    Raises:
        NoRoomError: rounding alone needs more room.
    """
    room = (2 ** (bits - 1) / deviations) ** 2 - phones / 4
    if room <= 0:
        least = f"more, for {deviations:g} standard deviations of what {phones:,} phones round"
        raise NoRoomError(expected("bits", least, bits))
    return math.sqrt(room / (phones**2 / block + phones * noise_multiplier**2 / counted_on))


def calibrate(
    make: Callable[[float], PhoneNoise],
    target_epsilon: float,
    delta: float,
    participations: int = 1,
    *,
    beside: float = 0.0,
    of: str = "epsilon",
) -> PhoneNoise:
    """The least noise, to a ten-thousandth of it, with which epsilon is within a target.

    A finer ring costs less than a coarse one, in which rounding adds to what one phone can change; and more noise makes
    the ring coarser. So with few bits there is an epsilon that no noise gets below.

    Args:
        make: `settle` with everything but the noise multiplier.
        target_epsilon: at delta.
        delta: of (epsilon, delta).
        participations: of one phone.
        beside: zCDP of something else that it pays for.
        of: what asks for the epsilon, for the message.

    Raises:
        UnreachableError: no noise gets there.
        ConfigError: as of `settle`.
    """

    def found(noise_multiplier: float) -> PhoneNoise | None:
        try:
            noise = make(noise_multiplier)
        except NoRoomError:
            return None
        return noise if noise.epsilon(participations, delta, beside) <= target_epsilon else None

    low, high = 1e-3, 2e-3
    while (best := found(high)) is None:
        low, high = high, high * 1.25
        if high > _MOST_NOISE:
            raise UnreachableError(expected(of, "one that some noise reaches in this ring", f"{target_epsilon:g}"))
    while high / low > _STEP:
        middle = math.sqrt(low * high)
        if (noise := found(middle)) is None:
            low = middle
        else:
            high, best = middle, noise
    return best
