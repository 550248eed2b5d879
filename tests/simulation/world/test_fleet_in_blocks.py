"""What is done for many phones at once gives the bits of what is done for each phone alone, in the plainest way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.participation_log import NEVER, ParticipationLog
from simulation.clock import DAY_S, HOUR_S
from simulation.world import sessions
from simulation.world.availability import model
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.check_ins import CheckInCalendar, CheckIns, smallest
from simulation.world.diary import PhoneDiary
from simulation.world.sessions import Sessions, running_by_group

PHONES = 150
HABITS = {
    "built-in": Habits(),
    "chains": Habits(eligible_share_alpha=2.0, reentry_share=0.6, long_session_share=0.2),
    "nearly always": Habits(eligible_share_alpha=30.0, session_median_h=3.0, session_mean_h=6.0),
}


def until_of_phones(fleet, now_s):
    """{phone: when its session ends} of those that are eligible, from each phone's own sessions."""
    day, found = int(now_s // DAY_S), {}
    days = [fleet.day_starts(d) for d in range(day - 3, day + 3)]
    for phone in range(fleet.num_phones):
        own = [s for d in days for s in zip(d.start_s[d.phone == phone], d.end_s[d.phone == phone], strict=True)]
        until = -np.inf
        for start, end in sorted(own):
            if start <= now_s or start <= until:
                until = max(until, end) if start <= until or end > now_s else until
        if until > now_s:
            found[phone] = until
    return found


@pytest.mark.parametrize("habits", HABITS)
@pytest.mark.parametrize("seed", [0, 5])
def test_who_is_there_is_what_each_phone_alone_says(habits, seed, monkeypatch):
    monkeypatch.setattr(model, "_PHONES_AT_ONCE", 7)
    monkeypatch.setattr(sessions, "_SESSIONS_AT_ONCE", 5)
    fleet = AvailabilityModel(HABITS[habits], WorldFacts(PHONES, seed=seed))
    calendar = CheckInCalendar(fleet, np.arange(PHONES) % 9 != 0)
    for now_s in (0.0, 40.0, 3 * HOUR_S, DAY_S - 1, DAY_S, 4.5 * DAY_S, 2 * HOUR_S):  # the last one lies before it
        there = calendar.at(now_s)
        expected = {phone: until for phone, until in until_of_phones(fleet, now_s).items() if phone % 9}
        assert there.phone.tolist() == sorted(expected)
        assert there.until_s.tolist() == [expected[phone] for phone in sorted(expected)]


@pytest.mark.parametrize("habits", HABITS)
def test_sessions_do_not_depend_on_how_many_are_made_or_merged_at_once(habits, monkeypatch):
    def around(phones, at_once):
        monkeypatch.setattr(model, "_PHONES_AT_ONCE", phones)
        monkeypatch.setattr(sessions, "_SESSIONS_AT_ONCE", at_once)
        fleet = AvailabilityModel(HABITS[habits], WorldFacts(2000, seed=1))
        return [column for day in (0, 1, 5) for column in fleet.sessions_around(day)]

    for a, b in zip(around(1 << 20, 1 << 30), around(64, 100), strict=True):
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes()


@given(
    st.integers(1, 2000),
    st.integers(1, 300),
    st.sampled_from(["even", "low", "high"]),
    st.integers(0, 99),
    st.floats(0, 1),
)
@settings(max_examples=60)
def test_the_smallest_keys_are_those_of_a_sort(size, number, kind, seed, share):
    draw = np.random.default_rng(seed)
    keys, there = draw.integers(0, 2**64, size, np.uint64), draw.random(size) < share
    keys = {"even": keys, "low": keys >> np.uint64(20), "high": ~(keys >> np.uint64(20))}[kind]
    in_order = [place for place in np.argsort(keys, kind="stable").tolist() if there[place]]
    assert smallest(keys, number, there).tolist() == sorted(in_order[:number])


@pytest.mark.parametrize("number", [0, 7, 400])
def test_who_is_drawn_does_not_depend_on_how_check_ins_are_kept(number):
    phone, there = np.arange(0, 900, 3), np.arange(300) % 7 != 2
    some, copied = CheckIns(phone, phone + 0.5, there), CheckIns(phone[there], phone[there] + 0.5)
    assert len(some) == len(copied) == there.sum()
    drawn, others = some.draw(np.uint64(5), number)
    assert len(drawn) == min(number, there.sum())
    assert sorted([*drawn.phone, *others.phone]) == phone[there].tolist()
    for one, other in zip((some, drawn, others), (copied, *copied.draw(np.uint64(5), number)), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(one.until_s, one.phone + 0.5)


def test_windows_of_a_day_change_nobody():
    fleet = AvailabilityModel(HABITS["chains"], WorldFacts(PHONES, seed=2))
    calendar = CheckInCalendar(fleet, np.ones(PHONES, bool))
    odd = CheckInCalendar(fleet, np.ones(PHONES, bool))
    edges = np.arange(0, 2 * DAY_S, 450.0)  # of windows and their middles, and next to them
    for now_s in np.sort(np.concatenate([edges, np.nextafter(edges[1:], 0), np.nextafter(edges, np.inf)])).tolist():
        phone, until_s = fleet.eligible_until(now_s)
        there = calendar.at(now_s)
        assert there.phone.tolist() == phone.tolist() and there.until_s.tolist() == until_s.tolist()
        assert odd.at(now_s, lambda phones: phones % 2 == 1).phone.tolist() == phone[phone % 2 == 1].tolist()


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_who_is_free_is_what_the_diary_says(seed):
    draw, diary, now_s = np.random.default_rng(seed), PhoneDiary(40), 0.0
    for step in range(30):
        away = draw.permutation(40)[: draw.integers(0, 9)]
        diary.stay_away(away, now_s + draw.integers(-1, 6, len(away)))
        if step == 20:
            loaded = PhoneDiary(40)
            loaded.load_state(diary.state())
            diary = loaded
        now_s += draw.integers(-2, 4)  # benchmarks go back
        phones = np.sort(draw.permutation(40)[:25])
        assert diary.is_free(phones, now_s).tolist() == [diary.free_from_s[p] <= now_s for p in phones]


@given(st.integers(0, 99))
@settings(max_examples=20)
def test_running_sessions_are_counted_as_one_by_one(seed):
    draw = np.random.default_rng(seed)
    phone, start = draw.integers(0, 6, 50), draw.integers(-5, 15, 50).astype(float)
    some, moments = Sessions(phone, start, start + draw.integers(1, 6, 50)), np.arange(0.0, 10.0, 2.5)
    group = draw.integers(0, 4, 6)  # the last of them is of none
    counted = running_by_group(some, moments, group, 3)
    for g in range(3):
        for m, moment in enumerate(moments):
            there = [s <= moment < e and group[p] == g for p, s, e in zip(*some, strict=True)]
            assert counted[g, m] == sum(there)


@pytest.mark.parametrize("most", [1, 2, 2**31 - 1, 2**31])
@pytest.mark.parametrize("separation", [1, 3, 1000])
def test_who_may_take_part_is_what_each_phone_alone_says(most, separation):
    log = ParticipationLog(8)
    for release in range(1, 6):
        log.record(release, np.arange(8)[np.arange(8) % release == 0])
    log.counts[7], log.last[7] = 0, NEVER
    expected = [
        6 - int(last) >= separation and count < most for last, count in zip(log.last, log.counts.tolist(), strict=True)
    ]
    assert log.may_participate(6, separation, most).tolist() == expected


@given(st.integers(0, 99))
@settings(max_examples=30)
def test_who_may_take_part_does_not_depend_on_what_was_asked_before(seed):
    draw, log = np.random.default_rng(seed), ParticipationLog(300)
    for release in range(1, 40):
        for asked in (release, release, release - int(draw.integers(0, 9))):  # forwards and back
            separation = int(draw.integers(1, 6))
            may = log.may_participate(asked, separation, 2**31)
            assert may.tolist() == [last <= asked - separation for last in log.last.tolist()]
            may[:] = False  # it is the caller's own
        log.record(release, draw.permutation(300)[: draw.integers(0, 5)])
        if release % 13 == 0:
            log = log.copy()
        elif release % 17 == 0:  # as it is loaded
            log.last = np.where(log.last == NEVER, release - 1, log.last).astype(np.int32)
