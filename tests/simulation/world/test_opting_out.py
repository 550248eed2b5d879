"""Who agrees and who leaves is counted by group, and the recall of those who left is given or said to be unknown."""

import numpy as np
import pytest

from client_model.metrics.intervals import over_people
from client_model.metrics.table import metric_table
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.world.availability.base import Availability
from simulation.world.config import FleetConfig
from simulation.world.consent.config import PURPOSES
from simulation.world.consent.times import Consents, ConsentTimes
from simulation.world.fleet import Fleet
from simulation.world.opting_out import GROUPING, by_consent, consent_record, consent_summary
from simulation.world.participation import Grouping
from simulation.world.sessions import Sessions

PHONES, HELD_OUT = 12, np.arange(8, 12)
METRICS = metric_table()
PARITY = Grouping("parity", ("even", "odd"), np.arange(PHONES) % 2)
# To train: phones 0, 3, 6, 9 never agreed, 1, 4, 7, 10 withdrew at 50 s, the others agree.
BEGIN = np.where(np.arange(PHONES) % 3 == 0, np.inf, 0.0)
END = np.select([np.arange(PHONES) % 3 == 0, np.arange(PHONES) % 3 == 1], [-np.inf, 50.0], np.inf)


class Nowhere(Availability):
    utc_offset_h = np.zeros(PHONES)
    eligible_share = np.zeros(PHONES)

    def day_starts(self, day):
        return Sessions(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def fleet_of(consents):
    config = FleetConfig(memory_floor_gb=0.0)
    return Fleet(config, PHONES, 0, np.arange(8), availability=Nowhere(PHONES), consents=lambda zones: consents)


@pytest.fixture
def fleet():
    always = ConsentTimes(np.zeros(PHONES), np.full(PHONES, np.inf))
    return fleet_of(Consents({**dict.fromkeys(PURPOSES, always), "train": ConsentTimes(BEGIN, END)}, "said"))


def evaluation(phones):
    zeros = {
        name: np.zeros((len(phones), 7) if "position" in name and name.startswith(("top", "word")) else len(phones))
        for name in METRICS.counters
    }
    hits = {"word-positions": np.full(len(phones), 11), "out-of-vocabulary": np.ones(len(phones))}
    hits |= {"top1-hits": phones % 4, "top3-hits": phones % 4 + 1, "characters": np.full(len(phones), 50)}
    return PhoneCounts(phones, {**zeros, **hits, "keystrokes": np.full(len(phones), 40)})


def test_numbers_by_purpose_and_group_add_up(fleet):
    record = consent_record(fleet, 60.0, HELD_OUT, [PARITY], evaluation=None, metrics=METRICS)
    train, evaluate, _, telemetry = record["purposes"]
    assert train == {
        "purpose": "train",
        "phones": 8,
        "given_at_start": 5,
        "given": 2,
        "withdrawn": 3,
        "never_given": 3,
    }
    assert (evaluate["phones"], telemetry["phones"]) == (4, 8) and evaluate["given"] == 4
    even, odd = record["by_group"]
    assert (even["phones"], even["given"], even["withdrawn"], even["never_given"]) == (4, 1, 1, 2)
    assert (odd["phones"], odd["given"], odd["withdrawn"], odd["never_given"]) == (4, 1, 2, 1)
    (grouping,) = by_consent(fleet, 60.0)
    assert grouping.name == GROUPING and np.bincount(grouping.member).tolist() == [4, 4, 4]
    before = consent_record(fleet, 49.0, HELD_OUT, [PARITY], evaluation=None, metrics=METRICS)
    assert before["purposes"][0]["withdrawn"] == 0 and before["simulated_days"] == 49 / 86400


def test_recall_of_who_stayed_and_who_left_has_its_interval(fleet):
    counted = evaluation(HELD_OUT)
    record = consent_record(fleet, 60.0, HELD_OUT, [PARITY], evaluation=counted, metrics=METRICS)
    given, withdrawn, never = record["recall"]
    assert [one["group"] for one in (given, withdrawn, never)] == ["given", "withdrawn", "never given"]
    assert [(one["held_out_phones"], one["measured"]) for one in record["recall"]] == [(2, 2), (1, 1), (1, 1)]
    metric = METRICS.compared[0]
    found = over_people(metric, counted.of(np.isin(HELD_OUT, (8, 11))).counts)
    assert (given[metric.name], given[f"{metric.name}_low"]) == (found.mean, found.low) and found.low < found.high
    assert withdrawn[metric.name] == 2 / 10 and withdrawn[f"{metric.name}_low"] is None  # of one person


def test_what_is_not_known_is_null_with_its_reason(fleet):
    left_out = consent_record(fleet, 60.0, HELD_OUT, [], evaluation=evaluation(np.array([8, 9])), metrics=METRICS)
    assert "why_no_value" not in left_out["recall"][0]
    assert left_out["recall"][1]["why_no_value"] == "none of them agrees to being measured"
    assert left_out["recall"][1]["top1_recall"] is None
    nobody = consent_record(fleet, 60.0, HELD_OUT[:2], [], evaluation=evaluation(np.array([8, 9])), metrics=METRICS)
    assert nobody["recall"][1]["why_no_value"] == "nobody is held out"
    unmeasured = consent_record(fleet, 60.0, HELD_OUT, [], evaluation=None, metrics=METRICS)
    assert {one["why_no_value"] for one in unmeasured["recall"]} == {"nobody was measured"}


def test_the_summary_counts_updates_that_were_dropped(fleet):
    rounds = [{"withdrawn": 2, "left_withdrawn": 1}, {"withdrawn": 4}, {"abandoned": "the budget"}]
    assert consent_summary(fleet, 60.0, rounds) == {
        "train_share_at_start": 5 / 8,
        "train_share": 2 / 8,
        "updates_withdrawn": 7,
    }


def test_where_everybody_agrees_nothing_is_said():
    silent = fleet_of(None)
    assert consent_record(silent, 60.0, HELD_OUT, [PARITY], evaluation=None, metrics=METRICS) is None
    assert consent_summary(silent, 60.0, []) is None and by_consent(silent, 60.0) == []
    assert silent.agree("train", HELD_OUT, 0.0).all() and silent.agreeing("evaluate", HELD_OUT, 0.0) is HELD_OUT
