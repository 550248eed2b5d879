"""The cost of choosing the best of several runs, against the theorem written out."""

import numpy as np
import pytest

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.selection import epsilon_of_the_best_of


def by_the_theorem(rho, mean, delta):
    """Papernot and Steinke, Theorem 2 with eta 1 and gamma 1 / mean, minimised over both orders on a fine grid."""
    inner = 1 + np.geomspace(1e-3, 1e4, 4000)
    further = (2 * (1 - 1 / inner) * rho * inner + 2 * np.log(mean) / inner).min()
    order = 1 + np.geomspace(1e-2, 1e4, 20_000)
    renyi = rho * order + further + np.log(mean) / (order - 1)
    return float((renyi + np.log1p(-1 / order) - (np.log(delta) + np.log(order)) / (order - 1)).min())


@pytest.mark.parametrize("rho", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("mean", [2, 9, 100])
@pytest.mark.parametrize("delta", [1e-5, 1e-9])
def test_it_is_the_theorem_at_no_better_orders(rho, mean, delta):
    exact = by_the_theorem(rho, mean, delta)
    assert exact * 0.999 < epsilon_of_the_best_of(rho, mean, delta) < exact * 1.05  # dp_accounting tries fewer orders


def test_it_grows_with_the_trials_and_is_below_composition_for_many():
    found = [epsilon_of_the_best_of(0.3, mean, 1e-6) for mean in (2, 4, 16, 64, 256)]
    assert found == sorted(found) and found[0] > epsilon_by_rdp(0.3, 1e-6)
    assert found[-1] < epsilon_by_rdp(0.3 * 64, 1e-6)
    assert epsilon_of_the_best_of(0.0, 10, 1e-6) == 0
