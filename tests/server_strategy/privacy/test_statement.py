import json
import math
import re
from dataclasses import asdict, replace
from decimal import Decimal
from importlib.metadata import version

import dp_accounting
import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_of_gaussian
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import ParticipationLog, privacy_spent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement import NO_PRIVACY, StatementFacts, privacy_json, privacy_markdown

FACTS = StatementFacts(
    "the text of 40 phones",
    ("the vocabulary, somehow",),
    recompute="python scripts/check_privacy.py here",
    weighting="weighted by luck",
    weights_sha256="ab" * 32,
    date="2026-11-29",
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
        f"{Bound(spent.epsilon):.4g}",
        f"{Bound(plan.epsilon):.4g}",
        f"{Bound(spent.zcdp_rho):.4g}",
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
    assert "4,000 reports per round" in content["statement"]
    lacking = content["not_guaranteed"]
    assert "a modelled deployment of 4,000 phones per round; the 4 phones per round of this simulation" in lacking
    assert "do not have it. The noise that was added is 1/1,000 of" in lacking
    assert page.index(lacking) < page.index("In plain words") < page.index(content["statement"])
    assert page.index("do not have") < page.index("differential privacy")


def test_a_guarantee_of_the_runs_own_lacks_nothing():
    for modelled in (None, 4):  # as many as report here
        _, _, content, page = statement(modelled=modelled)
        assert content["not_guaranteed"] is None and "do not have" not in page
    _, _, content, page = statement("none")
    assert content["not_guaranteed"] == NO_PRIVACY and page.count(NO_PRIVACY) == 1


@pytest.mark.parametrize("modelled", [None, 4000])
def test_it_says_which_weights_it_is_of_and_what_it_supposes(modelled):
    plan, spent, content, page = statement(modelled=modelled)
    assert content["weights_sha256"] == "ab" * 32 and content["date"] == "2026-11-29"
    assert content["typefleet_version"] == version("typefleet") and f"Typefleet {version('typefleet')}" in page
    assert content["assumed_population"] == plan.population == (40 if modelled is None else 40_000)
    assert content["delta_rule"] == "population^-1.1, at most 1e-6"
    assert spent.delta == min(1e-6, plan.population**-1.1)
    assert "phones of this run, held-out ones included" in content["population_rule"]
    for said in ("ab" * 32, "2026-11-29", f"{plan.population:,} phones", content["population_rule"], "^-1.1"):
        assert said in page


def test_a_delta_that_was_set_is_not_called_the_rules():
    _, _, content, page = statement(delta=1e-7)
    assert content["delta_rule"] == "as set by --privacy.delta" and "^-1.1" not in page


def test_a_delta_that_gives_single_phones_away_is_said_to():
    said = "is more than one over the 40 phones that are assumed"
    _, _, content, page = statement(delta=0.026)
    assert any(said in one for one in content["caveats"]) and f"Delta, 0.026, {said}" in page
    for delta in (0.025, 1e-7, None):
        assert said not in statement(delta=delta)[3]


def test_the_counterfactual_is_there_only_if_asked_for():
    _, spent, content, page = statement()
    assert content["counterfactual_poisson_epsilon"] is content["counterfactual_sampling"] is None
    assert "ounterfactual" not in page
    for mechanism, sampling in (("gaussian", "with Poisson sampling"), ("banded", "with cyclic Poisson sampling")):
        _, spent, content, page = statement(mechanism, poisson_counterfactual=True)
        assert 0 < content["counterfactual_poisson_epsilon"] != spent.epsilon
        assert f"epsilon would be {content['counterfactual_poisson_epsilon']:.4g} {sampling}" in page
        assert content["counterfactual_sampling"].startswith("Counterfactual, not a claim") and "did not happen" in page


@pytest.mark.parametrize("adjacency", ["zero-out", "add-or-remove"])
@pytest.mark.parametrize("quantile", [None, 0.5])
def test_it_says_what_is_compared_and_what_a_phone_is_charged_for(adjacency, quantile):
    _, _, content, page = statement(adjacency=adjacency, clip_quantile=quantile)
    assert content["adjacency"].startswith(f"{adjacency}: ") and content["adjacency_kind"] == adjacency
    for text in content["adjacency_does_not_cover"]:
        assert f"- {text}" in page
    assert ("who else takes part" in page) == (adjacency == "add-or-remove")
    charged = {"zero-out": 1.0, "add-or-remove": 0.5}[adjacency]
    assert content["clip_count_sensitivity"] == (None if quantile is None else charged)
    assert (f"shorter than the clip norm by {charged:g}" in page) == (quantile is not None)


def test_owners_of_several_phones_pay_the_square():
    plan, spent, _, _ = statement()
    facts = replace(FACTS, most_phones_of_a_person=7)
    content, page = privacy_json(plan, spent, facts), privacy_markdown(plan, spent, facts)
    assert [group["phones"] for group in content["group_privacy"]] == [2, 3, 5, 7]
    for group in content["group_privacy"]:
        # k phones at once are one phone whose updates are k times as long, or noise that is a k-th as large.
        as_one = dp_accounting.GaussianDpEvent(1 / (group["phones"] * np.sqrt(2 * spent.zcdp_rho)))
        epsilon = dp_accounting.rdp.RdpAccountant().compose(as_one).get_epsilon(spent.delta)
        assert group["epsilon"] == pytest.approx(epsilon, rel=1e-9) and f"{Bound(epsilon):.4g}" in page
        assert group["gdp_mu"] == pytest.approx(group["phones"] * content["gdp_mu"])
    assert "the person whose messages most phones of this run hold, 7" in page
    content = privacy_json(plan, spent, replace(FACTS, most_phones_of_a_person=1))
    assert [group["phones"] for group in content["group_privacy"]] == [2, 3, 5]


def test_epsilon_is_shown_over_delta():
    _, spent, content, page = statement("tree")
    curve = content["epsilon_over_delta"]
    assert [row["delta"] for row in curve] == [10.0**-digits for digits in range(5, 13)]
    accountant = dp_accounting.pld.PLDAccountant()
    accountant.compose(dp_accounting.GaussianDpEvent(1 / content["gdp_mu"]))
    for row in curve:
        assert row["epsilon"] == epsilon_by_rdp(spent.zcdp_rho, row["delta"]) > row["epsilon_exact_gaussian"]
        assert row["epsilon_exact_gaussian"] == pytest.approx(accountant.get_epsilon(row["delta"]), rel=1e-4)
        assert (
            f"| {row['delta']:.0e} | {Bound(row['epsilon']):.4g} | {Bound(row['epsilon_exact_gaussian']):.4g} |" in page
        )
    assert content["headline"] in page


@pytest.mark.parametrize(("mechanism", "releases"), [("tree", 30), ("gaussian", 20), ("blt", 20)])
def test_mu_is_never_shown_below_the_true_one(mechanism, releases):
    _, _, content, page = statement(mechanism, releases)
    shown = Decimal(re.search(r"Gaussian DP: mu ([0-9.]+)\. ", page)[1])
    assert 0 <= shown - Decimal(content["gdp_mu"]) < Decimal("0.001")


def test_budget():
    plan, _, _, page = statement(noise_multiplier=1.5, target_epsilon=4.0)
    assert plan.epsilon > 4.0 and "Budget: no release is made that would take epsilon above 4" in page


def test_before_the_first_release():
    _, spent, content, page = statement(releases=0)
    assert spent.epsilon == 0.0 == content["epsilon_exact_gaussian"]
    assert "(0, " in page


def test_epsilon_is_the_conversion_of_rho():
    _, spent, content, _ = statement("blt")
    assert content["spent"]["epsilon"] == epsilon_by_rdp(spent.zcdp_rho, spent.delta)


def test_releases_that_were_made_again_are_said_where_there_are_any():
    plan, spent, content, page = statement()
    assert content["spent"]["repeated_releases"] == 0 and "made again" not in page
    again = replace(spent, repeated_releases=2)
    assert "| releases beside those of these weights | 0 | 2 |" in privacy_markdown(plan, again, FACTS)


@pytest.mark.parametrize("modelled", [None, 4000])
def test_whoever_signs_is_told_what_they_sign_before_anything_else(modelled):
    plan, spent, content, page = statement(modelled=modelled)
    top = page[page.index("Who signs this signs that") : page.index("| |")]
    assert page.index(content["statement"]) < page.index(top) and top.count("\n- ") == 4
    for said in (f"at most {Bound(spent.epsilon):.3g}", content["unit"], content["data_covered"], content["recompute"]):
        assert said in top
    assert ("not of these files" in top) == (modelled is not None)
    share = "" if modelled is None else " x 4/4,000"
    assert f"| {plan.noise_stddev:.4g} = 1.5 x {plan.clip_norm:.4g}{share} |" in page


@pytest.mark.parametrize("modelled", [None, 4000])
def test_the_first_screen_says_what_matters_in_plain_words_first(modelled):
    _, spent, content, page = statement(modelled=modelled)
    screen = "\n".join(page.splitlines()[:24])
    said = [content["not_guaranteed"] or "# Privacy statement", "In plain words", content["statement"], "Who signs"]
    places = [screen.index(text) for text in said]
    assert places == sorted(places) and f"({Bound(math.exp(spent.epsilon)):,.3g} times)" in screen
    assert screen.count("\n- ") == 4  # whole, with the command that checks it


def test_a_separation_that_never_happened_is_said_in_words():
    _, _, content, page = statement(releases=5)
    assert content["spent"]["min_separation_rounds"] is None and "| 8 | no phone came twice |" in page
    assert "Who signs" not in statement("none")[3]
