"""Recompute a run's epsilon from its ledger alone: python scripts/check_privacy.py RUN_DIR

Counts every phone's participations from the ledger's lines, verifies the chain of hashes, and
compares the result with what privacy.json claims.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from server_strategy.privacy.ledger import recompute
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
    try:
        releases = int(claimed["releases"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(expected(path, "what was spent, with its releases", "none")) from error
    spent = recompute(folder / "privacy_ledger.jsonl", releases)
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
