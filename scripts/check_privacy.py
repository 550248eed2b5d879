"""Recompute a run's epsilon from its ledger alone: python scripts/check_privacy.py RUN_DIR

Counts every phone's participations from the ledger's lines, verifies the chain of hashes, and
compares the result with what privacy.json claims. Nothing is written.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from server_strategy.privacy.ledger import half_written_line, recompute
from simulation.files import read_json_object
from simulation.flags import parse_with_tyro, run_door
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class CheckFlags:
    """Recompute a run's epsilon from its ledger."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """Folder of a run."""


def check(folder: Path) -> int:
    """Print the recomputed cost; 1 if privacy.json claims anything else."""
    path = folder / "privacy.json"
    statement = read_json_object(path, "the privacy statement of a run", ("spent", "epsilon_is_of"))
    claimed, is_of = statement["spent"], statement["epsilon_is_of"]
    releases = claimed.get("releases") if isinstance(claimed, dict) else None
    if type(releases) is not int or releases < 0:
        raise ConfigError(expected(path, "what was spent, with its number of releases", "none"))
    ledger = folder / "privacy_ledger.jsonl"
    spent = recompute(ledger, releases)
    if (line := half_written_line(ledger)) is not None:
        why = "a release is made only once its line is whole"
        print(f"note: {ledger}:{line} is half-written and not counted: {why}", file=sys.stderr)
    print(json.dumps({**spent, "epsilon_is_of": is_of}, indent=2))
    if spent != claimed:
        print(f"privacy.json claims something else: {json.dumps(claimed)}", file=sys.stderr)
        return 1
    print("privacy.json agrees")
    return 0


def main() -> int:
    """Check the run that the flags name; returns the exit code."""
    return check(parse_with_tyro(CheckFlags, sys.argv[1:]).run_dir)


if __name__ == "__main__":
    sys.exit(run_door(main))
