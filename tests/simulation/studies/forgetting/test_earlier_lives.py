"""What is said of phones that are to be forgotten, and of releases from before a run went back."""

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from server_strategy.privacy.ledger_lines import encode_labels
from simulation.studies.forgetting.earlier_lives import sums_elsewhere
from simulation.studies.forgetting.forecast import Forecast, print_forecast


def line(follows, *labels, **more):
    return {"follows": follows, "participants": encode_labels(np.array(labels, np.uint64)), **more}


BACK = {"follows": 1, "forgotten": 1, "round": 1}
LINES = [
    {},
    line(0, 1, 2),
    line(1, 1, 3),
    line(2, 4, sum="asked"),
    line(3, 4),  # the release of that sum: the two are one
    line(4, 5, sum="asked"),
    {"follows": 5, "sum": "none"},  # its masks stayed on
    line(4, 6, sum="asked"),
    BACK,
    line(1, 2, 7),
]


@pytest.mark.parametrize(("phone", "number"), [(1, 1), (2, 0), (3, 1), (4, 1), (5, 0), (6, 1), (7, 0)])
def test_releases_of_earlier_lives_are_counted_each_once(phone, number):
    on_the_way = {0, 1, 9}
    assert sums_elsewhere(LINES, np.array([phone, 99], np.uint64), on_the_way) == number


def test_a_phone_that_was_released_before_the_run_went_back_is_not_said_to_be_in_no_sum():
    whole = dict.fromkeys((one.name for one in fields(Forecast)), 0) | {"first_round": None, "epsilon": None}
    said = {}
    for number in (0, 1, 2):
        out = io.StringIO()
        print_forecast(out, Path("run"), Forecast(**{**whole, "budget": None, "gone_out": number}))
        said[number] = " ".join(out.getvalue().split())
    assert "none of them was ever in a sum" in said[0]
    assert "ever in a sum" not in said[1] and "in 1 release that went out, not in this model" in said[1]
    assert "none of them is in this model; in 2 releases" in said[2]


def test_a_sum_was_learnt_though_the_run_went_back_right_after_it():
    lines = [{}, line(0, 6, sum="asked"), {**BACK, "follows": 1}]
    assert sums_elsewhere(lines, np.array([6], np.uint64), {0}) == 1
