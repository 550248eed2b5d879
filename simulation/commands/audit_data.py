"""Look at a text before anything is trained on it: python scripts/audit_data.py DATA

Personal data by kind, near-duplicates, languages, how unequal phones are, words that one phone alone wrote: printed,
and written as data_audit.html and data_audit.json, in which no word of the text stands. Takes the settings of
scripts/simulate.py that say whose text it is and what it is for: a text that is marked for another purpose than
--data.purpose is not looked at. With --check-scanner: how well the scanner finds what it looks for.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from simulation.config import RunConfig
from simulation.flags import parse_with_settings
from simulation.tables import console_for
from typefleet.errors import ConfigError, expected

_OF_RUNS = {
    "held_out_share",
    "vocabulary_path",
    "vocabulary_phones",
    "min_phones_a_word",
    "cache_dir",
    "redact",
    "phone_regions",
    "keep_messages",
    "keep_tokens",
    "keep_days",
}
_OTHERS = (
    "--report-dir",
    "--regions",
    "--check-scanner",
    "--no-check-scanner",
    "--sample",
    "--sample-seed",
    "--config",
)
_OFTEN = (*_OTHERS[:3], "--data.path", "--data.format", "--data.time-column", "--data.on-bad-line", "--data.purpose")


@dataclass(frozen=True)
class Flags:
    """Look at a text before anything is trained on it."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    text: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """File of messages, or a folder of such files; as --data.path."""
    report_dir: Path = Path("data_audit")
    """Folder for data_audit.html and data_audit.json."""
    regions: tuple[str, ...] = ()
    """Countries (two letters) whose telephone numbers are looked for without a country's prefix, too; by default those
    of --data.phone-regions, US and GB."""
    check_scanner: bool = False
    """Measure the scanner on messages that the project wrote itself, instead of looking at a text."""
    sample: Annotated[int, at.Ge(100), at.Le(1_000_000)] = 20_000
    """With --check-scanner: messages."""
    sample_seed: Annotated[int, at.Ge(0)] = 0
    """With --check-scanner: of the messages."""
    config: Path | None = None
    """TOML file with the settings of a simulation."""


def _ignores(path: tuple[str, ...]) -> bool:
    """Does this not look at the setting of this path?"""
    return path[0] != "data" or path[-1] in _OF_RUNS


def _with_text(flags: Flags) -> Flags:
    """With the text as a run's settings name it."""
    if flags.text is None:
        return flags
    if flags.run.data.path is not None:
        raise ConfigError(expected("the text", "DATA or --data.path", "both"))
    return replace(flags, run=replace(flags.run, data=replace(flags.run.data, path=flags.text)))


def main(argv: Sequence[str]) -> None:
    """Look, write, print; or measure the scanner and print."""
    flags = parse_with_settings(Flags, argv, _OTHERS, _ignores, often=_OFTEN, completed=_with_text)
    data, console = flags.run.data, console_for(sys.stdout)
    if flags.check_scanner:
        _check(flags)
        return
    from simulation.studies.data_audit.audit import audit_text
    from simulation.studies.data_audit.report import print_report, write_report

    audit = audit_text(replace(data, phone_regions=flags.regions or data.phone_regions))
    paths = write_report(flags.report_dir, audit)
    print_report(console, audit)
    for path in paths:
        console.print(str(path), soft_wrap=True)


def _check(flags: Flags) -> None:
    if flags.run.data.path is not None:
        raise ConfigError(expected("--check-scanner", "no text: it is measured on the project's own", "one"))
    from client_model.text.personal.scanner import Scanner
    from simulation.studies.data_audit.scanner_check import check_scanner, print_check

    checks = check_scanner(Scanner(flags.regions or flags.run.data.phone_regions), flags.sample, flags.sample_seed)
    print_check(console_for(sys.stdout), checks, flags.sample)
