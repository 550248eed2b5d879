"""The record of forgotten phones of a run that is taken up, held to what the run itself says of it.

Whoever goes on with a run holds the record to the checkpoint that it opens (`going_back`). This is for those who open
none: a run that starts from the weights of another one, and studies of a run that has ended.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulation.files import read_json_object
from simulation.run.checkpoint import newest_about, numbered
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import Request, read_requests
from simulation.run.lives import ledger_entries, require_record
from typefleet.sealed.envelope import is_encrypted


def own_requests(root: Path) -> tuple[Request, ...]:
    """The record of a run whose weights or settings are taken up, held to what the run itself says of it.

    Args:
        root: of its folder; or of weights alone, which say nothing.

    Raises:
        ConfigError: the record is gone, has fewer lines than the run went on by, or was changed.
        LedgerError, CheckpointError: the run's ledger was changed; without a statement its newest checkpoint is none.
    """
    directory, requests, statement = RunDirectory(root), read_requests(root), root / "privacy.json"
    names: list[Mapping[str, Any]] = [*ledger_entries(directory.ledger)]
    if statement.exists():
        facts = read_json_object(statement, "the privacy statement of a run").get("facts")
        names.append(_object_in(facts, "forgotten"))
    elif numbered(directory.checkpoints) and not is_encrypted(root):
        names.append(_object_in(newest_about(directory.checkpoints), "began"))
    require_record(root, requests, names)
    return requests


def _object_in(found: Any, name: str) -> Mapping[str, Any]:
    within = found.get(name) if isinstance(found, dict) else None
    return within if isinstance(within, dict) else {}
