"""The native kernel for tests that need it; they are skipped where none was built."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

kernel = pytest.importorskip(
    "client_model.learning.native.kernel", reason="the native kernel is not built: no C compiler at installation"
)
each_variant = pytest.mark.parametrize("variant", kernel.variants())


def normal(seed: int, *shape: int) -> NDArray[np.float32]:
    """Standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same_bits(of_variant: Callable[[str], Sequence[NDArray[np.generic]]]) -> Sequence[NDArray[np.generic]]:
    """What every variant gives, once it is certain that all give the same bits."""
    first, *others = [of_variant(name) for name in kernel.variants()]
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert np.asarray(one).tobytes() == np.asarray(two).tobytes()
    return first
