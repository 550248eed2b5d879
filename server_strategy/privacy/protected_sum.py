"""The step between an exact sum and what leaves the server: the mechanism's query, and its state.

This is where a plan becomes noise. The strategy hands in each round's sum and how many updates lay below
the clip norm; out comes the protected sum. The clip norm of the next round is read from here.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.adjacency import COUNT_SENSITIVITY
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.noise import (
    AdaptiveClipSumQuery,
    DPQuery,
    KeyedSumQuery,
    NoPrivacySumQuery,
    SumAggregationDPQuery,
    TensorNoise,
)
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.state import State, StateError, branch, leaf, leaves_of
from server_strategy.update_sum import LARGEST_CLIP_NORM, SMALLEST_CLIP_NORM
from typefleet.errors import expected

FORGOTTEN = "forgotten"  # in a state


def without_noise(state: State) -> State:
    """The state of a `ProtectedSum` with nothing of its noise left in it.

    Where noise is shared between releases, no further one is made from it.
    """
    return {**{name: leaf(state, name) for name in ("releases", "clip_norm")}, FORGOTTEN: np.array(True)}


def saved_clip_norm(state: State) -> float:
    """The clip norm of the next release, of a state of a `ProtectedSum` or `LatticeSum`.

    Raises:
        StateError: it is none that updates can be summed by.
    """
    saved = leaf(state, "clip_norm")
    is_number = saved.ndim == 0 and saved.dtype.kind in "iuf"
    clip_norm = float(saved) if is_number else math.nan
    if not SMALLEST_CLIP_NORM <= clip_norm <= LARGEST_CLIP_NORM:
        what = f"a clip norm from {SMALLEST_CLIP_NORM:g} to {LARGEST_CLIP_NORM:g}"
        raise StateError(expected("state", what, clip_norm if is_number else "no number"))
    return clip_norm


class ProtectedSum:
    """Makes releases, one after the other.

    Attributes:
        releases: made so far.
    """

    def __init__(self, plan: PrivacyPlan, noise: NoiseKey) -> None:
        self._plan = plan
        self._query = make_query(plan, noise)
        self._state: Any = self._query.initial_global_state()
        self.releases = 0
        self._may_release = True

    @property
    def clip_norm(self) -> float:
        """Bound on the L2 norm of an update in the next release."""
        return float(self._state.clip_norm) if self._plan.adaptive is not None else self._plan.clip_norm

    def draw_ahead(self, num_weights: int) -> None:
        """Begin to draw the noise of the next release, beside what the caller does before it.

        Args:
            num_weights: of a sum.
        """
        for query, state in list(zip(self._keyed_queries(), self._keyed_states(), strict=True))[:1]:
            query.draw_ahead(state, (num_weights,))

    def release(self, total: NDArray[Any], reports: int, reports_below: int, attempt: int = 0) -> NDArray[np.float64]:
        """Protect a sum.

        Args:
            total: sum of the clipped updates, float64 [num_weights].
            reports: updates in it.
            reports_below: those whose norm was at most the clip norm.
            attempt: counts, from 1, further sums that are released in the place of the same release; each has
                noise of its own.

        Returns:
            float64 [num_weights].

        Raises:
            ConfigError: the mechanism gives no noise for each weight; nothing is released.
            RuntimeError: the state that it goes on from has forgotten its noise.
        """
        if not self._may_release:
            raise RuntimeError(expected("release", "the noise of earlier ones", "a state that has forgotten it"))
        sample: Any = total
        if self._plan.adaptive is not None:
            sample = (total, np.float64(reports_below - reports / 2))
        noised, self._state, _ = self._query.get_noised_result(sample, self._at(attempt))
        self.releases += 1
        protected: NDArray[np.float64] = np.asarray(noised)
        return protected

    def state(self) -> State:
        """All that a checkpoint needs: the noise still to be cancelled, of each query, and the clip norm."""
        streams = {
            str(number): noise.stream.state()
            for number, query_state in enumerate(self._keyed_states())
            for noise in query_state.noises  # one tensor each
        }
        return {"releases": np.array(self.releases), "clip_norm": np.array(self.clip_norm), "streams": streams}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave.

        Raises:
            StateError: it is not such a state.
        """
        self.releases = int(leaf(state, "releases"))
        if not self.releases:
            return
        forgotten, mechanism = FORGOTTEN in state, self._plan.mechanism
        # Independent noise leaves nothing that a further release would need.
        self._may_release = not forgotten or mechanism is None or mechanism.independent
        loaded, streams = [], {} if forgotten else branch(state, "streams")
        for number, (query, query_state) in enumerate(zip(self._keyed_queries(), self._keyed_states(), strict=True)):
            noise = TensorNoise(query.new_noise().stream, self.releases)
            if not forgotten:
                noise.stream.load_state(leaves_of(branch(streams, str(number))))
            loaded.append(query_state._replace(release=self.releases, noises=(noise,)))
        if self._plan.adaptive is not None:
            update, count = loaded or (self._state.update, self._state.count)
            self._state = self._state._replace(clip_norm=saved_clip_norm(state), update=update, count=count)
        elif loaded:
            (self._state,) = loaded

    def _at(self, attempt: int) -> Any:
        """The state of the query for a release that is made again, of another sum."""
        if not self._keyed_queries():
            return self._state
        if self._plan.adaptive is None:
            return self._state._replace(attempt=attempt)
        update, count = (state._replace(attempt=attempt) for state in (self._state.update, self._state.count))
        return self._state._replace(update=update, count=count)

    def _keyed_queries(self) -> list[KeyedSumQuery]:
        query = self._query
        inner = [query.update_query, query.count_query] if isinstance(query, AdaptiveClipSumQuery) else [query]
        return [q for q in inner if isinstance(q, KeyedSumQuery)]

    def _keyed_states(self) -> list[Any]:
        inner = [self._state.update, self._state.count] if self._plan.adaptive is not None else [self._state]
        return inner if self._keyed_queries() else []


def make_query(plan: PrivacyPlan, noise: NoiseKey) -> DPQuery:
    """The query of a plan.

    Raises:
        ValueError: a plan whose noise is not settled.
    """
    adaptive = plan.adaptive
    if adaptive is None:
        return _sum_query(plan.mechanism, plan.clip_norm, plan.noise_stddev, noise, "noise")
    return AdaptiveClipSumQuery(
        initial_clip_norm=plan.clip_norm,
        quantile=adaptive.quantile,
        learning_rate=adaptive.learning_rate,
        expected_reports=plan.goal,
        update_query=_sum_query(plan.mechanism, 1.0, adaptive.update_noise_stddev, noise, "noise"),
        count_query=_sum_query(
            plan.mechanism, COUNT_SENSITIVITY[plan.adjacency], adaptive.count_noise_stddev, noise, "clip-noise"
        ),
    )


def _sum_query(
    mechanism: Mechanism | None, clip_norm: float, stddev: float | None, noise: NoiseKey, purpose: str
) -> SumAggregationDPQuery:
    if mechanism is None:
        return NoPrivacySumQuery()
    if stddev is None:
        raise ValueError(expected(f"mechanism {mechanism.name!r}", "a plan that settles its noise", "none"))
    return KeyedSumQuery(clip_norm, stddev, noise, mechanism, purpose)
