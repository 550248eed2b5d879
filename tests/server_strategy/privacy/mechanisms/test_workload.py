"""Noise can be optimised for the server's momentum, if the server has any."""

import numpy as np
import pytest
from scipy.linalg import toeplitz

from server_strategy.privacy.mechanisms.base import Horizon
from server_strategy.privacy.mechanisms.door import mechanism_kind
from tests.server_strategy.privacy.mechanisms.dense import make, residual_of_draws
from typefleet.errors import ConfigError

WITH_WORKLOAD = ("banded", "blt")


@pytest.mark.parametrize("name", WITH_WORKLOAD)
def test_momentum_is_optimised_for_if_it_is_the_workload(name):
    def error(mechanism):
        inverse = residual_of_draws(mechanism, 24)
        server = np.tril(toeplitz(np.cumsum(0.9 ** np.arange(24))))
        return ((server @ inverse) ** 2).sum() * mechanism.sensitivity_squared(24, 5, 4)

    assert error(make(name, momentum=0.9, workload="momentum")) < error(make(name)) * 0.999
    assert make(name, momentum=0.9) == make(name)


@pytest.mark.parametrize("name", WITH_WORKLOAD)
def test_a_server_without_momentum_is_refused(name):
    kind = mechanism_kind(name)
    for refuse in (kind.check, kind.make):
        with pytest.raises(ConfigError, match=r"^workload: expected momentum only with a server that has linear mom"):
            refuse(kind.settings(workload="momentum"), Horizon(24, 5, 4))
