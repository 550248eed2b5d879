"""Consent holds from when it is given until it is withdrawn, whatever the number of times it is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.world.consent.config import PURPOSES
from simulation.world.consent.times import HOLDS, NEVER_GIVEN, WITHDRAWN, Consents, ConsentTimes

PHONES = 5
# For each phone the ends of its intervals, in order: begin, end, begin, ...
ENDS = st.lists(st.lists(st.integers(-5, 30), max_size=5, unique=True).map(sorted), min_size=PHONES, max_size=PHONES)


def times_of(ends):
    rows = [
        (phone, own[at], own[at + 1] if at + 1 < len(own) else np.inf)
        for phone, own in enumerate(ends)
        for at in range(0, len(own), 2)
    ]
    phone, begin, end = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    return ConsentTimes(begin.astype(float), end.astype(float), phone.astype(np.int64), PHONES)


def by_hand(own, now):
    """(state, end of the interval that holds) of one phone."""
    passed = [end for end in own if end <= now]
    if not passed:
        return NEVER_GIVEN, -np.inf
    if len(passed) % 2 == 0:
        return WITHDRAWN, -np.inf
    return HOLDS, next((end for end in own if end > now), np.inf)


@settings(max_examples=40, deadline=None)
@given(ENDS, st.integers(-6, 31), st.permutations(range(PHONES)))
def test_it_is_what_counting_one_phone_after_another_finds(ends, now, asked):
    times, phones = times_of(ends), np.array(asked)
    expected = [by_hand(ends[phone], now) for phone in asked]
    assert times.until_s(phones, now).tolist() == [until for _, until in expected]
    assert times.state(phones, now).tolist() == [state for state, _ in expected]
    later = [len(ends[phone]) % 2 == 1 or any(end > now for end in ends[phone]) for phone in asked]
    assert times.holds_from(phones, now).tolist() == later


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 9)), min_size=1, max_size=6), st.integers(-4, 10))
def test_one_interval_each_is_the_same_as_many(pairs, now):
    begin, end = np.array(pairs, float).T
    one, phones = ConsentTimes(begin, end), np.arange(len(pairs))
    kept = begin < end
    many = ConsentTimes(begin[kept], end[kept], phones[kept], len(pairs))
    for asked in (phones, phones[::-1]):
        for of in ("until_s", "state", "holds_from"):
            np.testing.assert_array_equal(getattr(one, of)(asked, now), getattr(many, of)(asked, now))


def test_each_phone_may_be_asked_for_at_a_moment_of_its_own():
    times = times_of([[0, 10], [5], [], [1, 2, 3, 9], [7, 8]])
    found = times.until_s(np.arange(PHONES), np.array([9.0, 4.0, 0.0, 3.0, 7.5]))
    assert found.tolist() == [10, -np.inf, -np.inf, 9, 8]


def test_what_is_no_fleet_is_refused():
    with pytest.raises(ValueError, match="intervals: expected a phone, a begin and an end of each"):
        ConsentTimes(np.zeros(2), np.zeros(3))
    everybody = ConsentTimes(np.zeros(2), np.full(2, np.inf))
    with pytest.raises(ValueError, match="times: expected those of train, evaluate, personalise, telemetry"):
        Consents({"train": everybody}, "here")
    all_of_them = Consents(dict.fromkeys(PURPOSES, everybody), "here")
    assert all_of_them.holds("train", np.arange(2), 1e12).all()
