"""The weights of earlier rounds are kept as long as somebody may have begun from them."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord

from server_strategy.model_versions import ModelVersions, flat_weights, shaped_like

LIKE = ArrayRecord({"a": Array(np.zeros((2, 3), np.float32)), "b": Array(np.zeros(4, np.float32))})


def version(value):
    return shaped_like(LIKE, np.full(10, value, np.float32))


def test_versions_are_kept_as_long_as_they_may_be_needed():
    versions = ModelVersions(max_staleness=2)
    for r in range(1, 6):
        versions.remember(r, version(r))
    assert [float(flat_weights(versions.of(r, LIKE))[0]) for r in (3, 4, 5)] == [3, 4, 5]
    assert list(versions.of(4, LIKE)) == ["a", "b"] and versions.of(4, LIKE)["a"].numpy().shape == (2, 3)
    with pytest.raises(ValueError, match=r"server_round: expected one of \[3, 4, 5\], found 2"):
        versions.of(2, LIKE)
    other = ModelVersions(max_staleness=2)
    other.load_state(versions.state())
    np.testing.assert_array_equal(flat_weights(other.of(3, LIKE)), np.full(10, 3, np.float32))
    empty = ModelVersions(2)
    empty.load_state(ModelVersions(2).state())
    assert not empty.state()["rounds"].size
