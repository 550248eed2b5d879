"""Delete what has been kept for as long as a policy says: python scripts/retain.py RUN_DIR... --policy FILE [--apply]

Without --apply it shows what would go. A policy is TOML: a table keep_days with days for checkpoints, people,
telemetry, reports and caches; what it does not name stays, and so does all that the privacy statement stands on. Each
deletion is a line in deletions.jsonl in the run's folder, or in the cache's.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags:
    """Delete what has been kept for as long as a policy says."""

    policy: Path
    """TOML file: days that each category is kept, such as configs/rules/retention.toml."""
    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR...")] = ()
    """Folders of runs."""
    cache_dir: Path | None = None
    """Another folder of tokenised text than that of each run's settings; looked at if the policy has days for caches.
    Without runs it is the usual one."""
    unfinished: bool = False
    """Take runs that have not ended as well; they cannot go on then."""
    apply: bool = False
    """Do it; without, it is only shown what would go."""


def main(argv: Sequence[str]) -> int:
    """Show what goes, or let it go; exit code 1 if something was in use and is still there."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.retention import read_policy
    from simulation.studies.retention_report import retain

    policy = read_policy(flags.policy)
    return retain(sys.stdout, flags.run_dirs, policy, flags.cache_dir, apply=flags.apply, unfinished=flags.unfinished)
