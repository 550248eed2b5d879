"""Layer normalisation (Ba, Kiros and Hinton 2016, arXiv:1607.06450, equation 4), without an offset: a bias follows."""

import numpy as np
from numpy.typing import NDArray

from client_model.learning.cells.base import Tensor

_SMALLEST_VARIANCE = 1e-5


def layer_norm(x: Tensor, gain: Tensor) -> Tensor:
    """Each row of [., width] with mean 0 and variance 1, times the gain [width]."""
    import tensorflow as tf

    centred = x - tf.reduce_mean(x, 1, keepdims=True)  # [., width]
    variance = tf.reduce_mean(centred * centred, 1, keepdims=True)  # [., 1]
    return centred * tf.math.rsqrt(variance + _SMALLEST_VARIANCE) * gain


def numpy_layer_norm(x: NDArray[np.float32], gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `layer_norm`, for one row [width]."""
    normal: NDArray[np.float32] = (x - x.mean()) / np.sqrt(x.var() + _SMALLEST_VARIANCE) * gain
    return normal
