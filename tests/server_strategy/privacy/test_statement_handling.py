"""The statement says of consent and of encryption at rest what was so, and nothing where it was not told."""

import json
from dataclasses import replace

import pytest

from server_strategy.privacy.statement_handling import Handling
from simulation.run.statement_pages import facts_from, statement_pages
from tests.server_strategy.privacy.test_statement import FACTS, statement
from typefleet.errors import ConfigError

ASKED = Handling("file", 0.75, 0.5, 3, "variable")


def pages(handling):
    plan, spent, _, _ = statement("gaussian")
    content, page = statement_pages(plan, spent, replace(FACTS, handling=handling))
    return json.loads(json.dumps(content)), " ".join(page.split())


def test_nothing_is_said_where_nothing_was_told():
    content, page = pages(None)
    assert "handling" not in content and "handling" not in content["facts"] and "Consent, and what was kept" not in page


def test_nobody_asked_and_nothing_encrypted_is_said_as_such():
    content, page = pages(Handling())
    assert content["handling"]["consent"].startswith("Nobody was asked for consent")
    assert "was not encrypted" in content["handling"]["at_rest"]
    assert all(said in page for said in content["handling"].values())


def test_consents_and_the_key_are_said_with_their_origin_and_numbers():
    content, page = pages(ASKED)
    consent, at_rest = content["handling"].values()
    assert "what a file says of each owner" in consent and "75.0 % of the phones that may train" in consent
    assert "50.0 % when this was written" in consent and "3 updates were left out" in consent
    assert "AES-256-GCM" in at_rest and "a variable of the environment" in at_rest
    assert consent in page and at_rest in page
    one = pages(replace(ASKED, consents="model", updates_withdrawn=1, storage_key="passphrase"))[0]["handling"]
    assert "a model with a seed" in one["consent"] and "1 update was left out" in one["consent"]
    assert "a passphrase (scrypt)" in one["at_rest"]
    assert "No update was left out" in pages(replace(ASKED, updates_withdrawn=0))[0]["handling"]["consent"]


def test_it_is_made_again_from_the_facts_and_other_facts_are_refused():
    content, _ = pages(ASKED)
    assert facts_from(content, "privacy.json").handling == ASKED
    for name, value in (("consents", "everybody"), ("storage_key", 5), ("updates_withdrawn", "3"), ("more", 1)):
        other = {**content, "facts": {**content["facts"], "handling": {**content["facts"]["handling"], name: value}}}
        with pytest.raises(ConfigError, match="the facts of a privacy statement"):
            facts_from(other, "privacy.json")
