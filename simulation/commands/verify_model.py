"""Verify exported files: python scripts/verify_model.py RUN_DIR [--public-key KEY.pem]

Holds every file of the folder to manifest.json, and the manifest to its signature if a public key is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from client_model.tflite.export_folder import MANIFEST, SIGNATURE, read_public_key, verify_folder
from simulation.flags import parse_with_tyro


@dataclass(frozen=True)
class Flags:
    """Verify the digests of exported files, and their signature if there is a key."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """A run's folder, or the folder of the files themselves."""
    public_key: Path | None = None
    """Ed25519 public key (PEM) of who is expected to have signed; openssl pkey -pubout makes it from a private one."""


def main(argv: Sequence[str]) -> int:
    """Verify and say what was."""
    flags = parse_with_tyro(Flags, argv)
    folder, inside = flags.run_dir, flags.run_dir / "model"
    if inside.is_dir() and not (folder / MANIFEST).exists():
        folder = inside
    key = None if flags.public_key is None else read_public_key(flags.public_key)
    at = "model/" if folder is inside else ""
    for name, entry in verify_folder(folder, key).items():
        print(f"{entry['sha256']}  {entry['bytes']:>10,}  {at}{name}")
    if key is not None:
        print("all as in the manifest, and the manifest is signed by this key")
    elif (folder / SIGNATURE).exists():
        print("all as in the manifest; its signature was not checked: give --public-key")
    else:
        print("all as in the manifest, which is not signed")
    return 0
