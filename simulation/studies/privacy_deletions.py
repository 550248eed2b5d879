"""What a run's log of deletions says is gone, beside the check of its privacy statement."""

from simulation.storage.deletion_log import LOG, read_log
from simulation.studies.privacy_evidence import Evidence
from simulation.studies.privacy_findings import Findings
from typefleet.errors import ConfigError
from typefleet.sealed.envelope import is_encrypted


def check_deletions(found: Evidence, findings: Findings) -> None:
    """Say what was deleted and when; a log that was changed, or a key that was erased and is there, does not agree."""
    if not (found.folder / LOG).exists():
        return
    try:
        lines = [line for line, _ in read_log(found.folder)]
    except ConfigError as error:
        findings.wrong(LOG, str(error).rpartition("expected ")[2])
        return
    findings.recomputed(LOG, "each line follows the one before it")
    gone = {line.what: line for line in lines if not (found.folder / line.what).exists()}
    for line in gone.values():
        kept = "" if line.keep_days is None else f", having been kept for {line.age_days:.0f} days"
        findings.not_checkable(line.what, f"deleted on {line.at[:10]}{kept}, as {LOG} says")
    if any(line.key_erased for line in lines) and is_encrypted(found.folder):
        findings.wrong(
            LOG, "the run's key was to be erased, and is there: the deletion was cut short, or it was put back"
        )
