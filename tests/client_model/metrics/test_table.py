import json
from dataclasses import replace

import numpy as np
import pytest

from client_model.metrics.door import ALWAYS_MEASURED
from client_model.metrics.keyboard_metrics import IMPRESSION_RECALL, PERPLEXITY, TOP1_RECALL, word_positions
from client_model.metrics.metric import Metric, as_counts
from client_model.metrics.table import MetricTable, metric_table, stacked, sum_counts
from typefleet.errors import ConfigError, UnknownKindError


def metric(name="mine", counts=None, **other):
    return Metric(name, "mine", counts or {}, lambda sums: sum(int(v) for v in sums.values()) or None, **other)


def test_a_count_of_more_numbers_on_one_phone_than_on_another_is_refused():
    phones = [{"ranks": np.arange(3), "words": np.array(1)}, {"ranks": np.arange(5), "words": np.array(2)}]
    with pytest.raises(ConfigError, match=r"^count ranks: expected a number, or equally many .*, found 3 and 5$"):
        stacked(phones)
    with pytest.raises(ConfigError, match=r"^count ranks: .* found 1 and 5$"):
        stacked([{"ranks": np.array(7)}, phones[1]])


def test_the_built_in_metrics_come_first_and_in_their_order():
    mine = metric()
    assert [m.name for m in metric_table(handed_in=[mine]).metrics] == [*ALWAYS_MEASURED, "mine"]


def test_metrics_that_share_a_count_share_its_function():
    table = metric_table(handed_in=[metric(counts={"word-positions": word_positions})])
    assert table.counters["word-positions"] is TOP1_RECALL.counts["word-positions"]
    with pytest.raises(ConfigError, match=r"metric mine: expected counts with names of their own .* in top1_recall"):
        metric_table(handed_in=[metric(counts={"word-positions": lambda tokens: 3})])


@pytest.mark.parametrize("name", ["top1_recall", "Mine", "my-metric", "", "1st"])
def test_a_name_that_cannot_be_a_key_of_its_own_is_refused(name):
    with pytest.raises(ConfigError, match="expected a name of its own in lower case, with underscores"):
        metric_table(handed_in=[metric(name)])


@pytest.mark.parametrize("count", ["phone_ids", "Hits", ""])
def test_a_count_is_named_as_the_wire_has_it(count):
    with pytest.raises(ConfigError, match="expected counts with names of their own"):
        metric_table(handed_in=[metric(counts={count: word_positions})])


def test_names_are_looked_up_behind_the_door():
    with pytest.raises(UnknownKindError, match=r"metric: expected one of top1_recall, .*; did you mean perplexity\?"):
        metric_table(["perplexty"])
    with pytest.raises(
        ConfigError, match=r"--evaluation.metrics: expected further metrics, each once, .* found perplexity"
    ):
        metric_table(["perplexity"])


def test_a_value_whose_counts_nobody_made_does_not_exist():
    table = metric_table(handed_in=[metric(counts={"words": word_positions})])
    assert table.values({"words": np.array(3)})["mine"] == 3
    assert table.values({"other": np.array(3)}) == table.nothing()
    assert table.numbers({"words": np.array(3)}) == {"mine": 3}


def test_counts_are_whole_or_double_precision_numbers_and_nothing_else():
    assert (
        as_counts("a", np.float32(0.1)).dtype == np.float64 and as_counts("a", np.arange(3, dtype=np.int8)).dtype == int
    )
    assert as_counts("a", True) == 1
    for value in ("3", [[1, 2]], None):
        with pytest.raises(ConfigError, match="count a: expected a number or a list of numbers"):
            as_counts("a", value)


def test_sums_and_stacks_keep_every_number():
    phones = [{"n": np.array(i), "by-place": np.array([i, 2 * i])} for i in (1, 2, 3)]
    assert {name: v.tolist() for name, v in sum_counts(phones).items()} == {"n": 6, "by-place": [6, 12]}
    assert {name: v.tolist() for name, v in stacked(phones).items()} == {
        "n": [1, 2, 3],
        "by-place": [[1, 2], [2, 4], [3, 6]],
    }


