from dataclasses import replace

import pytest

from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.statement import privacy_json, privacy_markdown
from server_strategy.privacy.statement_noise import REPEATABLE, noise_source_of, repeatable_note
from tests.server_strategy.privacy.test_protected_sum import make_plan
from tests.server_strategy.privacy.test_statement import FACTS

SPENT = PrivacySpent(12, 4, 3, 4.0, 20.0, 1e-6)


def stated(mechanism="blt", kept=False, **changes):
    plan = replace(make_plan(mechanism), **changes)
    spent = SPENT if plan.mechanism else replace(SPENT, zcdp_rho=None, epsilon=None, delta=None)
    facts = replace(FACTS, noise_secret_kept=kept)
    return privacy_json(plan, spent, facts), privacy_markdown(plan, spent, facts)


def test_a_seed_is_said_wherever_epsilon_stands():
    content, page = stated(noise_source="seeded")
    assert content["noise_source"] == "seeded" and content["noise_secret"] is None
    assert content["statement"].endswith(f"; {REPEATABLE}") and f"{REPEATABLE}.**" in page
    assert any("tries seeds until one fits" in caveat for caveat in content["caveats"])


@pytest.mark.parametrize("kept", [False, True])
def test_a_secret_says_what_becomes_of_it(kept):
    content, page = stated(noise_source="secret", kept=kept)
    assert content["noise_source"] == "secret" and REPEATABLE not in page
    assert content["noise_secret"] == ("kept" if kept else "erased when the run ends")
    assert ("stays in the run's folder after its end" in page) == kept
    assert ("overwritten and deleted" in page) == (not kept)


@pytest.mark.parametrize("sampler", ["continuous", "discrete"])
def test_the_sampler_has_its_caveat(sampler):
    content, page = stated("gaussian", sampler=sampler)
    assert content["noise_sampler"] == sampler
    assert ("made of floating-point numbers" in page) == (sampler == "continuous")
    assert ("sampled without rounding" in page) == (sampler == "discrete")


def test_without_privacy_nothing_is_said_of_noise():
    content, page = stated("none", noise_source="seeded")
    assert [content[f"noise_{name}"] for name in ("source", "secret", "sampler")] == [None] * 3
    assert content["caveats"] == [] and REPEATABLE not in page


def test_statements_of_before_had_seeded_noise():
    assert noise_source_of({"spent": {"epsilon": 6.3}}) == "seeded"
    assert noise_source_of({"spent": {"epsilon": 6.3}, "noise_source": "secret"}) == "secret"
    assert noise_source_of({"spent": {"epsilon": None}}) is None
    assert repeatable_note("seeded") == f"; {REPEATABLE}" and repeatable_note("secret") == repeatable_note(None) == ""
