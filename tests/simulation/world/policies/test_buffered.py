"""Updates count less the older they are, never more than the clip norm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_strategy.update_sum import FRACTION_BITS, FixedPointSum, to_float
from simulation.world.policies.buffered import staleness_weight


def test_weights_of_the_paper():
    assert [staleness_weight(r, 0.5) for r in (0, 3, 8)] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert staleness_weight(7, 0.0) == 1.0
    with pytest.raises(ValueError, match="staleness: expected a number >= 0, found -1"):
        staleness_weight(-1, 0.5)


@given(st.integers(0, 1000), st.floats(0, 3), st.floats(0.01, 100), st.floats(-3, 6), st.integers(0, 99))
def test_a_weighted_update_never_exceeds_the_clip_norm(staleness, exponent, clip_norm, log_scale, seed):
    update = (np.random.default_rng(seed).normal(size=50) * clip_norm * 10**log_scale / 7).astype(np.float32)
    weight = staleness_weight(staleness, exponent)
    total = FixedPointSum(50, clip_norm)
    total.add(update, weight)
    added = to_float(total.values, clip_norm)
    norm = np.linalg.norm(update.astype(np.float64))
    assert np.linalg.norm(added) <= clip_norm * weight * (1 + 1e-9) + 50 * clip_norm * 2.0**-FRACTION_BITS
    expected = update.astype(np.float64) * min(1.0, clip_norm / max(norm, 1e-300)) * weight
    np.testing.assert_allclose(added, expected, atol=clip_norm * 2.0**-24)


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.0001, np.nan])
def test_other_weights_are_refused(weight):
    with pytest.raises(ValueError, match=r"weight: expected a number in \(0, 1\]"):
        FixedPointSum(3, 1.0).add(np.zeros(3, np.float32), weight)