@pytest.mark.parametrize(
    ("unit", "digits", "value", "text", "bare"),
    [
        ("percent", 2, 0.07481, "7.48 %", "7.48"),
        ("percent", 1, 0.1034, "10.3 %", "10.3"),
        ("number", 0, 1348.7, "1,349", "1,349"),
        ("number", 2, 0.5, "0.50", "0.50"),
        ("number", 0, 3.2e11, "3.2e+11", "3.2e+11"),
        ("percent", 2, None, "-", "-"),
    ],
)
def test_a_value_is_shown_by_its_unit(unit, digits, value, text, bare):
    one = metric(unit=unit, digits=digits)
    assert (one.text(value), one.bare(value)) == (text, bare)


def test_what_is_no_single_number_has_no_scalar_and_no_column():
    rows = metric("rows", unit="rows", show=lambda value: f"{len(value)} rows")
    assert rows.text([1, 2]) == "2 rows" and rows.scalar_tag is None
    table = metric_table(handed_in=[rows, metric(tag="mine/tag")])
    assert [one.name for one in table.compared] == ["top1_recall", "top3_recall", "keystroke_savings", "mine"]
    assert table.metrics[-1].scalar_tag == "mine/tag" and table.metrics[0].scalar_tag == "held_out/top1_recall"


def test_a_metric_says_what_it_is_without_where_it_lies_in_memory():
    assert repr(metric(counts={"words": word_positions})) == "Metric('mine', counts=['words'])"


WORDS = metric(counts={"words": word_positions})


def raise_with_text(counts):
    raise ValueError("cannot count 'my secret words'")


@pytest.mark.parametrize(
    ("value", "found"), [(np.nan, None), (np.float32(np.inf), None), (-np.inf, None), (np.array(3), 3), (True, True)]
)
def test_a_value_that_is_not_finite_does_not_exist(value, found):
    table = metric_table(handed_in=[replace(WORDS, value=lambda counts: value)])
    assert table.values({"words": np.array(3)})["mine"] == found
    assert ("mine" in table.numbers({"words": np.array(3)})) == (found is not None)


def test_rows_are_written_with_plain_numbers_and_what_does_not_exist_as_none():
    rows = ({"share": np.float64(0.5), "at": "0"}, {"share": np.nan, "at": np.int64(1)})
    table = metric_table(handed_in=[replace(WORDS, unit="rows", value=lambda counts: rows)])
    found = table.values({"words": np.array(3)})["mine"]
    assert json.dumps(found, allow_nan=False) == '[{"share": 0.5, "at": "0"}, {"share": null, "at": 1}]'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda counts: "high", "a number or None as its value, found str"),
        (lambda counts: [1, 2], "a number or None as its value, found list"),
        (lambda counts: object(), "a number or None as its value, found object"),
        (lambda counts: 1j, "a number or None as its value, found complex"),
        (raise_with_text, r"a value of its counts, found ValueError at test_table\.py:\d+"),
    ],
)
def test_a_metric_whose_value_is_no_number_is_named(value, message):
    table = metric_table(handed_in=[replace(WORDS, value=value)])
    with pytest.raises(ConfigError, match=f"^metric mine: expected {message}$"):
        table.values({"words": np.array(3)})


def test_a_counter_that_fails_is_named_with_its_metric():
    for counter, message in (
        (raise_with_text, r"metric mine: expected the count odd, found ValueError at test_table\.py:\d+$"),
        (lambda tokens: "3", "count odd of metric mine: expected a number or a list of numbers, found <U1"),
    ):
        table = MetricTable((metric(counts={"odd": counter}),))
        with pytest.raises(ConfigError, match=f"^{message}"):
            table.count(None)


@pytest.mark.parametrize("value", [1e6, 3.7e28, 1e304, float("inf")])
def test_a_perplexity_that_says_nothing_more_is_a_word_with_its_reason(value):
    assert PERPLEXITY.has_diverged(value) and PERPLEXITY.text(value) == PERPLEXITY.bare(value) == "diverged"
    assert PERPLEXITY.told(value).startswith("diverged: 1,000,000 or more, where guessing evenly has the number of")


def test_other_values_are_told_with_their_note():
    assert not PERPLEXITY.has_diverged(999_999.0) and not PERPLEXITY.has_diverged(None)
    assert PERPLEXITY.told(53.4) == "53" and PERPLEXITY.told(None) == "-"
    assert IMPRESSION_RECALL.told(0.25) == "25.00 % of all the times that three were shown"
    assert not TOP1_RECALL.has_diverged(1e9)
