"""From a phone's update to its vector in the ring, and from the sum of the vectors to the mean update.

Example:
    >>> import numpy as np
    >>> from server_strategy.privacy.distributed_noise.settle import settle
    >>> noise = settle("skellam", 0.01, bits=20, dimension=3, phones=2, threshold=2)
    >>> encoder = PhoneEncoder(noise, NoiseKey.seeded(0), rotation_seed=0)
    >>> total = np.zeros(noise.padded, np.uint32)
    >>> for phone, update in enumerate(([0.3, 0.0, 0.4], [3.0, 0.0, -4.0])):
    ...     add_to(total, encoder.vector(np.array(update, np.float32), 1, phone, clip_norm=1.0), noise.bits)
    >>> np.round(estimate_mean(noise, total, 1, rotation_seed=0, clip_norm=1.0, denominator=2), 1).tolist()
    [0.4, 0.0, -0.2]
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.distributed_noise.hadamard import Floats, rotate, rotate_back, rotation_signs
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise, check_clip_norm
from server_strategy.privacy.distributed_noise.ring import Residues, add_to, from_ring, to_ring
from server_strategy.privacy.distributed_noise.rounding import conditionally_rounded
from server_strategy.privacy.distributed_noise.share import generator_of, noise_share
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import NonFiniteUpdateError, l2_norm
from typefleet.errors import expected
from typefleet.whole import check_phone

__all__ = ["PhoneEncoder", "add_to", "estimate_mean", "estimate_sum"]


class PhoneEncoder:
    """What the phones do with their updates; in a simulation one object plays them all.

    Args:
        noise: parameters of the run.
        key: of the noise and of the rounding.
        rotation_seed: of the signs; known to all.
    """

    def __init__(self, noise: PhoneNoise, key: NoiseKey, rotation_seed: int) -> None:
        self.noise, self._key, self._seed = noise, key, rotation_seed
        self._signs: tuple[int, Floats] = (-1, np.zeros(0))  # of a round

    def vector(
        self,
        update: NDArray[np.floating[Any]],
        server_round: int,
        phone: int,
        *,
        clip_norm: float,
        weight: float = 1.0,
        attempt: int = 0,
    ) -> Residues:
        """What a phone sends: uint32 [padded], modulo 2^bits.

        Args: as of `whole_numbers`.

        Raises:
            NonFiniteUpdateError: the update is not finite.
        """
        numbers = self.whole_numbers(update, server_round, phone, clip_norm=clip_norm, weight=weight, attempt=attempt)
        return to_ring(numbers, self.noise.bits)

    def whole_numbers(
        self,
        update: NDArray[np.floating[Any]],
        server_round: int,
        phone: int,
        *,
        clip_norm: float,
        weight: float = 1.0,
        attempt: int = 0,
    ) -> NDArray[np.int64]:
        """The same before it is reduced modulo 2^bits: int64 [padded]. No phone sends it.

        Args:
            update: float32 or float64 [dimension]; it is clipped here.
            server_round, phone: whose rounding and noise it is.
            clip_norm: bound on the L2 norm of the update.
            weight: in (0, 1], of the clipped update.
            attempt: counts, from 1, further rounds in the place of the same one.

        Raises:
            NonFiniteUpdateError: the update is not finite.
            ValueError: its shape, the weight, the clip norm or the number of the phone is none.
        """
        noise = self.noise
        if update.shape != (noise.dimension,):
            raise ValueError(expected("update", f"shape {(noise.dimension,)}", update.shape))
        check_clip_norm(clip_norm)
        check_phone(phone)
        if not 0 < weight <= 1:
            raise ValueError(expected("weight", "a number in (0, 1]", weight))
        norm = l2_norm(update)
        if not math.isfinite(norm):
            raise NonFiniteUpdateError(expected("update", "finite numbers", f"norm {norm}"))
        units = weight * noise.clip_units / max(norm, clip_norm)
        scaled = rotate(update * np.float64(units), self._signs_of(server_round), noise.block)
        rounding = generator_of(self._key, "rounding", server_round, phone, attempt)
        numbers = conditionally_rounded(rounding, scaled, noise.l2_sensitivity)
        rng = generator_of(self._key, noise.kind, server_round, phone, attempt)
        numbers += noise_share(rng, noise.kind, noise.share_stddev, len(numbers))
        return numbers

    def _signs_of(self, server_round: int) -> Floats:
        if self._signs[0] != server_round:
            self._signs = (server_round, rotation_signs(self._seed, server_round, self.noise.padded))
        return self._signs[1]


def estimate_sum(
    noise: PhoneNoise, total: NDArray[Any], server_round: int, *, rotation_seed: int, clip_norm: float
) -> NDArray[np.float64]:
    """The noised sum of the clipped updates: float64 [dimension], in the units of the weights.

    Args:
        noise: parameters of the run.
        total: sum of the phones' vectors modulo 2^bits, [padded].
        server_round, rotation_seed: of the rotation.
        clip_norm: that the updates were clipped to.

    Raises:
        ValueError: the sum's shape, or a clip norm that is none.
    """
    check_clip_norm(clip_norm)
    if total.shape != (noise.padded,):
        raise ValueError(expected("total", f"shape {(noise.padded,)}", total.shape))
    signs = rotation_signs(rotation_seed, server_round, noise.padded)
    turned_back = rotate_back(from_ring(total, noise.bits), signs, noise.block)
    return turned_back[: noise.dimension] * (clip_norm / noise.clip_units)


def estimate_mean(
    noise: PhoneNoise,
    total: NDArray[Any],
    server_round: int,
    *,
    rotation_seed: int,
    clip_norm: float,
    denominator: float,
) -> NDArray[np.float64]:
    """The noised sum over a fixed denominator, never over the number that reported: float64 [dimension].

    Args:
        noise, total, server_round, rotation_seed, clip_norm: as of `estimate_sum`.
        denominator: reports that a round waits for.

    Raises:
        ValueError: as of `estimate_sum`, or a denominator that is none.
    """
    if not (denominator > 0 and math.isfinite(denominator)):
        raise ValueError(expected("denominator", "a number > 0", denominator))
    summed = estimate_sum(noise, total, server_round, rotation_seed=rotation_seed, clip_norm=clip_norm)
    return summed / denominator
