"""Export a run's model for phones: python scripts/export_model.py RUN_DIR

Writes into model/: keyboard.tflite (int8), keyboard_fp16.tflite, keyboard_fp32.tflite, keyboard_train.tflite, which
can learn on the phone, and test_vectors.json for ports. Each file is held to the trained weights on held-out text
first; manifest.json has every file's SHA-256, and with --sign an Ed25519 signature beside it. With --require
FILE nothing is exported unless the run's audit (scripts/audit.py) is within the bounds of that file. With
--release.signatures what was exported and then signed by role (scripts/sign_off.py) is released: nothing is made anew,
and release_signatures.json comes into model/ if every signature is there and holds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from client_model.quiet import import_tensorflow_quietly
from simulation.commands.release_flags import SignedRelease
from simulation.commands.run_folder import OfFinishedRun, held
from simulation.flags import parse_with_tyro
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from simulation.run.release_signatures import Wanted


@dataclass(frozen=True)
class Flags(OfFinishedRun):
    """Export a run's model for phones."""

    sign: Path | None = None
    """Ed25519 private key (PEM) to sign the manifest with; openssl genpkey -algorithm ed25519 makes one."""
    require: Path | None = None
    """TOML file with what figures of the run's audit may be at most; without such an audit nothing is exported."""
    release: SignedRelease = field(default_factory=SignedRelease)


def main(argv: Sequence[str]) -> None:
    """Export and print one table of files."""
    flags = parse_with_tyro(Flags, argv)
    if (wanted := flags.release.wanted()) is not None:
        _release(flags, wanted)
        return
    from simulation.run.forgotten import require_nothing_pending

    require_nothing_pending(flags.run_dir, "to export")
    if flags.require is not None:
        _require(flags.run_dir, flags.require)
    import_tensorflow_quietly()
    from simulation.device.export import export_folder
    from simulation.device.export_report import print_export_table

    with held(flags.run_dir):
        print_export_table(sys.stdout, export_folder(flags.run_dir, flags.sign), flags.run_dir)
    print(f"Files, manifest and test vectors: {flags.run_dir / 'model'}")


def _release(flags: Flags, wanted: "Wanted") -> None:
    """Release what was signed, which is exported already."""
    if flags.require is not None or flags.sign is not None:
        given = "--require" if flags.require is not None else "--sign"
        what = "in an export before the signatures, which are of what it writes"
        raise ConfigError(expected(given, what, "it with --release.signatures"))
    from simulation.studies.sign_off import release, told

    with held(flags.run_dir):
        found = release(flags.run_dir, wanted)
    for line in told(found):
        print(line)
    print(f"Released, with release_signatures.json beside the files: {flags.run_dir / 'model'}")


def _require(run_dir: Path, rule: Path) -> None:
    """Refuse, or write that the audit allows the release before there is one: the files' cards say it too."""
    from simulation.studies.audits.gate import require
    from simulation.studies.audits.release import record_release

    with held(run_dir):
        audit = require(run_dir, rule)
        again = record_release(run_dir, audit)
    within = 0 if audit.release is None else len(audit.release.within)
    print(f"{rule}: the audit is within all {within} limits; audit.json, the statement and the files' cards say so")
    if again is not None:
        print(f"note: {again}", file=sys.stderr)
