"""Sign a run for release: python scripts/sign_off.py RUN_DIR --role ROLE --key KEY

Checks the privacy statement as check_privacy.py does, shows its decisive lines, and asks whoever is at the terminal.
What is signed are digests of statement, page, ledger, settings, audit and every exported file: whatever of it changes
later, the signature does not cover. Keys are made by make_keys.py FOLDER --signers ROLE:NAME.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulation.commands.run_folder import OfExportedRun, held
from simulation.flags import parse_with_tyro
from typefleet.signing.key_files import Role


@dataclass(frozen=True)
class Flags(OfExportedRun):
    """Sign a run for release, in a role."""

    role: Role
    """What you sign as: trainer, privacy-officer or auditor."""
    key: Path
    """Your private key, which is for this role."""
    passphrase: str | None = None
    """passphrase:NAME of a variable of the environment that has the key's passphrase; without, it is asked for."""
    statement_seen: str | None = None
    """SHA-256 of the privacy.md that you have read, where there is no terminal to ask on."""


def main(argv: Sequence[str]) -> None:
    """Show, ask and sign."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.studies.sign_off import sign_off, terminal_to_ask_on
    from typefleet.signing.key_files import read_signing_key

    key = read_signing_key(flags.key, flags.passphrase)
    asks = terminal_to_ask_on()
    with held(flags.run_dir):
        path = sign_off(sys.stdout, flags.run_dir, flags.role, key, seen=flags.statement_seen, asks=asks)
    print(f"signed as {flags.role}: {path}")
