"""Independent noise: nothing is kept, every participation is paid for."""

import numpy as np

from server_strategy.privacy.mechanisms.gaussian import IndependentNoise


def test_a_phone_pays_for_each_participation():
    mechanism = IndependentNoise()
    assert [mechanism.sensitivity_squared(releases, 3, 4) for releases in (1, 3, 4, 9, 40)] == [1, 1, 2, 3, 4]
    assert mechanism.independent and mechanism.vectors_of_memory == 0
    np.testing.assert_array_equal(mechanism.sum_errors(4), [1, 2, 3, 4])
