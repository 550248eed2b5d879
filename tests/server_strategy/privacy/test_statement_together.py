import json
from dataclasses import replace

import pytest

from server_strategy.privacy.composition import EarlierRun
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement import privacy_json, privacy_markdown
from server_strategy.privacy.statement_account import OtherRuns, other_runs_json
from server_strategy.privacy.statement_together import together_json
from tests.server_strategy.privacy.test_statement import FACTS, statement


def run(rho, population="text-a", known_by="its ledger"):
    return EarlierRun("ab" * 32, population, Cost(rho), Terms("this run", "zero-out", 1e-6), known_by)


def both(*earlier):
    """(privacy.json, privacy.md) of a run that starts from others."""
    plan, spent, _, _ = statement()
    facts = replace(FACTS, other_runs=other_runs_json(OtherRuns(run(0.125), earlier)))
    content = json.loads(json.dumps(privacy_json(plan, spent, facts)))
    return content, privacy_markdown(plan, spent, facts)


def test_the_cost_with_the_start_stands_beneath_the_headline():
    content, page = both(run(0.125))
    total = content["other_runs"]["with_earlier_runs"]
    stated = content["statement_with_earlier_runs"]
    assert stated.startswith(
        f"With the run it starts from: ({Bound(total['epsilon']):.3g}, 1e-06)-differential privacy"
    )
    assert "(0.25-zCDP), by the same data" in stated and content["statement_with_account"] is None
    assert f"**{content['statement']}.**\n\n**{stated}.**\n\n" in page
    assert page.index("In plain words") < page.index(stated) < page.index("Who signs")


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        ((run(None, known_by="nothing"),), "no epsilon can be stated, since what the starting weights cost"),
        ((run(0.5), run(0.5)), "With the 2 runs it starts from: ("),
        ((run(0.5, None),), "by data not known to be the same: rho adds up"),
        ((run(0.5, "text-b"),), "by other data, in which the same people cannot be ruled out"),
    ],
)
def test_what_is_not_known_is_said_at_the_top(earlier, said):
    content, page = both(*earlier)
    assert said in content["statement_with_earlier_runs"] and said in page[: page.index("Who signs")]


def test_an_account_is_said_too_and_nothing_where_there_is_none():
    account = {"file": "account.jsonl", "runs": 3, "epsilon": 5.0, "delta": 1e-6, "zcdp_rho": 0.5}
    found = together_json({"account": account})["statement_with_account"]
    assert found == (
        "With all that is on account.jsonl (3 runs): at most (5, 1e-06)-differential privacy for each phone (0.5-zCDP)"
    )
    none = together_json({"account": {**account, "epsilon": None}})["statement_with_account"]
    assert none is not None and none.endswith("no epsilon can be stated")
    for nothing in (None, {}, {"with_earlier_runs": 3, "account": "x"}):
        assert set(together_json(nothing).values()) == {None}
