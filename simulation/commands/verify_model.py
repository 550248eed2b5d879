"""Verify exported files: python scripts/verify_model.py RUN_DIR [--public-key KEY.pem]

Holds every file of the folder to manifest.json, and the manifest to its signature if a public key is given. With
--release.signatures and --release.keys all of it is held to the signatures by role of scripts/sign_off.py: the files of
a model folder, and of a run's folder statement, page, ledger, settings and audit as well. No storage key is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from client_model.tflite.export_folder import MANIFEST, RELEASE_SIGNATURES, SIGNATURE, read_public_key, verify_folder
from simulation.commands.release_flags import SignedRelease
from simulation.flags import parse_with_tyro

if TYPE_CHECKING:
    from simulation.run.release_signatures import Wanted


@dataclass(frozen=True)
class Flags:
    """Verify the digests of exported files, and their signature if there is a key."""

    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]
    """A run's folder, or the folder of the files themselves."""
    public_key: Path | None = None
    """Ed25519 public key (PEM) of who is expected to have signed; openssl pkey -pubout makes it from a private one."""
    release: SignedRelease = field(default_factory=SignedRelease)


def main(argv: Sequence[str]) -> int:
    """Verify and say what was."""
    flags = parse_with_tyro(Flags, argv)
    wanted = flags.release.wanted()
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
    elif wanted is None:
        print("all as in the manifest, which has no signature of its own")
    else:
        print("all as in the manifest")
    if wanted is not None:
        _print_release(flags.run_dir, folder, wanted)
    elif (folder / RELEASE_SIGNATURES).exists():
        print("signatures of a release were not checked: give --release.signatures and --release.keys")
    return 0


def _print_release(root: Path, folder: Path, wanted: "Wanted") -> None:
    from simulation.studies.sign_off import told, verify_release

    found, of_the_run = verify_release(root, folder, wanted)
    for line in told(found):
        print(line)
    files = "all files of the model as they were signed"
    print(f"{files}, and so are statement, page, ledger, settings, audit and trail of the run" if of_the_run else files)
