"""Planning: what is asked for agrees with what is given, whichever it is."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.config import CohortConfig
from server_strategy.privacy.budget import BudgetRequest, at_equal_cost, solve, with_cohort
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.banded import BandedSettings
from server_strategy.privacy.planning import make_privacy_plan
from tests.server_strategy.privacy.mechanisms.dense import PRIVATE, encoder

PUBLISHED = BudgetRequest(
    "tree", noise_multiplier=7.0, rounds=2000, cohort=6500, min_separation_rounds=314, max_participations=6, delta=1e-10
)


def test_the_published_model():
    budget = solve(PUBLISHED)
    assert budget.rho == pytest.approx(0.8061, rel=2e-3)
    assert budget.epsilon == pytest.approx(8.8986, rel=2e-3)
    assert budget.population == 6500 * 314
    # And back: from its epsilon to its noise, from both to its rounds and participations.
    backwards = replace(PUBLISHED, noise_multiplier=None, epsilon=8.8986)
    assert solve(backwards).noise_multiplier == pytest.approx(7.0, rel=1e-3)
    both = replace(PUBLISHED, rho=budget.rho)
    assert solve(replace(both, max_participations=None)).max_participations == 6
    assert solve(replace(both, rounds=None)).rounds >= 2000


@given(
    st.sampled_from(PRIVATE),
    st.floats(0.5, 10),
    st.integers(2, 80),
    st.integers(4, 60),
    st.integers(1, 50),
)
@settings(deadline=None, max_examples=20)
def test_what_is_found_fits_and_more_does_not(mechanism, epsilon, rounds, separation, cohort):
    request = BudgetRequest(
        mechanism, epsilon=epsilon, rounds=rounds, cohort=cohort, min_separation_rounds=separation, delta=1e-6
    )
    forward = solve(request)
    assert epsilon * (1 - 1e-6) < forward.epsilon <= epsilon * (1 + 1e-9)
    known = replace(request, noise_multiplier=forward.noise_multiplier * (1 + 1e-9))
    assert solve(known).max_participations == forward.max_participations


@pytest.mark.parametrize("mechanism", PRIVATE)
def test_the_most_rounds_fit_and_one_more_does_not(mechanism):
    known = BudgetRequest(mechanism, noise_multiplier=3.0, cohort=10, min_separation_rounds=10, delta=1e-6)
    budget = solve(replace(known, epsilon=solve(replace(known, rounds=40)).epsilon * 1.001))
    assert budget.rounds >= 40
    assert solve(replace(known, rounds=budget.rounds)).epsilon <= budget.epsilon * 1.001
    assert solve(replace(known, rounds=budget.rounds + 1)).epsilon > budget.epsilon


@pytest.mark.parametrize("mechanism", PRIVATE)
def test_a_run_of_the_planned_setting_costs_what_was_planned(mechanism):
    budget = solve(BudgetRequest(mechanism, epsilon=4.0, rounds=90, cohort=20, min_separation_rounds=15, delta=1e-6))
    cohort = CohortConfig(goal=20, min_separation_rounds=15)
    plan = make_privacy_plan(
        cohort, PrivacyConfig(mechanism, target_epsilon=4.0, delta=1e-6), rounds=90, num_phones=1000
    )
    assert plan.noise_multiplier == pytest.approx(budget.noise_multiplier, rel=1e-6)
    assert plan.zcdp_rho == pytest.approx(budget.rho, rel=1e-6)


def test_phones_cohort_and_separation_from_two_of_them():
    base = BudgetRequest(epsilon=2.0, rounds=50, delta=1e-6)
    assert solve(replace(base, cohort=10, population=95)).min_separation_rounds == 9
    assert solve(replace(base, cohort=10, min_separation_rounds=9)).population == 90
    assert solve(replace(base, population=95, min_separation_rounds=9)).cohort == 10
    assert solve(replace(base, max_participations=5)).min_separation_rounds == 10


def dense_worst(budget):
    """The largest cost of so many participations at any moments, over every choice of rounds, from the dense matrix."""
    columns = encoder(budget.noise, budget.rounds).T
    chosen = itertools.combinations(range(budget.rounds), budget.max_participations)
    return max(np.sum(columns[list(rounds)].sum(axis=0) ** 2) for rounds in chosen) / (2 * budget.noise_multiplier**2)


@pytest.mark.parametrize("mechanism", PRIVATE)
def test_even_spacing_is_marked_and_the_worst_stands_beside_it(mechanism):
    request = BudgetRequest(mechanism, epsilon=3.0, rounds=12, cohort=7, max_participations=3, delta=1e-6)
    budget = solve(request)
    assert budget.spacing_is_assumed and "evenly spaced, 4 rounds apart" in budget.assumed["min_separation_rounds"]
    assert budget.population == 28 and "population" in budget.assumed
    rho, epsilon = budget.worst_case
    assert rho == pytest.approx(dense_worst(budget), rel=1e-9)
    assert (epsilon == budget.epsilon) == (mechanism == "gaussian") and epsilon >= budget.epsilon
    for other in PRIVATE:
        assert at_equal_cost(budget, request, other).worst_case is not None
    # What was asked for is found under the same assumption, and says so.
    asked = replace(request, max_participations=None, noise_multiplier=budget.noise_multiplier * (1 + 1e-9))
    assert solve(asked).max_participations == 3 and solve(asked).worst_case[0] == pytest.approx(rho, rel=1e-6)
    enforced = solve(replace(request, min_separation_rounds=4))
    assert enforced.worst_case is None and "min_separation_rounds" not in enforced.assumed
    assert enforced.rho == pytest.approx(budget.rho)


def test_participations_that_are_given_stay_as_given():
    """Also where so many phones would not need as many; the spacing is marked, and the worst stands beside it."""
    request = BudgetRequest("gaussian", noise_multiplier=2.0, rounds=100, cohort=20_000, population=10**6)
    given = replace(request, max_participations=5)
    budget, enforced = solve(given), solve(replace(given, min_separation_rounds=20))
    assert budget.max_participations == 5 and budget.min_separation_rounds == 20 and budget.spacing_is_assumed
    assert budget.epsilon == enforced.epsilon == pytest.approx(6.2325, rel=1e-4) and budget.worst_case is not None
    assert solve(request).max_participations == 2 and solve(request).epsilon < budget.epsilon
    for k in range(2, 101):  # also those that do not divide the rounds
        assert solve(replace(given, max_participations=k)).max_participations == k
    assert [with_cohort(budget, given, size).max_participations for size in (5_000, 80_000)] == [5, 9]
    found = solve(replace(given, rounds=None, epsilon=6.5))
    assert found.max_participations == 5 and found.rounds == 250 and found.epsilon == budget.epsilon


def test_what_nobody_said_is_marked():
    base = BudgetRequest(epsilon=2.0, rounds=50)
    assert solve(replace(base, cohort=10, population=95)).assumed.keys() == {"min_separation_rounds", "delta"}
    assert solve(replace(base, cohort=10, min_separation_rounds=9)).assumed.keys() == {"population", "delta"}
    assert solve(replace(base, population=95, min_separation_rounds=9)).assumed.keys() == {"cohort", "delta"}
    alone = solve(replace(base, min_separation_rounds=9))
    assert "nothing says how many phones" in alone.assumed["delta"] and alone.delta == 1e-6
    whole = replace(base, cohort=10, population=95, min_separation_rounds=9, delta=1e-6)
    assert not solve(whole).assumed and not solve(whole).spacing_is_assumed


def test_default_delta_follows_the_population():
    request = BudgetRequest(epsilon=2.0, rounds=50, cohort=10)
    assert solve(replace(request, population=1000)).delta == 1e-6
    assert solve(replace(request, population=10**8)).delta == pytest.approx(10**-8.8)


def test_comparisons_are_at_equal_rho():
    request = BudgetRequest(epsilon=3.0, rounds=200, cohort=100, population=5000)
    budget = solve(request)
    others = [at_equal_cost(budget, request, name) for name in PRIVATE]
    assert [other.rho for other in others] == pytest.approx([budget.rho] * 4)
    errors = {other.mechanism: other.error for other in others}
    assert errors["gaussian"] > errors["tree"] > errors["blt"] > errors["banded"]
    sizes = [with_cohort(budget, request, size) for size in (25, 100, 400)]
    assert [s.min_separation_rounds for s in sizes] == [200, 50, 12]
    assert [s.rho for s in sizes] == pytest.approx([budget.rho] * 3)
    assert (np.diff([s.error_per_report for s in sizes]) < 0).all()


BAD = {
    "no cost": (
        BudgetRequest(rounds=5, max_participations=1),
        "--epsilon: expected it, --rho or --noise-multiplier, found none",
    ),
    "two costs": (BudgetRequest(rounds=5, epsilon=1.0, rho=1.0), "--epsilon: expected it or --rho, found both"),
    "nothing of who takes part": (
        BudgetRequest(rounds=5, epsilon=1.0),
        "--min-separation-rounds: expected it, --max-participations",
    ),
    "no rounds": (BudgetRequest(epsilon=1.0, min_separation_rounds=3), "--rounds: expected it, or --noise-multiplier"),
    "no rounds nor phones": (
        BudgetRequest(epsilon=1.0, noise_multiplier=3.0),
        "--min-separation-rounds: expected it, or --cohort",
    ),
    "too few phones": (
        BudgetRequest(epsilon=1.0, rounds=5, cohort=9, population=8),
        "--cohort: expected a number <= the 8 phones, found 9",
    ),
    "phones come back too soon": (
        BudgetRequest(epsilon=1.0, rounds=5, cohort=9, population=90, min_separation_rounds=11),
        "--min-separation-rounds: expected a number <= the 10 cohorts",
    ),
    "participations too few for so many reports": (
        BudgetRequest(epsilon=1.0, rounds=100, cohort=9, population=90, max_participations=9),
        "--max-participations: expected a number >= the 10 that so few phones need for so many reports, found 9",
    ),
    "more participations than rounds": (
        BudgetRequest(epsilon=1.0, rounds=5, max_participations=6),
        "--max-participations: expected a number <= the 5 of 5 rounds, found 6",
    ),
    "more participations than the separation has room for": (
        BudgetRequest(epsilon=1.0, rounds=100, min_separation_rounds=50, max_participations=5),
        "--max-participations: expected a number <= the 2 of 100 rounds with 50 apart, found 5",
    ),
    "separation above population": (
        BudgetRequest(epsilon=1.0, rounds=5, population=90, min_separation_rounds=91),
        "--min-separation-rounds: expected a number <= the 90 phones",
    ),
    "noise far too small": (
        BudgetRequest(epsilon=0.5, noise_multiplier=0.1, min_separation_rounds=5),
        "one round fits",
    ),
    "participations that never fit": (
        BudgetRequest(epsilon=0.5, noise_multiplier=0.1, rounds=9, min_separation_rounds=5),
        "one participation fits",
    ),
    "rounds for nothing": (
        BudgetRequest("gaussian", epsilon=9.0, noise_multiplier=9.0, min_separation_rounds=5, max_participations=1),
        "20,000 fit",
    ),
    "tree with too many participations": (
        BudgetRequest("tree", epsilon=9.0, rounds=900, min_separation_rounds=5),
        "at most 64 participations",
    ),
    "more bands than rounds apart": (
        BudgetRequest(
            "banded", epsilon=9.0, rounds=90, min_separation_rounds=5, mechanism_settings=BandedSettings(bands=6)
        ),
        "--bands: expected a number <= 5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_go_together_is_said(case):
    request, message = BAD[case]
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        solve(request)
