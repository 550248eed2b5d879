"""What is said of phones that were forgotten, before a run goes on."""

import pytest

from simulation.run.introduction import _forgotten


@pytest.mark.parametrize(
    ("phones", "models", "said"),
    [
        (1, 0, "1 phone, left out as if it had never come"),
        (2, 0, "2 phones, left out as if they had never come"),
        (2, 1, "2 phones, left out as if they had never come; what 1 model of before cost counts on top"),
        (2, 1200, "2 phones, left out as if they had never come; what 1,200 models of before cost counts on top"),
    ],
)
def test_what_was_released_before_counts_beyond_the_plan(phones, models, said):
    text = _forgotten(phones, models)
    assert text.startswith(said) and ("in epsilon above" in text) == (models > 0)
