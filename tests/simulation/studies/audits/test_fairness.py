"""Groups of people in what was counted on them: who is worse off, and what is said where nobody can tell."""

import numpy as np
import pytest

from client_model.metrics.keyboard_metrics import words_of_people
from server_strategy.pooled_evaluation import PhoneCounts
from simulation.studies.audits.fairness import gaps, groupings_of_text
from simulation.world.participation import Grouping
from tests.simulation.studies.run_folders import counts_of


def found_of(counted, *groupings):
    return {one.name.removeprefix("fairness: "): one for one in gaps(counted, groupings, 0)}


@pytest.fixture(scope="module")
def counted():
    return counts_of(0, 0.1, people=60)


def harmed(counted, chosen, share):
    """The same, but for the hits of some people."""
    hits = np.where(chosen, (counted.counts["top1-hits"] * share).astype(np.int64), counted.counts["top1-hits"])
    return PhoneCounts(counted.phones, {**counted.counts, "top1-hits": hits})


def test_a_group_that_is_worse_off_is_named_with_how_much(counted):
    member = np.arange(60) % 3
    kind = Grouping("kind", ("a", "b", "c"), member)
    before = found_of(counted, kind)
    after = found_of(harmed(counted, member == 1, 0.5), kind)
    one = after["recall, kind"]
    assert before["recall, kind"].low == 0 and one.low > 3 and one.value > 7 and "worst: b (20 people)" in one.why
    assert one.details["worst_below_all"]["group"] == "b" and one.details["worst_below_all"]["low"] > 0
    assert after["recall, worst group below all"].low > 0 and "worst: b" in after["recall, worst group below all"].why
    assert after["keystrokes saved, kind"] == before["keystrokes saved, kind"], "which the hits are no part of"
    assert all(low <= value <= high for low, value, high in ((o.low, o.value, o.high) for o in after.values()))


def test_people_who_write_little_or_what_the_vocabulary_lacks_are_groups(counted):
    words, unknown = counted.counts["word-positions"], np.zeros(60, np.int64)
    unknown[:15] = words[:15] // 2
    own = PhoneCounts(counted.phones, {**counted.counts, "out-of-vocabulary": unknown})
    text, lacking = groupings_of_text(*words_of_people(own.counts))
    assert (lacking.member[:15] == lacking.member.max()).all() and (lacking.member[15:] == 0).all()
    assert words[text.member == 0].max() <= words[text.member == 3].min() and np.bincount(text.member).min() >= 14


def test_what_cannot_be_compared_is_said_and_one_group_alone_is_no_grouping(counted):
    alone, few = np.zeros(60, np.int64), (np.arange(60) < 5).astype(np.int64)
    found = found_of(counted, Grouping("zone", ("UTC",), alone), Grouping("tier", ("many", "few"), few))
    assert not any("zone" in name for name in found)
    assert found["recall, tier"].value is None and "few (5)" in found["recall, tier"].why


def test_nobody_measured_is_no_figure():
    nobody = PhoneCounts(np.zeros(0, np.int64), {name: v[:0] for name, v in counts_of(0, 0.1).counts.items()})
    found = found_of(nobody, *groupings_of_text(*words_of_people(nobody.counts)))
    assert found and all(one.value is None and one.why for one in found.values())
