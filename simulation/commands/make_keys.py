"""Make certificates and keys of a deployment: python scripts/make_keys.py keys --hosts HOST ... --nodes NAME ...

A certificate authority, the SuperLink's certificate with the names and addresses it is reached under, and a key for
each SuperNode. With --signers ROLE:NAME ... a key for each of those who sign releases (scripts/sign_off.py). Nothing is
written over: later calls add nodes and signers, or a server certificate of the same authority.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from simulation.flags import parse_with_tyro
from simulation.tables import console_for, print_table
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class Flags:
    """Make certificates and keys of a deployment, and keys of who signs releases."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of all of it; its owner alone can enter it."""
    hosts: tuple[str, ...] = ()
    """Names and addresses under which the SuperLink is reached: makes its certificate, and the authority if the
    folder has none."""
    nodes: tuple[str, ...] = ()
    """Names of SuperNodes, of your choice: makes a key for each."""
    signers: tuple[str, ...] = ()
    """ROLE:NAME of who signs releases, with a role of trainer, privacy-officer and auditor: makes a key for each, by
    Ed25519, and by ML-DSA-65 as well where the extra pqcrypto is installed."""
    passphrase: str | None = None
    """With --signers: passphrase:NAME of a variable with a passphrase for their private keys, or passphrase: to be
    asked."""
    hybrid: bool = False
    """With --signers: refuse to make keys for Ed25519 alone."""
    days: Annotated[int, at.Ge(1), at.Le(3650)] = 365
    """The SuperLink's certificate is valid for so many days; the authority for ten years."""


def main(argv: Sequence[str]) -> None:
    """Make them, and say who needs which."""
    flags = parse_with_tyro(Flags, argv)
    from simulation.deployment.keys import Signers, make_keys

    if not flags.signers and (flags.passphrase is not None or flags.hybrid):
        given = "--hybrid" if flags.hybrid else "--passphrase"
        raise ConfigError(expected(given, "only with --signers", "it without"))
    signers = Signers(flags.signers, flags.passphrase, flags.hybrid)
    made = make_keys(flags.folder, flags.hosts, flags.nodes, flags.days, signers=signers)
    rows = [(str(m.path), m.whose, f"{m.valid_until:%Y-%m-%d}" if m.valid_until else "") for m in made]
    print_table(console_for(sys.stdout), ("file", "for", "valid until"), rows, left=(0, 1, 2))
