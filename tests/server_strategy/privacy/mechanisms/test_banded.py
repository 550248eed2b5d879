"""The banded matrix: as many bands as the rounds between two participations, and no more."""

import numpy as np
import pytest

from server_strategy.privacy.mechanisms.banded import KIND, BandedSettings
from server_strategy.privacy.mechanisms.base import Horizon
from tests.server_strategy.privacy.mechanisms.dense import make
from typefleet.errors import ConfigError


def test_bands_are_by_default_as_many_as_the_separation():
    assert len(make("banded", 24, b=5).coefficients) == 5
    assert len(make("banded", 24, b=5, bands=2).coefficients) == 2
    assert len(make("banded", 24, b=5, k=1).coefficients) == 24  # who takes part once never meets a band again
    assert make("banded", 24, b=5, bands=2).vectors_of_memory == 1


def test_one_participation_costs_what_it_does_with_independent_noise():
    assert make("banded").sensitivity_squared(24, 24, 1) == pytest.approx(1.0)
    assert np.linalg.norm(make("banded").coefficients) == pytest.approx(1.0)


@pytest.mark.parametrize("refuse", [KIND.check, KIND.make])
def test_more_bands_than_rounds_apart_are_refused(refuse):
    with pytest.raises(ConfigError, match=r"^bands: expected a number <= 5, .*, found 6$"):
        refuse(BandedSettings(bands=6), Horizon(24, 5, 4))
    refuse(BandedSettings(bands=6), Horizon(24, 5, 1))
