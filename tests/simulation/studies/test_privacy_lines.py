"""Costs in the lines of ledgers that go back now and then, computed again by the check."""

import json

import pytest

from server_strategy.privacy.ledger_paths import is_one_way
from simulation.studies.privacy_evidence import gather
from simulation.studies.privacy_findings import Findings
from simulation.studies.privacy_lines import check_lines
from tests.server_strategy.privacy.mechanisms.dense import CASES, make
from tests.server_strategy.privacy.test_ledger_paths import ROUNDS, played
from tests.simulation.studies.forged_runs import chain, line_of, plan_of


@pytest.fixture(params=CASES, ids=str)
def run(request, tmp_path):
    """A folder with a ledger of releases that were made again."""
    mechanism = make(request.param[0], **request.param[1], rounds=ROUNDS, b=1, k=8)
    ledger, _, spent = played(mechanism, 3, tmp_path / "privacy_ledger.jsonl")
    assert not is_one_way(ledger._entries) and spent.repeated_releases
    claim = {"spent": json.loads(json.dumps(spent.__dict__)), "epsilon_is_of": ledger.plan.epsilon_is_of, "facts": {}}
    (tmp_path / "privacy.json").write_text(json.dumps(claim))
    return tmp_path


def wrongs(folder):
    """What does not agree, by place; and whether a line says that the costs were recomputed."""
    found, findings = gather(folder), Findings([])
    check_lines(found, findings)
    said = {one.place: one.why for one in findings.wrongs}
    assert bool(said) != any("cost of each line" in one.why for one in findings.lines)
    return said


def test_each_cost_is_the_one_at_its_time(run):
    assert wrongs(run) == {}


@pytest.mark.parametrize("number", [2, 8, 13])
def test_another_cost_in_any_line_is_found(number, run):
    def cheaper(entries):
        entries[number]["spent"] = {**entries[number]["spent"], "epsilon": 0.001, "zcdp_rho": 1e-6}

    chain(cheaper)(run)
    assert wrongs(run)[f"privacy_ledger.jsonl:{number + 1}"] == "another cost than its participants come to"


def test_the_limits_of_the_plan_hold_on_every_way(run):
    chain(plan_of(max_participations=1))(run)
    assert "more often" in wrongs(run)["privacy_ledger.jsonl: participations"]
    chain(plan_of(max_participations=8, min_separation_rounds=8))(run)
    assert "sooner again" in wrongs(run)["privacy_ledger.jsonl: separation"]
    chain(line_of(5, epsilon_is_of="another"))(run)
    assert wrongs(run)["privacy_ledger.jsonl:6"]
