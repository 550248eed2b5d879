"""Recompute a run's epsilon and hold its privacy statement to it: python scripts/check_privacy.py RUN_DIR

Counts every phone's participations from the ledger's lines, verifies the chain of hashes, makes the statement again
from ledger, settings and weights, and says of each line of privacy.json and privacy.md whether it is recomputed,
signed or not checkable. Nothing is written but the run's audit trail, and with --sign the head of the ledger and its
signature.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.commands.run_folder import OfRun, held
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags(OfRun):
    """Recompute a run's epsilon, and hold its privacy statement to it."""

    json: bool = False
    """Print one JSON object: the figures, and for each line of the statement on what it stands."""
    public_key: Path | None = None
    """Ed25519 public key (PEM) of who is expected to have signed the head of the ledger, or the manifest that has it;
    without such a signature the check fails."""
    sign: Path | None = None
    """Ed25519 private key (PEM) to sign the head of the ledger with, if all agrees; openssl genpkey -algorithm ed25519
    makes one."""


def main(argv: Sequence[str]) -> int:
    """Check the run that the flags name, and sign it if that is asked for; 1 if anything does not agree."""
    flags = parse_with_tyro(Flags, argv)
    folder = flags.run_dir
    from client_model.tflite.export_folder import read_private_key
    from simulation.run.ledger_head import sign_head
    from simulation.studies.privacy_check import check_statement

    key = None if flags.sign is None else read_private_key(flags.sign)
    agrees = check_statement(folder, sys.stdout, sys.stderr, public_key=flags.public_key, as_json=flags.json)
    if key is not None and agrees:
        with held(folder):
            print(f"signed: {sign_head(folder, key)}", file=sys.stderr)
    return 0 if agrees else 1
