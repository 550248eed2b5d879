"""Noise on the sum of updates, behind tensorflow-privacy's `DPQuery` interface.

This is the only module that imports tensorflow-privacy. Its package initialiser fails under current
TensorFlow (it wants the removed Estimator API); the attribute set below is upstream's own switch to
skip that part, and has to be set before the first import in every process.

The library's queries draw from TensorFlow's generators: unseeded they cannot be repeated, seeded they
depend on how many draws came before (`GaussianSumQuery`) or share draws between neighbouring seeds, in
float32 (`TreeResidualSumQuery`); its restart is a traced function, in which noise from outside would be
drawn once and used for ever. `KeyedSumQuery` keeps the library's interface and privacy event,
takes its noise from a mechanism's stream, and draws from the generators of a `NoiseKey`: a run resumed
after a crash repeats the same release bit for bit, and no two releases, tensors or keys share a draw. It
also inherits the library's clipping and sums, which a run does not use: `update_sum.FixedPointSum` clips and
adds up. The tests hold that clipping, tree and adaptive clipping against the library's own.
"""

import collections
import math
import sys
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from server_strategy.privacy.slow_imports import without_loss_distributions

sys.skip_tf_privacy_import = True  # type: ignore[attr-defined]
without_loss_distributions()

import dp_accounting  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from tensorflow_privacy.privacy.dp_query.dp_query import DPQuery, SumAggregationDPQuery  # noqa: E402
from tensorflow_privacy.privacy.dp_query.gaussian_query import GaussianSumQuery  # noqa: E402
from tensorflow_privacy.privacy.dp_query.no_privacy_query import NoPrivacySumQuery  # noqa: E402

from server_strategy.privacy.mechanisms.base import Draw, Mechanism, NoiseStream, sensitivity_of  # noqa: E402
from server_strategy.privacy.noise_key import NoiseKey  # noqa: E402
from server_strategy.update_sum import moved_clip_norm  # noqa: E402
from typefleet.at_once import at_once  # noqa: E402
from typefleet.errors import ConfigError, expected  # noqa: E402
from typefleet.own_parts import calling  # noqa: E402

__all__ = [
    "AdaptiveClipSumQuery",
    "DPQuery",
    "KeyedSumQuery",
    "NoPrivacySumQuery",
    "SumAggregationDPQuery",
    "TensorNoise",
]


@dataclass
class TensorNoise:
    """The noise of one tensor, and how many releases it was used in."""

    stream: NoiseStream
    releases: int = 0


class _Place(NamedTuple):
    """Of one draw among all of a run's for one purpose."""

    release: int
    tensor: int
    level: int
    attempt: int
    shape: tuple[int, ...]


