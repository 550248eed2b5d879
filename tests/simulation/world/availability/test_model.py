"""The fitted statistics come out, and the state of a phone does not depend on anything else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from simulation.clock import DAY_S, HOUR_S, local_hour, simulated_date
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits, poisson_quantile
from simulation.world.check_ins import CheckInCalendar
from simulation.world.sessions import Sessions, merge_sessions

PHONES = 20_000
MODEL = AvailabilityModel(Habits(), WorldFacts(PHONES, seed=1))


def test_mean_eligible_share_is_the_measured_one():
    shares = [len(MODEL.eligible_until(t)[0]) / PHONES for t in np.arange(0, 5 * DAY_S, HOUR_S)]
    assert np.mean(shares) == pytest.approx(0.081, rel=0.05)


def test_never_eligible_within_five_days():
    seen = np.zeros(PHONES, bool)
    for day in range(5):
        sessions = MODEL.sessions_around(day)
        touching = (sessions.end_s > day * DAY_S) & (sessions.start_s < (day + 1) * DAY_S)
        seen[sessions.phone[touching]] = True
    assert 1 - seen.mean() == pytest.approx(0.29, abs=0.04)


def test_four_times_as_many_phones_at_the_best_local_hour():
    eligible, hours = np.zeros(24), np.zeros(24)
    for t in np.arange(0, 6 * DAY_S, HOUR_S / 2):
        hour = local_hour(t, MODEL.utc_offset_h).astype(int)
        phone, _ = MODEL.eligible_until(t)
        eligible += np.bincount(hour[phone], minlength=24)
        hours += np.bincount(hour, minlength=24)
    curve = eligible / hours
    assert 3.2 < curve.max() / curve.min() < 4.8
    assert abs(int(curve.argmax()) - 3) <= 2


def test_share_of_time_follows_each_phones_own_share():
    moments = np.arange(0, 20 * DAY_S, HOUR_S)
    share = np.zeros(PHONES)
    for t in moments:
        share[MODEL.eligible_until(t)[0]] += 1 / len(moments)
    for low, high in ((0.02, 0.05), (0.1, 0.2), (0.3, 0.5)):
        group = (MODEL.eligible_share > low) & (MODEL.eligible_share < high)
        assert share[group].mean() == pytest.approx(MODEL.eligible_share[group].mean(), rel=0.06)


@given(st.lists(st.floats(0, 6 * DAY_S), min_size=1, max_size=12))
@settings(max_examples=8, deadline=None)
def test_the_calendar_finds_at_any_moment_what_a_look_at_everybody_finds(moments):
    may_train = np.arange(PHONES) % 7 != 0
    calendar, model = CheckInCalendar(MODEL, may_train), AvailabilityModel(Habits(), WorldFacts(PHONES, seed=1))
    for now in moments:  # forwards and backwards
        found = calendar.at(now)
        phone, until = model.eligible_until(now)
        np.testing.assert_array_equal(found.phone, phone[may_train[phone]])
        np.testing.assert_array_equal(found.until_s, until[may_train[phone]])


RICH = Habits(
    never_eligible_share=0.2,
    other_best_local_hours=(13.0,),
    other_best_local_hour_shares=(0.4,),
    reentry_share=0.5,
    reentry_gap_mean_h=0.4,
)


def test_reentry_clusters_and_never_eligible_phones_keep_the_share():
    model = AvailabilityModel(RICH, WorldFacts(PHONES, seed=1))
    assert (model.eligible_share == 0).mean() == pytest.approx(0.2, abs=0.01)
    moments = np.arange(0, 10 * DAY_S, HOUR_S)
    share, by_hour = np.zeros(PHONES), np.zeros((2, 24))
    for t in moments:
        phone, _ = model.eligible_until(t)
        share[phone] += 1 / len(moments)
        hour = local_hour(t, model.utc_offset_h[phone]).astype(int)
        for cluster, best in enumerate((3.0, 13.0)):
            by_hour[cluster] += np.bincount(hour[model.best_hour[phone] == best], minlength=24)
    assert share.mean() == pytest.approx(model.eligible_share.mean(), rel=0.03)
    assert share[model.eligible_share == 0].max() == 0
    assert [abs(int(curve.argmax()) - best) <= 2 for curve, best in zip(by_hour, (3, 13), strict=True)] == [True] * 2


def test_reentry_makes_short_gaps():
    def short_gaps(habits):
        sessions = AvailabilityModel(habits, WorldFacts(PHONES, seed=1)).sessions_around(2)
        same = sessions.phone[1:] == sessions.phone[:-1]
        return ((sessions.start_s[1:] - sessions.end_s[:-1])[same] < HOUR_S).mean()

    assert short_gaps(RICH) > 2 * short_gaps(Habits())


def test_session_lengths():
    hours = MODEL._session_hours((np.arange(100_000) + 0.5) / 100_000)
    assert np.median(hours) == pytest.approx(1.0, rel=0.01) and hours.mean() == pytest.approx(2.0, rel=0.05)


def test_a_phones_sessions_do_not_depend_on_the_size_of_the_fleet():
    small = AvailabilityModel(Habits(), WorldFacts(50, seed=1))
    for t in (0.0, 3 * DAY_S + 7 * HOUR_S):
        phone, until = MODEL.eligible_until(t)
        a, b = small.eligible_until(t)
        np.testing.assert_array_equal(a, phone[phone < 50])
        np.testing.assert_array_equal(b, until[phone < 50])


def test_eligibility_lasts_until_it_is_said_to():
    # Consistent across midnight, where another day's window is computed.
    for t in np.arange(20 * HOUR_S, 30 * HOUR_S, 1000.0):
        phone, until = MODEL.eligible_until(t)
        later, _ = MODEL.eligible_until(t + 1000.0)
        still = phone[until > t + 1000.0]
        assert np.isin(still, later).all()
        assert len(np.unique(phone)) == len(phone) and (np.diff(phone) > 0).all()


intervals = st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50), st.integers(1, 20)), max_size=30)


@given(intervals)
def test_merged_sessions_cover_the_same_moments_and_are_disjoint(rows):
    phone = np.array([r[0] for r in rows], np.int64)
    start = np.array([r[1] for r in rows], float)
    end = start + np.array([r[2] for r in rows], float)
    merged = merge_sessions(Sessions(phone, start, end))
    moments = np.arange(-55, 75) + 0.5
    for p in range(4):
        before = ((start[phone == p, None] <= moments) & (moments < end[phone == p, None])).any(0)
        mine = merged.phone == p
        after = (merged.start_s[mine, None] <= moments) & (moments < merged.end_s[mine, None])
        np.testing.assert_array_equal(before, after.any(0))
        assert (after.sum(0) <= 1).all()
        assert (merged.start_s[mine][1:] > merged.end_s[mine][:-1]).all()


def test_clock():
    assert local_hour(2 * HOUR_S, -5.0) == 21 and local_hour(0, 5.5) == 5.5
    assert simulated_date("2026-01-05", DAY_S + 90.4) == "2026-01-06T00:01:30Z"


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.3, 1.0, 12.0, 59.0, 83.0, 2000.0])
def test_poisson_quantile_equals_scipys(rate):
    u = np.concatenate([np.random.default_rng(0).random(20_000), [1e-300, 2**-54, 1 - 2**-53, 0.5]])
    found = poisson_quantile(u, np.full(len(u), rate))
    expected = poisson.ppf(u, rate) if rate else np.zeros(len(u))
    apart = found != expected
    # Only where u stands on a step of the distribution may rounding decide otherwise.
    assert apart.mean() < 1e-3 and np.abs(found - expected).max() <= 6


def test_the_clock_may_be_set_back():
    model = AvailabilityModel(Habits(), WorldFacts(2000, seed=1))
    first = model.eligible_until(5 * DAY_S)
    model.eligible_until(9 * DAY_S)
    for a, b in zip(first, model.eligible_until(5 * DAY_S), strict=True):
        np.testing.assert_array_equal(a, b)
