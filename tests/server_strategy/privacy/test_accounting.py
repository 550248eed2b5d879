import math
from pathlib import Path

import dp_accounting
import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.account import Account
from server_strategy.privacy.accounting import (
    default_delta,
    epsilon_by_rdp,
    epsilon_if_poisson,
    epsilon_of_gaussian,
    gaussian_rho,
    noise_multiplier_for,
    rho_for,
)
from server_strategy.privacy.budget import BudgetRequest, solve
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.vocabulary_cost import vocabulary_cost
from typefleet.errors import InputError


def by_library(rho, delta):
    """The privacy loss distribution of dp_accounting, an independent way to the same number."""
    accountant = dp_accounting.pld.PLDAccountant()
    return accountant.compose(dp_accounting.GaussianDpEvent(math.sqrt(1 / (2 * rho)))).get_epsilon(delta)


def test_published_constants():
    # Six participations at noise multiplier 7, delta 1e-10 (dp-accounting 0.4.3).
    rho = gaussian_rho(7.0, 6)
    assert epsilon_of_gaussian(rho, 1e-10) == pytest.approx(2.1241, rel=1e-3)
    assert epsilon_by_rdp(rho, 1e-10) == pytest.approx(2.2248, rel=1e-3)
    # The first production next-word model: rho 0.8061 at delta 1e-10 gives epsilon 8.90.
    assert epsilon_by_rdp(0.8061, 1e-10) == pytest.approx(8.8986, rel=2e-3)
    assert epsilon_of_gaussian(0.8061, 1e-10) == pytest.approx(8.526, rel=2e-3)


@pytest.mark.parametrize("rho", [0.001, 0.05, 0.5, 2.0])
@pytest.mark.parametrize("delta", [1e-10, 1e-6, 1e-3])
def test_conversions_against_the_library(rho, delta):
    exact = by_library(rho, delta)
    assert epsilon_of_gaussian(rho, delta) == pytest.approx(exact, rel=2e-3, abs=1e-3)
    assert epsilon_by_rdp(rho, delta) >= epsilon_of_gaussian(rho, delta)


def test_rho_equals_composition_of_the_library():
    accountant = dp_accounting.rdp.RdpAccountant()
    accountant.compose(dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(1.3), 5))
    assert epsilon_by_rdp(gaussian_rho(1.3, 5), 1e-6) == pytest.approx(accountant.get_epsilon(1e-6), rel=1e-9)


def test_nothing_spent():
    assert epsilon_by_rdp(0.0, 1e-6) == epsilon_of_gaussian(0.0, 1e-6) == 0.0


@pytest.mark.parametrize("target", [0.3, 1.0, 8.0, 50.0])
@pytest.mark.parametrize("participations", [1, 6])
def test_calibrated_noise_meets_the_target_and_hardly_more(target, participations):
    z = noise_multiplier_for(target, 1e-6, participations)
    spent = epsilon_by_rdp(gaussian_rho(z, participations), 1e-6)
    assert spent <= target and spent == pytest.approx(target, rel=1e-4)


def test_poisson_counterfactual_is_the_librarys():
    # dp-accounting 0.4.3: 100 of 342,477 phones a round, 2,000 rounds, noise multiplier 1.
    assert epsilon_if_poisson(1.0, 100 / 342477, 2000, 1e-6) == pytest.approx(0.0671, rel=1e-2)
    # Renyi orders are ten times as loose there, which is why the counterfactual does not use them.
    joined = dp_accounting.PoissonSampledDpEvent(100 / 342477, dp_accounting.GaussianDpEvent(1.0))
    by_orders = dp_accounting.rdp.RdpAccountant().compose(dp_accounting.SelfComposedDpEvent(joined, 2000))
    assert by_orders.get_epsilon(1e-6) == pytest.approx(0.679, rel=1e-2)


@pytest.mark.parametrize("target", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("delta", [1e-10, 1e-5])
def test_rho_of_a_target(target, delta):
    rho = rho_for(target, delta)
    assert target * (1 - 1e-6) < epsilon_by_rdp(rho, delta) <= target


def test_a_target_below_what_the_orders_can_show():
    with pytest.raises(ValueError, match=r"at delta 1e-10, found 0.01"):
        rho_for(0.01, 1e-10)


def test_impossible_target():
    with pytest.raises(ValueError, match="epsilon: expected a target that some rho"):
        noise_multiplier_for(1e9, 1e-6, 1)


def test_default_delta():
    assert default_delta(1000) == 1e-6
    assert default_delta(1e8) == pytest.approx(1e8**-1.1)
    assert np.all(np.diff([default_delta(n) for n in (1e5, 1e6, 1e7, 1e9)]) <= 0)


@pytest.mark.parametrize("noise_multiplier", [1e-200, 1e-160, 1e200, np.inf, np.nan])
def test_noise_that_costs_no_number_is_refused(noise_multiplier):
    with pytest.raises(InputError, match=r"^noise multiplier: expected a noise whose cost in zCDP is a number up to"):
        gaussian_rho(noise_multiplier, 5.0)
    for clipping in ({}, {"clip_quantile": 0.5}):
        privacy = PrivacyConfig(noise_multiplier=noise_multiplier, delta=1e-6, **clipping)
        with pytest.raises(InputError, match=r"^noise multiplier: expected"):
            make_privacy_plan(CohortConfig(goal=20), privacy, rounds=10, num_phones=1000)


def test_hardly_any_noise_costs_a_number():
    assert epsilon_of_gaussian(1e20, 1e-6) == pytest.approx(1e20, rel=1e-6)  # where exp overflows


def test_a_target_that_no_rho_meets_is_refused_under_the_name_of_its_flag():
    terms = Terms("this run", delta=1e-6)
    account = Account.begun(Path("account.jsonl"), "text-00", "somebody's", "2026-11-29")
    for flag, ask in {
        "--privacy.total-epsilon": lambda: account.require_room(Cost(0.5), terms, 1e-30),
        "--privacy.vocabulary-epsilon": lambda: vocabulary_cost(1e-20, 1e-6, 20),
        "--privacy.target-epsilon": lambda: noise_multiplier_for(1e-20, 1e-6, 1.0),
        "--epsilon": lambda: solve(BudgetRequest(rounds=5, max_participations=1, epsilon=1e-300)),
    }.items():
        with pytest.raises(InputError, match=f"^{flag}: expected a target that some rho"):
            ask()


@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt"])
def test_a_budget_without_room_for_one_release_is_refused(mechanism):
    def plan(target):
        privacy = PrivacyConfig(mechanism, noise_multiplier=0.5, target_epsilon=target)
        return make_privacy_plan(CohortConfig(goal=20), privacy, rounds=30, num_phones=10_000)

    without = plan(None)
    one = without.epsilon_of(without.rho_of(1, without.min_separation_rounds, 1))
    assert plan(one * 1.001).epsilon_budget > one
    with pytest.raises(InputError, match=r"target-epsilon: expected at least the .* of one release .*, found"):
        plan(one * 0.999)
