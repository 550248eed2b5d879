import json
from dataclasses import replace

import pytest

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.composition import (
    DISJOINT,
    SAME,
    SYNTHETIC,
    UNKNOWN,
    UNLIKE,
    EarlierRun,
    composed,
    may_share_people,
    of_unknown_cost,
)
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.statement_account import NOT_COUNTED, OtherRuns, other_runs_json, other_runs_lines

OWN = EarlierRun("aa" * 32, "text-00", Cost(0.5), Terms("this run", delta=1e-6), "its ledger")


def earlier(rho, population="text-00", **changed):
    return replace(OWN, weights_sha256="bb" * 32, population=population, cost=Cost(rho), **changed)


def test_generations_on_the_same_data_add_up():
    found = composed(OWN, [earlier(0.25), earlier(0.125)])
    assert found.zcdp_rho == 0.875 and found.epsilon == epsilon_by_rdp(0.875, 1e-6) and found.rule == SAME
    assert composed(OWN, []).zcdp_rho == 0.5


def test_other_data_is_taken_to_be_of_the_same_people_unless_one_of_them_is_made_up():
    assert composed(OWN, [earlier(0.25, "text-01")]).zcdp_rho == 0.75
    assert composed(OWN, [earlier(0.25, "text-01")]).rule == UNLIKE
    assert composed(OWN, [earlier(0.25, None)]).rule == UNKNOWN
    for rho, most in ((0.25, 0.5), (2.0, 2.0)):
        found = composed(OWN, [earlier(rho, SYNTHETIC)])
        assert (found.zcdp_rho, found.rule) == (most, DISJOINT)
    mixed = composed(OWN, [earlier(0.3, SYNTHETIC), earlier(0.25, "text-01"), earlier(0.3, SYNTHETIC)])
    assert mixed.zcdp_rho == 0.75  # of those who wrote; those made up bear 0.6
    assert composed(OWN, [earlier(0.3, SYNTHETIC), earlier(0.3, None)]).zcdp_rho == 0.8
    assert not may_share_people(SYNTHETIC, "text-00") and may_share_people(SYNTHETIC, SYNTHETIC)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (of_unknown_cost("cc"), "what the starting weights cost is not known"),
        (earlier(None), "an earlier run had no privacy"),
        (earlier(0.1, terms=Terms("a modelled deployment", delta=1e-6)), "of two deployments"),
        (earlier(0.1, terms=Terms("this run", "add-or-remove", 1e-6)), "of two deployments"),
    ],
)
def test_where_no_sum_is_known_none_is_stated_and_the_reason_is(one, why):
    found = composed(OWN, [earlier(0.1), one])
    assert found.epsilon is None is found.zcdp_rho and why in found.why_not
    (line, others) = other_runs_lines(OtherRuns(OWN, (earlier(0.1), one)))
    assert "no epsilon can be stated" in line and why in line and others == NOT_COUNTED


def test_the_statement_gives_both_and_the_total_and_no_digest_of_the_data():
    others = OtherRuns(OWN, (earlier(0.25), earlier(0.125, "text-01")), "counted")
    content = other_runs_json(others)
    assert json.loads(json.dumps(content)) == content and "text-0" not in json.dumps(content)
    assert [one["same_data"] for one in content["earlier_runs"]] == [True, False]
    assert content["with_earlier_runs"]["zcdp_rho"] == 0.875
    assert "2 earlier runs (rho 0.25 + 0.125): epsilon " in content["says"][0]
