"""Colours of drawings that stand on pages as well as on paper."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.plots import alone, on_dark


def parts(colour):
    return np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])


def contrast_to_dark(colour):
    """By the definition of WCAG, to the panels of the dark pages."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in map(parts, (colour, "#1b2229"))]
    one, dark = (np.dot(c, [0.2126, 0.7152, 0.0722]) + 0.05 for c in linear)
    return one / dark


@given(st.integers(0, 0xFFFFFF))
def test_any_colour_can_be_read_on_a_dark_page_and_keeps_its_hue(number):
    colour = f"#{number:06x}"
    found = on_dark(colour)
    assert contrast_to_dark(found) >= 4.5
    assert found == colour or contrast_to_dark(colour) < 4.5
    before, after = (colorsys.rgb_to_hls(*parts(one)) for one in (colour, found))
    if min(before[2], after[2]) > 0.2 and before[1] > 0.15:  # where eight bits say enough of a hue
        assert abs(before[0] - after[0]) < 0.03 or abs(before[0] - after[0]) > 0.97


@pytest.mark.parametrize(("points", "marker"), [([1], "o"), ([1, 2], ""), ([], "")])
def test_a_curve_of_one_point_has_a_marker(points, marker):
    assert alone(points, "o") == marker
