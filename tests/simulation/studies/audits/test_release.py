"""A release that an audit allowed is written into audit, statement and head, and everything agrees afterwards."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client_model.tflite.export_folder import VerificationError
from server_strategy.privacy.ledger import PrivacyLedger
from server_strategy.privacy.statement import StatementFacts
from server_strategy.privacy.statement_audit import PROVES, ReleaseAudit, Within
from simulation.run.ledger_head import HEAD, HEAD_SIGNATURE, head_of, sign_head
from simulation.run.statement_pages import statement_pages, write_pages
from simulation.studies.audits.audit import FILE_NAME, Audit, read_audit
from simulation.studies.audits.release import record_release
from simulation.studies.privacy_evidence import compare_statement, gather
from simulation.studies.privacy_findings import Findings
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
from tests.simulation.studies.audits.test_attack import attack

FACTS = StatementFacts("some text", (), "typefleet check RUN_DIR", "uniform weights", "ab" * 32, "2026-11-30")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run that has ended, as far as a statement needs it."""
    folder = tmp_path_factory.mktemp("ended")
    own = plan(min_separation_rounds=2)
    spent = play(PrivacyLedger(own, folder / "privacy_ledger.jsonl"), own, ROUNDS)
    (folder / "config.toml").write_text("")
    write_pages(folder, *statement_pages(own, spent, FACTS))
    return folder


@pytest.fixture
def run(ended, tmp_path):
    return shutil.copytree(ended, tmp_path / "run")


def audit_of(limit=2.0):
    audit = Audit(0, False, "ab" * 32, (attack(),))
    within = (Within("some: figure", limit, True),)
    return replace(audit, release=ReleaseAudit("cd" * 32, audit.sha256, False, within))


def test_statement_audit_and_head_say_it_and_agree(run):
    assert record_release(run, audit_of()) is None
    statement, page = json.loads((run / "privacy.json").read_text()), (run / "privacy.md").read_text()
    release = read_audit(run).release
    assert statement["audit"] == {**json.loads((run / FILE_NAME).read_text())["release"], "proves": PROVES}
    assert release.audit_sha256 == read_audit(run).sha256
    assert "| some: figure | 2 | the audit's own bound |" in page and release.rule_sha256 in page
    assert [one["computed_from"] for one in statement["files"] if "audit.*" in one["keys"] and one["to_pass_on"]]
    assert json.loads((run / HEAD).read_text()) == head_of(run)
    findings = Findings([])
    compare_statement(gather(run), findings)
    assert findings.wrongs == []


def test_a_statement_of_a_run_that_was_held_to_no_rule_says_nothing_of_one(ended):
    statement, page = (ended / "privacy.json").read_text(), (ended / "privacy.md").read_text()
    assert "audit" not in json.loads(statement) and "audit" not in json.loads(statement)["facts"]
    assert "Audit before the release" not in page and "an audit" not in page.partition("owner of the run alone")[0]


def test_written_again_all_is_as_before_and_another_rule_takes_its_place(run):
    record_release(run, audit_of())
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    record_release(run, audit_of())
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    record_release(run, audit_of(limit=1.9))
    assert "| some: figure | 1.9 |" in (run / "privacy.md").read_text()
    assert json.loads((run / "privacy.json").read_text())["date"] == FACTS.date


def test_a_signature_of_the_former_statement_goes_and_that_is_said(run):
    sign_head(run, Ed25519PrivateKey.generate())
    assert "sign it again" in record_release(run, audit_of()) and not (run / HEAD_SIGNATURE).exists()
    sign_head(run, Ed25519PrivateKey.generate())
    assert record_release(run, audit_of()) is None and (run / HEAD_SIGNATURE).exists()  # it is still of the statement


def test_a_statement_that_does_not_agree_is_not_made_to(run):
    statement = json.loads((run / "privacy.json").read_text())
    statement["spent"]["epsilon"] /= 2
    (run / "privacy.json").write_text(json.dumps(statement))
    digest = hashlib.sha256((run / "privacy.json").read_bytes()).hexdigest()
    with pytest.raises(VerificationError, match=r"expected a statement that agrees with the ledger"):
        record_release(run, audit_of())
    assert hashlib.sha256((run / "privacy.json").read_bytes()).hexdigest() == digest and read_audit(run) is None
