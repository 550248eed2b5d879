"""Intervals over seeds and over people: against scipy's, and by how often they cover the truth."""

import numpy as np
import pytest
from scipy import stats

from client_model.metrics.intervals import (
    difference_between_seeds,
    difference_over_people,
    over_people,
    over_seeds,
    ratio_over_people,
    share_of_number,
    share_over_people,
    shown_half,
    value_and_half,
    why_so_wide,
)
from client_model.metrics.keyboard_metrics import PERPLEXITY, TOP1_RECALL
from client_model.metrics.metric import Metric
from typefleet.errors import ConfigError


def people(rng, n=80, skill=0.2):
    """Counts of n people who write unequally much and are unequally easy to predict."""
    words = rng.integers(20, 400, n)
    easy = np.clip(rng.normal(skill, 0.05, n), 0.01, 0.99)
    return {"word-positions": words, "out-of-vocabulary": words // 10, "top1-hits": rng.binomial(words, easy) * 9 // 10}


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.2, 0.21, 0.25], list(range(30))])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_over_seeds_is_students_t(values, confidence):
    found = over_seeds(values, confidence)
    low, high = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert found.half_width == pytest.approx((high - low) / 2) and (found.number, found.over) == (len(values), "seeds")


@pytest.mark.parametrize(
    ("values", "reference"),
    [([1.0, 2.0], [3.0, 3.5, 5.0]), ([0.2, 0.21, 0.25], [0.2, 0.22]), ([1.0, 1.01], [2.0, 3.0])],
)
def test_unpaired_seeds_are_welchs_test(values, reference):
    found = difference_between_seeds(values, reference)
    ours = stats.ttest_ind(values, reference, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ours.low, ours.high))
    assert found.mean == pytest.approx(np.mean(values) - np.mean(reference)) and found.number == len(values + reference)
    turned = difference_between_seeds(reference, values)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_unpaired_seeds_without_spread():
    assert difference_between_seeds([1.0], [2.0, 3.0]) is None
    still = difference_between_seeds([1.0, 1.0], [3.0, 3.0, 3.0])
    assert (still.mean, still.low, still.high, still.leaves_out_zero) == (-2.0, None, None, False) and still.why
    assert difference_between_seeds([1.0, 1.0], [3.0, 3.5]).leaves_out_zero is False


@pytest.mark.parametrize("values", [[0.2, 0.2], [0.1 + 0.2, 0.3], [7.0] * 5, [0.0, 0.0]])
def test_seeds_that_agree_tell_no_spread(values):
    found = over_seeds(values)
    assert (found.low, found.high, found.half_width, found.leaves_out_zero) == (None, None, None, False)
    assert f"{len(values)} seeds gave the same value" in found.why
    assert over_seeds([0.2, 0.2 + 1e-9]).half_width > 0


def test_half_an_interval_is_never_shown_as_nothing():
    shown = [shown_half(text) for text in ("0.00", "0", "0.0", "0.01", "12", "1,700")]
    assert shown == ["< 0.01", "< 1", "< 0.1", "0.01", "12", "1,700"]


def test_a_value_stands_with_half_its_interval_and_one_unit():
    wide, narrow = over_seeds([0.19, 0.2, 0.21]), over_seeds([0.2, 0.2 + 1e-6, 0.2 - 1e-6])
    assert value_and_half(wide, TOP1_RECALL) == f"20.00 ± {100 * wide.half_width:.2f} %"
    assert value_and_half(narrow, TOP1_RECALL) == "20.00 ± < 0.01 %"
    assert value_and_half(over_seeds([0.2]), TOP1_RECALL) == "20.00 %"  # one alone has no interval
    assert value_and_half(over_seeds([50.0, 54.0]), PERPLEXITY) == "52 ± 25"


def test_one_seed_says_nothing_of_its_spread_and_none_nothing_at_all():
    found = over_seeds([0.2])
    assert (found.low, found.high, found.half_width, found.leaves_out_zero) == (None, None, None, False)
    with pytest.raises(ConfigError):
        over_seeds([])


def test_that_two_seeds_make_an_interval_wide_is_said_with_students_factors():
    two, three = (stats.t.ppf(0.975, n - 1) for n in (2, 3))
    assert f"{two:.1f} standard errors" in why_so_wide(2) and f"{three:.1f}" in why_so_wide(2)
    assert over_seeds([0.1, 0.2]).half_width == pytest.approx(two * stats.sem([0.1, 0.2]))
    assert [why_so_wide(n) for n in (0, 1, 3, 10)] == [None] * 4


def test_over_people_is_what_scipys_bootstrap_gives():
    counts = people(np.random.default_rng(3))
    found = over_people(TOP1_RECALL, counts)

    def recall(words, unknown, hits, axis=-1):
        return hits.sum(axis) / (words.sum(axis) - unknown.sum(axis))

    reference = stats.bootstrap(
        tuple(counts.values()), recall, paired=True, method="percentile", n_resamples=9999, random_state=1
    ).confidence_interval
    assert found.mean == recall(*counts.values())
    assert (found.low, found.high) == pytest.approx(tuple(reference), abs=0.0015)
    assert found == over_people(TOP1_RECALL, counts)  # the same figure twice


