"""The least that a claim may come to is held to every set of phones that may be part of a release."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.participation_log import (
    NOTHING_BESIDE,
    Beside,
    ParticipationLog,
    least_epsilon_after,
    privacy_after,
)
from server_strategy.privacy.planning import make_privacy_plan

PHONES, ROUNDS = 12, 12
PLANS = {
    name: make_privacy_plan(
        CohortConfig(goal=5, min_separation_rounds=2),
        PrivacyConfig(name, noise_multiplier=1.0),
        rounds=ROUNDS,
        num_phones=PHONES,
    )
    for name in ("gaussian", "tree", "banded", "blt")
}


def played(rng, releases):
    """Any phones, at any distance: what a plan admits is a part of it."""
    log = ParticipationLog(PHONES)
    for release in range(1, releases + 1):
        log.record(release, rng.choice(PHONES, rng.integers(1, 6), replace=False))
    return log


def sets_of(phones, at_least):
    return [
        np.array(some, np.int64) for size in range(at_least, len(phones) + 1) for some in combinations(phones, size)
    ]


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), releases=st.integers(0, ROUNDS - 1), made_again=st.booleans())
def test_no_set_of_enough_phones_costs_less(name, seed, releases, made_again):
    rng, plan = np.random.default_rng(seed), PLANS[name]
    log, phones = played(rng, releases), rng.choice(PHONES, 5, replace=False)
    beside, independent = NOTHING_BESIDE, plan.mechanism.independent
    if made_again:
        beside = Beside(2, rng.integers(0, 3, PHONES).astype(np.int32), 0.0 if independent else 0.25)
    before = log.copy()
    for at_least in range(1, 6):
        least = least_epsilon_after(plan, log, releases + 1, phones, at_least=at_least, beside=beside)
        every = [privacy_after(plan, log, releases + 1, some, beside).epsilon for some in sets_of(phones, at_least)]
        assert least <= min(every)
        if independent and made_again:  # counts alone cost, so that some set costs no more
            assert least == pytest.approx(min(every), rel=1e-8)
    whole = privacy_after(plan, log, releases + 1, phones, beside).epsilon
    assert whole * (1 - 1e-8) < least < whole  # where all have to come
    assert log.equals(before)


def test_the_least_is_of_those_who_came_seldom_and_of_those_who_rested():
    log, plan = ParticipationLog(4), PLANS["gaussian"]
    for release, phones in enumerate(([0, 1, 2], [0, 1], [0]), 1):
        log.record(release, np.array(phones))
    least = [least_epsilon_after(plan, log, 4, np.arange(4), at_least=n) for n in (1, 2, 3, 4)]
    assert least == [pytest.approx(plan.epsilon_of(gaussian_rho(1.0, most)), rel=1e-8) for most in (3, 3, 3, 4)]
    apart, plan = ParticipationLog(3), PLANS["blt"]
    for release, phone in ((1, 0), (3, 1), (5, 2)):
        apart.record(release, np.array([phone]))
    least = [least_epsilon_after(plan, apart, 6, np.arange(3), at_least=n) for n in (1, 2, 3)]
    assert least == [pytest.approx(plan.epsilon_of(plan.rho_of(6, gap, 2)), rel=1e-8) for gap in (5, 3, 1)]
    assert least[0] < least[1] < least[2]


def test_without_privacy_there_is_no_least():
    plan = make_privacy_plan(CohortConfig(goal=5), PrivacyConfig("none"), rounds=2, num_phones=PHONES)
    assert least_epsilon_after(plan, ParticipationLog(PHONES), 1, np.arange(5), at_least=5) is None