class KeyedSumQuery(GaussianSumQuery):  # type: ignore[misc]  # tensorflow-privacy has no types
    """Sum query whose noise comes from a mechanism and is a function of (key, purpose, releases so far).

    Clipping and sums are inherited from tensorflow-privacy, and used by tests alone. The state holds the noise of each
    tensor, which is advanced in place, since it may be large: a state can be used once, and a second use raises.
    """

    _GlobalState = collections.namedtuple("_GlobalState", ["l2_norm_clip", "stddev", "release", "noises", "attempt"])

    def __init__(
        self, l2_norm_clip: float, stddev: float, key: NoiseKey, mechanism: Mechanism, purpose: str = "noise"
    ) -> None:
        """Set up the query.

        Args:
            l2_norm_clip: bound on one record's global L2 norm.
            stddev: standard deviation of the mechanism's draws, on each coordinate of the sum.
            key: of the noise.
            mechanism: makes noise of the draws.
            purpose: keys the noise as well; queries that run side by side need different ones.
        """
        super().__init__(l2_norm_clip, stddev)
        self._key, self._purpose, self._mechanism = key, purpose, mechanism
        self._ahead: tuple[_Place, Future[NDArray[np.float64]]] | None = None

    def initial_global_state(self) -> Any:
        """State before the first release."""
        return self._GlobalState(float(self._l2_norm_clip), float(self._stddev), 0, (), 0)

    def new_noise(self) -> TensorNoise:
        """Noise of one tensor, before the first release."""
        return TensorNoise(self._mechanism.stream())

    def draw_ahead(self, global_state: Any, shape: tuple[int, ...]) -> None:
        """Begin to draw what the noise of the next release's first tensor is made of, beside what the caller does.

        The numbers are those that would be drawn then; if others are needed, they are drawn then. Asked again, it goes
        on with what it has begun.

        Args:
            global_state: before the release.
            shape: of the tensor.
        """
        place = _Place(global_state.release, 0, 0, 0, tuple(shape))
        if self._ahead is None or self._ahead[0] != place:
            self._ahead = place, at_once(lambda: self._drawn(place))

    def get_noised_result(self, sample_state: Any, global_state: Any) -> tuple[Any, Any, dp_accounting.DpEvent]:
        """Add noise of the release to each tensor of the sum; returns (result, next state, event).

        A sum of float64 arrays gives arrays, one of tensors gives tensors, of the same numbers.

        Raises:
            ValueError: the state was used before.
            ConfigError: the mechanism's stream raises, or gives anything but a number for each coordinate.
        """
        tensors = tf.nest.flatten(sample_state)
        release, noises = global_state.release, global_state.noises or tuple(self.new_noise() for _ in tensors)
        noised = []
        for index, (tensor, noise) in enumerate(zip(tensors, noises, strict=True)):
            if noise.releases != release:
                found = f"noise used {noise.releases} times"
                raise ValueError(expected("state of the query", f"noise for release {release}", found))
            draw = self._draw(release, index, tensor.shape, global_state.attempt)
            unit = self._next_unit(noise.stream, draw, tuple(tensor.shape))
            noise.releases += 1
            scaled = unit * global_state.stddev
            # TensorFlow would copy a sum that is an array twice, to add the same numbers.
            is_array = isinstance(tensor, np.ndarray | np.float64) and tensor.dtype == np.float64
            noised.append(tensor + (scaled if is_array else tf.cast(scaled, tensor.dtype)))
        result = tf.nest.pack_sequence_as(sample_state, noised)
        return result, global_state._replace(release=release + 1, noises=noises, attempt=0), self._event(global_state)

    def _next_unit(self, stream: NoiseStream, draw: Draw, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Noise of the next release; anything else would be repeated over coordinates, or be no noise at all."""
        where = f"mechanism {self._mechanism.name!r}"
        with calling(where, "noise of its stream"):
            unit = stream.next(draw)
        found = f"{getattr(unit, 'dtype', type(unit).__name__)} {list(np.shape(unit))}"
        if not isinstance(unit, np.ndarray | np.float64) or unit.dtype != np.float64 or unit.shape != shape:
            raise ConfigError(expected(where, f"noise of its stream as float64 {list(shape)}", found))
        if not np.isfinite(unit).all():
            raise ConfigError(expected(where, "noise of its stream that is finite", "NaN or infinite numbers"))
        return np.asarray(unit)

    def _draw(self, release: int, tensor: int, shape: Any, attempt: int) -> Draw:
        """The draws of one tensor in one release; a tree needs one for each node that it completes."""

        def draw(level: int) -> NDArray[np.float64]:
            place = _Place(release, tensor, level, attempt, tuple(shape))
            ahead, self._ahead = self._ahead, None
            return ahead[1].result() if ahead is not None and ahead[0] == place else self._drawn(place)

        return draw

    def _drawn(self, place: "_Place") -> NDArray[np.float64]:
        rng = self._key.generator(place.release, place.tensor, place.level, self._purpose, place.attempt)
        return np.asarray(rng.standard_normal(place.shape))

    def _event(self, global_state: Any) -> dp_accounting.DpEvent:
        """What this release costs alone; releases whose noise is shared can only be accounted for together."""
        if self._mechanism.independent:
            sensitivity = global_state.l2_norm_clip * math.sqrt(sensitivity_of(self._mechanism, 1, 1, 1))
            return dp_accounting.GaussianDpEvent(global_state.stddev / sensitivity)
        return dp_accounting.UnsupportedDpEvent()


class AdaptiveClipSumQuery(SumAggregationDPQuery):  # type: ignore[misc]
    """Sum query whose clip norm follows a quantile of the records' norms.

    Andrew et al., "Differentially private learning with adaptive clipping", arXiv:1905.03871, Section 2.
    A record is the pair (update, 1/2 if its norm is at most the clip norm, else -1/2). The noised sum of
    the second part tells which share of the norms is below the clip norm C; C then moves by
    exp(-learning_rate (share - quantile)). Both parts go through queries of their own, the updates in
    units of C: whatever C was in a round, a record changes that sum by at most 1, so the noise of a
    mechanism fits all rounds alike, and the factor C afterwards is post-processing.

    | paper | here |
    |---|---|
    | gamma | quantile |
    | eta_C | learning_rate |
    | m | expected_reports |
    """

    _GlobalState = collections.namedtuple("_GlobalState", ["clip_norm", "update", "count"])

    def __init__(
        self,
        *,
        initial_clip_norm: float,
        quantile: float,
        learning_rate: float,
        expected_reports: int,
        update_query: SumAggregationDPQuery,
        count_query: SumAggregationDPQuery,
    ) -> None:
        """Set up the query.

        Args:
            initial_clip_norm: of the first release.
            quantile: share of the norms that are to lie below the clip norm.
            learning_rate: how fast it moves.
            expected_reports: records a release; the share is always taken of this number.
            update_query: protects the sum of the updates, in units of the clip norm.
            count_query: protects the sum of the halves.
        """
        self._initial_clip_norm = initial_clip_norm
        self._quantile, self._learning_rate, self._expected = quantile, learning_rate, expected_reports
        self.update_query, self.count_query = update_query, count_query

    def initial_global_state(self) -> Any:
        """State before the first release."""
        return self._GlobalState(
            float(self._initial_clip_norm),
            self.update_query.initial_global_state(),
            self.count_query.initial_global_state(),
        )

    def derive_sample_params(self, global_state: Any) -> float:
        """The clip norm, with which records are preprocessed."""
        return float(global_state.clip_norm)

    def preprocess_record(self, params: float, record: Any) -> tuple[Any, Any]:
        """(clipped update, 1/2 or -1/2)."""
        clipped, norm = tf.clip_by_global_norm(tf.nest.flatten(record), params)
        below = tf.cast(norm <= params, tf.float64) - 0.5
        return tf.nest.pack_sequence_as(record, clipped), below

    def initial_sample_state(self, template: Any = None) -> tuple[Any, Any]:
        """(sum of no update, in the template's structure; sum of no half)."""
        return tf.nest.map_structure(tf.zeros_like, template), tf.zeros([], tf.float64)

    def get_noised_result(self, sample_state: Any, global_state: Any) -> tuple[Any, Any, dp_accounting.DpEvent]:
        """(sum of the updates with the noise of the release, next state with the next clip norm, event)."""
        total, below = sample_state
        clip_norm = global_state.clip_norm
        unit = tf.nest.map_structure(lambda x: x / clip_norm, total)
        noised, update_state, update_event = self.update_query.get_noised_result(unit, global_state.update)
        noised_below, count_state, count_event = self.count_query.get_noised_result(below, global_state.count)
        share = float(noised_below) / self._expected + 0.5
        moved = moved_clip_norm(clip_norm, self._learning_rate * (share - self._quantile))
        result = tf.nest.map_structure(lambda x: x * clip_norm, noised)
        event = dp_accounting.ComposedDpEvent([update_event, count_event])
        return result, self._GlobalState(moved, update_state, count_state), event
