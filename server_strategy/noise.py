"""Noise on the sum of updates, behind tensorflow-privacy's `DPQuery` interface.

This is the only module that imports tensorflow-privacy. Its package initialiser fails under current
TensorFlow (it wants the removed Estimator API); the attribute set below is upstream's own switch to
skip that part, and has to be set before the first import in every process.

`GaussianSumQuery` as shipped draws from TensorFlow's global generator: unseeded it cannot be
repeated, seeded it depends on how many draws came before. `KeyedGaussianSumQuery` keeps the
library's clipping, state and privacy event, and draws its noise from a stream keyed by
(seed, release): a run resumed after a crash repeats the same release bit for bit, and no two
releases share a stream.
"""

import collections
import hashlib
import sys

sys.skip_tf_privacy_import = True  # type: ignore[attr-defined]

import dp_accounting  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_privacy.privacy.dp_query.dp_query import DPQuery  # noqa: E402
from tensorflow_privacy.privacy.dp_query.gaussian_query import GaussianSumQuery  # noqa: E402
from tensorflow_privacy.privacy.dp_query.no_privacy_query import NoPrivacySumQuery  # noqa: E402


class KeyedGaussianSumQuery(GaussianSumQuery):
    """Gaussian sum query whose noise is a function of (seed, release, tensor).

    Clipping, sums and the reported event are tensorflow-privacy's.
    """

    _GlobalState = collections.namedtuple("_GlobalState", ["l2_norm_clip", "stddev", "release"])

    def __init__(self, l2_norm_clip: float, stddev: float, seed: int) -> None:
        """Set up the query.

        Args:
            l2_norm_clip: bound on one record's global L2 norm.
            stddev: standard deviation of the noise on each coordinate of the sum.
            seed: key of the noise.
        """
        super().__init__(l2_norm_clip, stddev)
        self._seed = seed

    def initial_global_state(self):
        """State before the first release."""
        return self.global_state_at(0)

    def global_state_at(self, release: int):
        """State before the given release, counted from 0; all that a checkpoint needs."""
        return self._GlobalState(float(self._l2_norm_clip), float(self._stddev), int(release))

    def get_noised_result(self, sample_state, global_state):
        """Add noise of the release to each tensor of the sum; returns (result, next state, event)."""
        noised = []
        for index, tensor in enumerate(tf.nest.flatten(sample_state)):
            rng = noise_generator(self._seed, global_state.release, index)
            noise = rng.normal(0.0, global_state.stddev, size=tensor.shape)
            noised.append(tensor + tf.cast(noise, tensor.dtype))
        result = tf.nest.pack_sequence_as(sample_state, noised)
        event = dp_accounting.GaussianDpEvent(global_state.stddev / global_state.l2_norm_clip)
        return result, global_state._replace(release=global_state.release + 1), event


def noise_generator(seed: int, release: int, tensor: int) -> np.random.Generator:
    """The noise stream of one tensor in one release: Philox under a 256-bit digest of its key."""
    digest = hashlib.blake2b(repr((int(seed), "noise", int(release), int(tensor))).encode(), digest_size=32)
    entropy = int.from_bytes(digest.digest(), "little")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def make_query(mechanism: str, clip_norm: float, noise_stddev: float | None, seed: int) -> DPQuery:
    """The query for a mechanism name; `noise_stddev` is on the sum, None without privacy."""
    if mechanism == "none":
        return NoPrivacySumQuery()
    if mechanism != "gaussian":
        raise ValueError(f"Expected mechanism to be 'gaussian' or 'none'. Found {mechanism!r}.")
    if noise_stddev is None:
        raise ValueError("Expected noise_stddev with mechanism 'gaussian'. Found None.")
    return KeyedGaussianSumQuery(clip_norm, noise_stddev, seed)


def noised_sum(query: DPQuery, total: np.ndarray, release: int) -> np.ndarray:
    """One release: the exact sum (float64 [size]) in, the protected sum out."""
    keyed = isinstance(query, KeyedGaussianSumQuery)
    state = query.global_state_at(release) if keyed else query.initial_global_state()
    result, _, _ = query.get_noised_result(tf.constant(total), state)
    return result.numpy()
