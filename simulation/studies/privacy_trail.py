"""What a run's audit trail comes to, beside the check of its privacy statement."""

from simulation.audit_trail import TRAIL
from simulation.run.ledger_head import HEAD
from simulation.studies.privacy_evidence import Evidence
from simulation.studies.privacy_findings import Findings
from simulation.studies.trail_check import check_trail, head_in_statement
from typefleet.errors import ConfigError


def check_trail_of(found: Evidence, findings: Findings) -> None:
    """Say that each line of the trail follows the one before it, or which does not."""
    if not (found.folder / TRAIL).exists():
        if head_in_statement(found.folder) is not None:
            findings.wrong(TRAIL, f"it is not there, and {HEAD} has the hash of a line of it")
        return  # else of an earlier version
    try:
        wrongs = check_trail(found.folder).wrongs
    except ConfigError as error:
        wrongs = [str(error)]
    for wrong in wrongs:
        place, _, why = wrong.removeprefix(f"{found.folder}/").partition(": ")
        findings.wrong(place, why)
    if not wrongs:
        findings.recomputed(TRAIL, "each line follows the one before it")
