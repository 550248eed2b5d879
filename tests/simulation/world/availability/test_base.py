"""A source of availability from outside: what is no session of this fleet, and what differs each time, is refused."""

import itertools

import numpy as np
import pytest

from simulation.clock import DAY_S, HOUR_S
from simulation.world.availability.base import Availability, WorldFacts
from simulation.world.config import FleetConfig
from simulation.world.fleet import Fleet
from simulation.world.sessions import Sessions
from typefleet.errors import ConfigError

PHONES = 9


class Evenings(Availability):
    """Everybody is there for two hours of each day."""

    def __init__(self, facts):
        super().__init__(facts.num_phones)
        self.utc_offset_h = np.zeros(facts.num_phones)
        self.eligible_share = np.full(facts.num_phones, 2 / 24)

    def day_starts(self, day):
        start_s = np.full(self.num_phones, day * DAY_S)
        return self.told(Sessions(np.arange(self.num_phones), start_s, start_s + 2 * HOUR_S))

    def told(self, sessions):
        return sessions


def of(change):
    """A fleet whose source gives other sessions than it should."""
    kind = type("Changed", (Evenings,), {"told": lambda self, sessions: change(sessions)})
    return Fleet(FleetConfig(), PHONES, 0, np.arange(PHONES), availability=kind(WorldFacts(PHONES, 0)))


def test_one_that_keeps_the_rules_is_asked_by_moment():
    fleet = of(lambda sessions: sessions)
    fleet.may_train[:] = True
    assert len(fleet.check_ins(3 * DAY_S + HOUR_S).phone) == PHONES
    assert not len(fleet.check_ins(3 * DAY_S + 3 * HOUR_S).phone)


def test_the_order_of_sessions_does_not_matter():
    asked = itertools.count()
    fleet = of(lambda s: s.pick(np.roll(np.arange(PHONES), next(asked))))
    np.testing.assert_array_equal(fleet.check_ins(HOUR_S).phone, np.arange(PHONES)[fleet.may_train])


def test_a_source_that_nobody_comes_from_is_one():
    assert not len(of(lambda s: s.pick(slice(0, 0))).check_ins(HOUR_S).phone)


ASKED = itertools.count()  # so that each answer is another
REFUSED = [
    (tuple, r"Sessions\(phone, start_s, end_s\), found tuple"),
    (lambda s: Sessions(*map(list, s)), r"Sessions of three arrays \[sessions\]"),
    (lambda s: s._replace(phone=s.phone.astype(float)), "int64 phones and float64 times, found float64, float64"),
    (lambda s: s._replace(end_s=s.end_s[1:]), "as many phones as starts and ends of sessions, found 9, 9 and 8"),
    (lambda s: s._replace(phone=s.phone + 1), "sessions of phones from 0 to 8, found 1 to 9"),
    (lambda s: s._replace(phone=s.phone - 1), "sessions of phones from 0 to 8, found -1 to 7"),
    (lambda s: Sessions(s.phone, s.end_s, s.start_s), "sessions that end after they start"),
    (lambda s: s._replace(start_s=s.start_s * np.nan), "sessions that end after they start"),
    (lambda s: s._replace(start_s=s.start_s - np.inf), "sessions of finite times"),
    (lambda s: s._replace(end_s=s.end_s + 3 * DAY_S), "that end by day 3, in UTC, found one that ends on day 3.08"),
    (lambda s: s.pick(slice(next(ASKED), None)), "the same sessions of a day whenever it is"),
    (lambda s: s._replace(start_s=s.start_s + next(ASKED)), "the same sessions of a day when"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_what_are_no_sessions_of_this_fleet_is_refused_before_a_round(change, message):
    with pytest.raises(ConfigError, match=f"^availability Changed: expected .*{message}"):
        of(change)


def test_a_later_day_is_held_to_it_as_well():
    fleet = of(lambda s: s._replace(phone=s.phone + 1) if s.start_s[0] > 4 * DAY_S else s)
    fleet.check_ins(HOUR_S)
    with pytest.raises(
        ConfigError, match=r"^availability Changed: expected sessions of phones from 0 to 8, found 1 to"
    ):
        fleet.check_ins(4 * DAY_S)
