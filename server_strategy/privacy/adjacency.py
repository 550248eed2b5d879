"""What two neighbouring data sets differ in, and what that does to the parts of a release.

Either way one phone's clipped update is there or is zero, so that the sum of updates changes by at most the clip
norm C. The count of updates shorter than C, which adaptive clipping needs, tells the two apart: a phone counts +1/2
if its update is shorter and -1/2 if not, and

* zero-out: its update is replaced by zero, which is shorter: from -1/2 to +1/2 the count changes by 1;
* add-or-remove: it is not there at all and counts 0: the count changes by 1/2 (arXiv:1905.03871, Section 2).

Updates and count together cost what one sum with noise z C does if, with s the sensitivity of the count
(arXiv:1905.03871, Theorem 1, has it for s = 1/2),

    z^-2 = z_update^-2 + (s / sigma_b)^2

The phones' worst cases fit together: an update longer than C changes the sum by C and the count by s, in every round in
which the phone takes part, so nothing smaller would do.

| paper | here |
|---|---|
| z, z_Delta | noise_multiplier, update_noise_multiplier |
| sigma_b | count_stddev |
"""

import math
from typing import Literal

from typefleet.errors import ConfigError, expected

Adjacency = Literal["zero-out", "add-or-remove"]
ZERO_OUT: Adjacency = "zero-out"
ADD_OR_REMOVE: Adjacency = "add-or-remove"
COUNT_SENSITIVITY: dict[str, float] = {ZERO_OUT: 1.0, ADD_OR_REMOVE: 0.5}
"""By how much one phone changes the count of shorter updates in one round."""

_COUNT_SHARE = 16  # by default the count takes at most this part of z^-2
_ROUNDING = 1e-12  # of a multiplier that is split and put together again


def default_count_stddev(noise_multiplier: float, cohort: int, adjacency: str) -> float:
    """A twentieth of the cohort, at least so much that fifteen sixteenths of the cost are left for the updates."""
    return max(cohort / 20, math.sqrt(_COUNT_SHARE) * COUNT_SENSITIVITY[adjacency] * noise_multiplier)


def noise_for_updates(noise_multiplier: float, count_stddev: float, adjacency: str) -> float:
    """z_update, with which updates and count together cost what one sum with the noise multiplier does.

    Raises:
        ConfigError: the count would cost as much alone.
    """
    sensitivity = COUNT_SENSITIVITY[adjacency]
    share = sensitivity / count_stddev
    left = noise_multiplier**-2 - share * share  # which is infinite for a tiny deviation, where ** would overflow
    if left <= 0:
        part = "the noise multiplier" if sensitivity == 1 else "half the noise multiplier"
        least = f"a number > {sensitivity * noise_multiplier:.4g}, {part}, or nothing is left for the updates"
        raise ConfigError(expected("--privacy.clip-count-stddev", f"{least} with {adjacency}", f"{count_stddev:.4g}"))
    return float(left**-0.5)


def charged_noise_multiplier(
    noise_multiplier: float, update_noise_multiplier: float, count_stddev: float, adjacency: str
) -> float:
    """The multiplier that updates and count together are charged by: the planned one, or less if they cost more.

    Plans of earlier versions charged the count by 1/2 under zero-out adjacency, where it changes by 1: what they spent
    is more than their noise multiplier says.
    """
    joint = 1 / math.hypot(1 / update_noise_multiplier, COUNT_SENSITIVITY[adjacency] / count_stddev)
    return noise_multiplier if joint >= noise_multiplier * (1 - _ROUNDING) else joint
