"""The cost of a selection of words: held against other libraries, the exact analysis, and plain sums."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import norm

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_of_gaussian
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import ParticipationLog, PrivacyLedger, privacy_spent, recompute
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.statement_adjacency import adjacency_json, adjacency_markdown
from server_strategy.privacy.statement_epsilon import epsilon_json
from server_strategy.privacy.vocabulary_cost import (
    DELTA_SHARE,
    VocabularyCost,
    delta_beside,
    group_delta,
    group_delta_beside,
    selection_threshold,
    vocabulary_cost,
)
from typefleet.errors import ConfigError, InputError

SETTINGS = [(0.5, 1e-7, 200), (1.0, 1e-6, 1), (2.0, 1e-5, 50), (8.0, 1e-3, 7)]
each_setting = pytest.mark.parametrize(("epsilon", "delta", "words"), SETTINGS)


def some_word_passes(cost, t):
    """Probability that any of t words of one phone alone enters, each with the largest weight that t can have."""
    return -math.expm1(t * norm.logcdf((cost.threshold - 1 / math.sqrt(t)) / cost.noise_stddev))


@each_setting
def test_words_of_one_phone_alone_enter_with_delta_at_most_and_at_worst_with_just_that(epsilon, delta, words):
    cost = vocabulary_cost(epsilon, delta, words)
    chances = [some_word_passes(cost, t) for t in range(1, words + 1)]
    assert max(chances) <= cost.delta == DELTA_SHARE * delta
    assert max(chances) == pytest.approx(cost.delta, rel=1e-6)


# C++ of google/differential-privacy by python-dp 1.1.5 and pipeline-dp 0.3.1, for phones with k words of weight 1:
# create_partition_strategy("gaussian", epsilon, delta, k).threshold and .probability_of_keep(n), half of delta being
# the threshold's, and compute_sigma(epsilon, delta / 2, sqrt(k)).
PYDP = [
    (1e-6, 1, 4.3671875, 22.362702405589943, {13: 0.016021467478462337, 26: 0.7975408546214725}),
    (1e-6, 20, 19.53065624097473, 107.46766939963581, {64: 0.013020079696849707, 128: 0.8534366677831374}),
    (1e-7, 200, 131.0357253886321, 815.9248786160525, {489: 0.006299110358800375, 979: 0.8933438299454274}),
    (1e-5, 50, 14.625509399932692, 77.04295402087583, {46: 0.016896996431837175, 92: 0.8467676662991215}),
]


@pytest.mark.parametrize(("delta", "words", "sigma", "threshold", "kept"), PYDP)
def test_threshold_and_chances_are_those_of_another_library(delta, words, sigma, threshold, kept):
    root = math.sqrt(words)
    ours = selection_threshold(sigma / root, delta / 2, words)
    assert ours * root == pytest.approx(threshold, rel=1e-7)
    cost = replace(vocabulary_cost(1.0, delta, words), noise_stddev=sigma / root, threshold=ours)
    for phones, chance in kept.items():
        assert cost.chance_of(phones / root) == pytest.approx(chance, rel=1e-5)


# OpenDP 0.16.0: then_gaussian_threshold(scale, threshold).map((k, 1.0, 1 / sqrt(k))), its noise being on a lattice.
OPENDP = [
    (4.55, 28.0, 1, 0.02415167250332086, 1.477616029532669e-09),
    (4.55, 28.5, 200, 0.02415167250332086, 4.152220711706178e-08),
    (2.39, 15.3, 200, 0.08753348155669544, 1.864732801504232e-08),
    (1.27, 8.6, 50, 0.31000062000124, 6.831868404333363e-10),
]


@pytest.mark.parametrize(("stddev", "threshold", "words", "rho", "delta"), OPENDP)
def test_rho_and_delta_of_noise_and_threshold_are_those_of_another_library(stddev, threshold, words, rho, delta):
    cost = VocabularyCost(1.0, rho, delta, words, stddev, threshold)
    assert 1 / (2 * stddev**2) == pytest.approx(rho, rel=1e-12)
    assert some_word_passes(cost, words) == pytest.approx(delta, rel=1e-5)


def exact_delta(cost, epsilon):
    """The smallest delta of a selection at epsilon: Wilkins et al., arXiv:2202.01100, Theorem 2, for these weights.

    A phone with n words of which it alone gave t: with it, some of the t enters with probability 1 - q; the other n - t
    are one Gaussian mechanism. With the phone and without it are told apart in both directions.
    """

    def gaussian(mu, at):
        if mu == 0:
            return max(0.0, -math.expm1(at))
        return norm.cdf(mu / 2 - at / mu) - math.exp(at + norm.logcdf(-mu / 2 - at / mu))

    worst = 0.0
    for n in sorted({1, 2, 3, cost.words_per_phone // 2 or 1, cost.words_per_phone}):
        for t in sorted({0, 1, n // 3, n // 2, n - 1, n} & set(range(n + 1))):
            log_q = t * norm.logcdf((cost.threshold - n**-0.5) / cost.noise_stddev)
            mu = math.sqrt((n - t) / n) / cost.noise_stddev
            with_it = -math.expm1(log_q) + math.exp(log_q) * gaussian(mu, epsilon - log_q)
            worst = max(worst, with_it, gaussian(mu, epsilon + log_q))
    return worst


@each_setting
def test_the_exact_delta_is_below_what_is_stated_and_the_bound_is_no_empty_one(epsilon, delta, words):
    cost = vocabulary_cost(epsilon, delta, words)
    assert epsilon_by_rdp(cost.rho, delta_beside(cost, delta)) <= epsilon
    assert 0 < exact_delta(cost, epsilon) <= delta
    assert exact_delta(cost, 0.7 * epsilon) > delta  # what is stated is no more than 1 / 0.7 of what is true
    sharp = epsilon_of_gaussian(cost.rho, delta_beside(cost, delta))
    assert exact_delta(cost, sharp) <= delta  # and so is the sharper number beside it


def plan_of(counts_words=True, **privacy):
    settings = {"delta": 1e-6, **privacy}
    cohort = CohortConfig(goal=100, min_separation_rounds=5)
    return make_privacy_plan(cohort, PrivacyConfig(**settings), rounds=20, num_phones=5000, counts_words=counts_words)


@pytest.mark.parametrize("mechanism", ["gaussian", "tree"])
def test_the_cost_joins_that_of_training_before_during_and_after(mechanism):
    alone, both = (plan_of(counts, mechanism=mechanism, noise_multiplier=4.0) for counts in (False, True))
    words = both.vocabulary
    assert alone.vocabulary is None and words == vocabulary_cost(1.0, 1e-6, 200)
    assert both.zcdp_rho == pytest.approx(alone.zcdp_rho + words.rho) and both.delta == alone.delta
    assert both.epsilon == epsilon_by_rdp(both.zcdp_rho, (1e-6 - 1e-7) / (1 - 1e-7)) > alone.epsilon
    log, spent = ParticipationLog(5000), []
    for release in range(21):
        spent.append(privacy_spent(both, log, release))
        log.record(release + 1, np.arange(release % 5, 5000, 5))
    assert spent[0].zcdp_rho == words.rho and 0.99 < spent[0].epsilon <= 1.0  # words leave before the first weights
    assert [s.epsilon for s in spent] == sorted(s.epsilon for s in spent)
    assert spent[20].epsilon == pytest.approx(both.epsilon) and spent[20].delta == both.delta


def test_a_target_is_for_both_and_a_vocabulary_that_leaves_nothing_for_training_is_refused():
    alone, both = (plan_of(counts, target_epsilon=3.0) for counts in (False, True))
    assert both.noise_multiplier > alone.noise_multiplier
    assert 2.999 < both.epsilon <= 3.0
    refused = r"--privacy.vocabulary-epsilon: expected a number < --privacy.target-epsilon = 0.9, .*, found 1"
    with pytest.raises(ConfigError, match=refused):
        plan_of(target_epsilon=0.9)
    with pytest.raises(InputError):
        vocabulary_cost(1e-9, 1e-6, 10)


def test_it_is_outside_only_where_somebody_says_so_or_no_word_of_a_phone_is_counted():
    assert plan_of(noise_multiplier=2.0).vocabulary is not None
    assert plan_of(noise_multiplier=2.0, vocabulary_epsilon="none").vocabulary is None
    assert plan_of(False, noise_multiplier=2.0).vocabulary is None
    assert plan_of(mechanism="none", delta=None).vocabulary is None


def test_it_is_on_the_ledger_from_the_first_line_and_is_recomputed_from_there(tmp_path):
    plan = plan_of(noise_multiplier=4.0, vocabulary_epsilon=2.0, vocabulary_words_per_phone=30)
    PrivacyLedger(plan, tmp_path / "ledger.jsonl")
    assert recompute(tmp_path / "ledger.jsonl", 0)["zcdp_rho"] == plan.vocabulary.rho
    assert PrivacyPlan.from_json(plan.to_json()) == plan
    before = plan_of(False, noise_multiplier=4.0).to_json()
    del before["vocabulary"]  # as earlier versions wrote it
    assert PrivacyPlan.from_json(before) == plan_of(False, noise_multiplier=4.0)


@pytest.mark.parametrize(
    "change",
    [
        {"rho": 1e-4},  # less than the noise costs
        {"threshold": 5.0},  # passed more often than delta says
        {"delta": 1e-5},  # more than the run's
        {"noise_stddev": 0.1},
        {"words_per_phone": 100_000},
        {"words_per_phone": 2.5},
        {"epsilon": -1},
        {"noise_stddev": "4.5"},
        {"another": 1.0},
    ],
)
def test_a_plan_on_record_that_states_too_little_is_refused(change):
    plan = plan_of(noise_multiplier=4.0)
    forged = {**plan.to_json(), "vocabulary": {**asdict(plan.vocabulary), **change}}
    with pytest.raises(ConfigError):
        found = PrivacyPlan.from_json(forged).epsilon  # a delta beyond the run's leaves nothing to translate with
        raise AssertionError(found)


@pytest.mark.parametrize("phones", [1, 2, 5])
def test_a_group_s_own_words_enter_no_more_often_than_is_said(phones):
    cost = vocabulary_cost(1.0, 1e-6, 60)
    bound = group_delta(cost, phones)
    rng = np.random.default_rng(phones)
    worst = phones * 60 * norm.sf((cost.threshold - 60**-0.5) / cost.noise_stddev)  # each with words of its own
    for shared in range(1, phones + 1):
        for n in (1, 2, 10, 60):
            worst = max(worst, n * norm.sf((cost.threshold - shared * n**-0.5) / cost.noise_stddev))
    for _ in range(200):  # any words of any sizes of lists
        weights = np.zeros(90)
        for n in rng.integers(1, 61, phones):
            weights[rng.choice(90, n, replace=False)] += n**-0.5
        worst = max(worst, norm.sf((cost.threshold - weights[weights > 0]) / cost.noise_stddev).sum())
    assert worst <= bound < 1.1 * worst  # all the words that each has alone are close to the worst case
    assert group_delta_beside(cost, 0.5 * bound, phones) is None or phones == 1


def test_the_statement_has_no_epsilon_where_the_threshold_leaves_no_delta():
    plan = plan_of(noise_multiplier=4.0)
    spent = privacy_spent(plan, ParticipationLog(5000), 0)
    curve = epsilon_json(plan, spent)["epsilon_over_delta"]
    assert [row["delta"] for row in curve] == [1e-5, 1e-6]  # the threshold's is 1e-7
    assert curve[1]["epsilon"] == spent.epsilon
    without = epsilon_json(plan_of(False, noise_multiplier=4.0), spent)["epsilon_over_delta"]
    assert len(without) > 2 and without[0]["epsilon"] < curve[0]["epsilon"]
    groups = {row["phones"]: row["epsilon"] for row in adjacency_json(plan, spent, 40)["group_privacy"]}
    assert spent.epsilon < groups[2] < groups[3] and groups[40] is None
    assert "alone enter more often than delta" in "\n".join(adjacency_markdown(plan, spent, 40))
