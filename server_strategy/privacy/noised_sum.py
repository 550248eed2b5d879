"""The step between a sum and what leaves the server where the phones have added the noise: the server adds nothing."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.state import State, leaf
from typefleet.errors import expected


class NoisedSum:
    """Makes releases of sums that are noised already, one after the other; see `ProtectedSum`.

    Args:
        plan: whose noise phones add.

    Attributes:
        releases: made so far.
        clip_norm: bound on the L2 norm of an update.

    Raises:
        ValueError: a plan whose noise the server adds.
    """

    def __init__(self, plan: PrivacyPlan) -> None:
        if plan.phone_noise is None:
            raise ValueError(expected("plan", "noise that phones add", "none"))
        self._least = math.ceil(plan.phone_noise.counted_on * plan.share_of_the_noise)
        self.releases, self.clip_norm = 0, plan.clip_norm

    def release(self, total: NDArray[Any], reports: int, reports_below: int, attempt: int = 0) -> NDArray[np.float64]:
        """Pass a sum on.

        Args:
            total: noised sum of the clipped updates, float64 [num_weights].
            reports: updates in it.
            reports_below, attempt: as of `ProtectedSum.release`; neither has an effect.

        Returns:
            float64 [num_weights].

        Raises:
            RuntimeError: fewer phones than the claim counts on.
        """
        if reports < self._least:
            raise RuntimeError(expected("a noised sum", f"one of {self._least} phones or more", reports))
        self.releases += 1
        passed_on: NDArray[np.float64] = np.asarray(total, np.float64)
        return passed_on

    def state(self) -> State:
        """All that a checkpoint needs; the phones' noise leaves nothing to be kept."""
        return {"releases": np.array(self.releases), "clip_norm": np.array(self.clip_norm), "streams": {}}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave.

        Raises:
            StateError: it is not such a state.
        """
        self.releases = int(leaf(state, "releases"))
