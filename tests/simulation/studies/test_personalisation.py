import io
import json

import numpy as np
import pytest
from rich.console import Console

from client_model.metrics.keyboard_metrics import POSITION_NAMES
from client_model.metrics.table import metric_table
from client_model.tflite.personalisation import FineTuning, PersonalOutcome
from simulation.studies.personalisation import print_groups, summarise, write_outcomes

METRICS = metric_table()


def counts(loss=10.0, hits=0, positions=10):
    none = np.zeros(len(POSITION_NAMES), np.int64)
    by_place = {name: none for name in METRICS.counters if name.endswith("by-position")}
    return {
        "tokens": np.array(positions + 2),
        "loss-sum": np.array(loss),
        "word-positions": np.array(positions + 1),
        "out-of-vocabulary": np.array(1),
        "top1-hits": np.array(hits // 2),
        "top3-hits": np.array(hits),
        "characters": np.array(50),
        "keystrokes": np.array(40 - hits),
        **by_place,
    }


def phone(tokens, before, after, helps=True):
    checked = counts(10.0), counts(9.0 if helps else 11.0)
    return PersonalOutcome(tokens, *checked, counts(hits=before), counts(hits=after))


PHONES = [phone(20, 2, 2), phone(50, 2, 5), phone(150, 4, 1, helps=False), phone(5000, 3, 4)]


def test_groups_by_text_and_all_of_them_last():
    groups = summarise(PHONES, METRICS)
    assert [g.phones for g in groups] == [2, 1, 0, 1, 4]
    least, few, none, _, everybody = groups
    assert (least.before["top3_recall"], least.after["top3_recall"]) == (4 / 20, 7 / 20)
    assert least.after["keystroke_savings"] == 1 - (80 - 7) / 100
    assert least.mean_gain == pytest.approx(0.15)
    assert least.mean_gain_standard_error == pytest.approx(0.15)  # of gains 0 and 0.3
    assert (least.share_that_gains, least.share_that_loses, least.share_kept) == (0.5, 0, 1)
    assert (least.mean_gain_low, least.mean_gain_high) == pytest.approx((0.0, 0.3))  # both drawn alike, or not
    assert few.mean_gain == pytest.approx(-0.3) and few.mean_gain_standard_error is None and few.mean_gain_low is None
    assert (few.share_that_loses, few.mean_gain_by_rule, few.share_that_loses_by_rule) == (1, 0, 0)
    assert few.by_rule == few.before
    assert none.mean_gain is None and none.before is None
    assert everybody.mean_gain_low < 0 < everybody.mean_gain_high and everybody.mean_gain_by_rule_low >= 0
    assert everybody.mean_gain == pytest.approx((0 + 0.3 - 0.3 + 0.1) / 4) and everybody.share_kept == 0.75


def test_a_phone_without_known_words_counts_no_gain():
    nothing = PersonalOutcome(30, counts(), counts(9.0), counts(positions=0), counts(positions=0))
    everybody = summarise([*PHONES, nothing], METRICS)[-1]
    assert everybody.phones == 5 and everybody.share_that_gains == 0.5


@pytest.mark.parametrize("outcomes", [PHONES, PHONES[:1]])
def test_written_and_printed_whole(outcomes, tmp_path):
    record, plot = write_outcomes(tmp_path, outcomes, 3, FineTuning(), METRICS)
    about = json.loads(record.read_text())
    assert about["phones_with_too_little_text"] == 3 and about["fine_tuning"]["epochs"] == 1
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = io.StringIO()
    print_groups(Console(file=text, width=140), summarise(outcomes, METRICS), METRICS)
    assert "all" in text.getvalue() and "95 % bootstrap interval over phones" in text.getvalue()
