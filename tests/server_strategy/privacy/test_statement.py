import json
from dataclasses import asdict

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_of_gaussian
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import ParticipationLog, privacy_spent
from server_strategy.privacy.plan import PrivacyPlan, make_privacy_plan
from server_strategy.privacy.statement import NO_PRIVACY, StatementFacts, privacy_json, privacy_markdown

FACTS = StatementFacts(
    "the text of 40 phones", ("the vocabulary, somehow",), "python scripts/check_privacy.py here", "weighted by luck"
)


def statement(mechanism="gaussian", releases=30, modelled=None, **privacy):
    if mechanism != "none":
        privacy = {"noise_multiplier": 1.5, "modelled_cohort": modelled, **privacy}
    cohort = CohortConfig(goal=4, min_separation_rounds=8)
    plan = make_privacy_plan(cohort, PrivacyConfig(mechanism, **privacy), rounds=30, num_phones=40)
    log = ParticipationLog(40)
    for release in range(1, releases + 1):
        log.record(release, (np.arange(4) + 4 * release) % 40)
    spent = privacy_spent(plan, log, releases)
    return plan, spent, privacy_json(plan, spent, FACTS), privacy_markdown(plan, spent, FACTS)


@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt"])
@pytest.mark.parametrize("quantile", [None, 0.5])
def test_both_say_the_same_and_everything(mechanism, quantile):
    plan, spent, content, page = statement(mechanism, clip_quantile=quantile)
    assert json.loads(json.dumps(content)) == content
    assert content["spent"] == asdict(spent)
    assert content["spent"]["min_separation_rounds"] == 10 and content["planned"]["min_separation_rounds"] == 8
    assert content["spent"]["epsilon"] < content["planned"]["epsilon"]  # phones came back later than they might have
    assert content["epsilon_exact_gaussian"] == epsilon_of_gaussian(spent.zcdp_rho, spent.delta)
    assert (
        PrivacyPlan.from_json({k: v for k, v in content["planned"].items() if k not in ("zcdp_rho", "epsilon")}) == plan
    )
    for figure in (
        f"{spent.epsilon:.4g}",
        f"{plan.epsilon:.4g}",
        f"{spent.zcdp_rho:.4g}",
        f"{plan.noise_multiplier:.4g}",
    ):
        assert figure in page
    for text in (
        content["adjacency"],
        content["trust_model"],
        content["data_covered"],
        content["accountant"],
        FACTS.weighting,
    ):
        assert text in page
    for text in (*content["outside_the_budget"], *content["caveats"], content["recompute"]):
        assert text in page
    assert ("quantile" in page) == (quantile is not None)
    assert page.index("In plain words") < page.index("| |") < page.index("## Setting") < page.index("## Mechanism")


def test_none_is_said_and_nothing_is_claimed():
    _, _, content, page = statement("none")
    assert NO_PRIVACY.rstrip(".") in page and "must not be shared" in page
    assert content["epsilon_exact_gaussian"] is content["accountant"] is content["recompute"] is None
    assert content["spent"]["epsilon"] is content["planned"]["epsilon"] is None
    assert "epsilon" not in page


def test_a_modelled_cohort_is_not_this_runs():
    _, _, content, page = statement(modelled=4000)
    assert "4,000 reports a round" in content["statement"]
    assert "The models of this run do not have this guarantee themselves" in page


def test_the_counterfactual_is_there_only_if_asked_for():
    _, spent, content, page = statement()
    assert content["counterfactual_poisson_epsilon"] is None and "ounterfactual" not in page
    _, spent, content, page = statement(poisson_counterfactual=True)
    assert 0 < content["counterfactual_poisson_epsilon"] != spent.epsilon
    assert "Counterfactual, not a claim" in page


def test_budget():
    plan, _, _, page = statement(noise_multiplier=1.5, target_epsilon=3.0)
    assert plan.epsilon > 3.0 and "Budget: no release is made that would take epsilon above 3" in page


def test_before_the_first_release():
    _, spent, content, page = statement(releases=0)
    assert spent.epsilon == 0.0 == content["epsilon_exact_gaussian"]
    assert "(0, " in page


def test_epsilon_is_the_conversion_of_rho():
    _, spent, content, _ = statement("blt")
    assert content["spent"]["epsilon"] == epsilon_by_rdp(spent.zcdp_rho, spent.delta)
