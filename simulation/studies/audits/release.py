"""Writes that an audit allowed a release: into audit.json and its page, and into the run's privacy statement."""

from dataclasses import replace
from pathlib import Path

from client_model.tflite.export_folder import VerificationError
from simulation.run.ledger_head import HEAD_SIGNATURE, write_head
from simulation.run.statement_pages import facts_from, statement_pages, write_pages
from simulation.studies.audits.audit import Audit, write_audit
from simulation.studies.audits.page import write_page
from simulation.studies.privacy_evidence import STATEMENT, compare_statement, gather
from simulation.studies.privacy_findings import Findings
from simulation.subcommands import command
from typefleet.errors import expected


def record_release(folder: Path, audit: Audit) -> str | None:
    """Write what a release was held to; the model card takes it from the statement.

    A statement that does not agree with the ledger is not made anew, since that would make it agree.

    Args:
        folder: of a finished run.
        audit: with its release, from `gate.require`.

    Returns:
        What is to be done again, as a line: a signature of the former statement goes. None if there was none.

    Raises:
        ConfigError, LedgerError: statement or ledger cannot be read.
        VerificationError: the statement does not agree with the ledger.
    """
    found, findings = gather(folder), Findings([])
    compare_statement(found, findings)
    path = folder / STATEMENT
    if findings.wrongs:
        wrong = f"{findings.wrongs[0].place}: {findings.wrongs[0].why}"
        more = f"; {command('scripts/check_privacy.py', folder)} shows it"
        raise VerificationError(expected(path, "a statement that agrees with the ledger", wrong) + more)
    facts = facts_from(found.statement, path)
    was_signed = (folder / HEAD_SIGNATURE).exists()
    write_audit(folder, audit)
    write_page(folder, audit)
    if facts.audit == audit.release:
        return None  # it says so already, and a signature of it stays one
    write_pages(folder, *statement_pages(found.plan, found.spent, replace(facts, audit=audit.release)))
    write_head(folder)
    return f"{HEAD_SIGNATURE} was of another statement, and is gone: sign it again" if was_signed else None
