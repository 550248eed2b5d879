"""What a run's record of forgotten phones says, beside the check of its privacy statement."""

from server_strategy.privacy.ledger_lines import goes_back
from server_strategy.privacy.ledger_paths import of_earlier_lives
from simulation.run.forgotten import FILE, read_requests
from simulation.run.lives import goes_on_from, record_named
from simulation.run.statement_pages import FACTS
from simulation.studies.privacy_evidence import STATEMENT, Evidence
from simulation.studies.privacy_findings import Findings
from typefleet.errors import ConfigError


def check_forgotten(found: Evidence, findings: Findings) -> None:
    """Hold what a statement says of forgotten phones to their record and to the ledger."""
    facts = found.statement.get(FACTS)
    told = facts.get("forgotten") if isinstance(facts, dict) else None
    try:
        requests = read_requests(found.folder)
    except ConfigError as error:
        findings.wrong(FILE, str(error).rpartition("expected ")[2])
        return
    if requests and not all(goes_on_from(requests, record_named(names)) for names in (*found.entries, told or {})):
        findings.wrong(FILE, "it does not go on from the record that the ledger or the statement names")
    times = sum(not one.taken_over for one in requests)
    if told is None:
        if requests and found.ended:
            findings.wrong(f"{STATEMENT}: {FACTS}.forgotten", f"{FILE} has phones to forget, and no word of them here")
        elif requests:
            findings.not_checkable(FILE, "the run has yet to go on without the phones that it names")
        elif any(map(goes_back, found.entries)):
            findings.wrong(FILE, "the ledger says that phones were forgotten, and there is no record of which")
        return
    agrees = (told.get("times"), told.get("earlier_releases")) == (times, of_earlier_lives(found.entries, found.line))
    what = "how often phones were forgotten, and what had been released by then"
    findings.agree(f"{STATEMENT}: {FACTS}.forgotten", agrees, what, "another number of times, or of earlier releases")
    if requests:
        findings.recomputed(FILE, "each line follows the one before it")
    elif times == 0:
        findings.wrong(FILE, "it is not there, and the statement tells of phones that were forgotten")