def own_metric(value):
    return Metric("mine", "mine", {"word-positions": len}, value, unit="number")


def test_a_metric_of_ones_own_that_raises_on_a_draw_is_named_in_one_line():
    counts = people(np.random.default_rng(5))
    total = int(counts["word-positions"].sum())
    raising = own_metric(lambda sums: 1 / (int(sums["word-positions"]) == total))  # as they are it does not
    message = r"^metric mine: expected a value of its counts, found ZeroDivisionError at test_intervals\.py:\d+$"
    with pytest.raises(ConfigError, match=message):
        over_people(raising, counts)
    with pytest.raises(ConfigError, match=message):
        difference_over_people(raising, counts, counts)


def test_what_is_no_finite_number_plays_no_part():
    counts = people(np.random.default_rng(5))
    total = int(counts["word-positions"].sum())
    assert over_people(own_metric(lambda sums: float("nan")), counts) is None
    larger = own_metric(lambda sums: sums["word-positions"] if sums["word-positions"] >= total else np.nan)
    often = over_people(larger, counts)
    assert often.mean == total <= often.low < often.high
    once = own_metric(lambda sums: 1.0 if int(sums["word-positions"]) == total else float("inf"))
    found = over_people(once, counts)
    assert found.mean == 1.0 and {found.low, found.high} <= {None, 1.0}


def test_values_too_large_to_be_squared_have_no_interval():
    for found in (over_seeds([1e304, 50.0]), difference_between_seeds([1e304, 50.0], [60.0, 61.0])):
        assert found.mean > 1e303 and found.low is found.high is found.half_width is None and not found.leaves_out_zero


def test_over_people_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        found = over_people(TOP1_RECALL, people(rng, 40, 0.3))
        covered += found.low <= 0.3 <= found.high
    assert 50 <= covered <= 60  # of 60, at 95 %; a little low for hits that are cut to whole numbers


def test_a_difference_is_paired_by_phone():
    counts = people(np.random.default_rng(5))
    better = {**counts, "top1-hits": counts["top1-hits"] + 2}
    paired = difference_over_people(TOP1_RECALL, better, counts)
    alone = over_people(TOP1_RECALL, counts)
    assert paired.leaves_out_zero and paired.mean > 0 and paired.half_width < alone.half_width / 5
    same = difference_over_people(TOP1_RECALL, counts, counts)
    assert (same.mean, same.low, same.high, same.leaves_out_zero) == (0, 0, 0, False)
    with pytest.raises(ConfigError, match="same phones"):
        difference_over_people(TOP1_RECALL, counts, people(np.random.default_rng(5), 79))


def test_what_cannot_be_said_is_not():
    counts = people(np.random.default_rng(5))
    assert over_people(PERPLEXITY, counts) is None  # whose counts were not made
    nothing = {name: np.zeros(3, np.int64) for name in counts}
    assert over_people(TOP1_RECALL, nothing) is None
    one = over_people(TOP1_RECALL, {name: values[:1] for name, values in counts.items()})
    assert one.low is None and one.number == 1


def test_a_share_over_people_is_that_of_the_metric_and_of_ones_the_mean():
    counts = people(np.random.default_rng(8))
    words = counts["word-positions"] - counts["out-of-vocabulary"]
    assert share_over_people(counts["top1-hits"], words) == over_people(TOP1_RECALL, counts)
    values = np.random.default_rng(9).normal(0.3, 2.0, 400)
    found = share_over_people(values, np.ones(400))
    assert (found.mean, found.number, found.over) == (pytest.approx(values.mean()), 400, "people")
    assert found.half_width == pytest.approx(1.96 * stats.sem(values), rel=0.1)
    assert share_over_people(np.zeros(3), np.zeros(3)) is None
    with pytest.raises(ConfigError):
        share_over_people(np.zeros(3), np.zeros(4))


def test_a_ratio_is_taken_on_the_same_people_drawn_together():
    rng = np.random.default_rng(10)
    counts = people(rng)
    halved = {**counts, "top1-hits": counts["top1-hits"] // 2}
    found = ratio_over_people(TOP1_RECALL, halved, counts)
    assert found.mean == pytest.approx(halved["top1-hits"].sum() / counts["top1-hits"].sum())
    assert found.low == pytest.approx(0.5, abs=0.02) and found.high <= 0.5  # however people differ, half is half
    nothing = {**counts, "top1-hits": np.zeros(len(counts["top1-hits"]), np.int64)}
    assert ratio_over_people(TOP1_RECALL, counts, nothing) is None


@pytest.mark.parametrize(("some", "of"), [(0, 1), (0, 10), (3, 10), (10, 10), (421, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_share_of_a_number_of_people_is_wilsons(some, of, confidence):
    found = share_of_number(some, of, confidence)
    reference = stats.binomtest(some, of).proportion_ci(confidence, method="wilson")
    assert (found.mean, found.low, found.high) == pytest.approx((some / of, reference.low, reference.high), abs=1e-12)
    assert share_of_number(0, 0) is None
