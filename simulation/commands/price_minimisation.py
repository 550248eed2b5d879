"""Show what it costs that phones keep less text, or that it is redacted: in suggestions, on the same people.

    python scripts/price_minimisation.py --tokens 50 200 800

Nothing is trained. Takes the settings of scripts/simulate.py that say whose text it is.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import annotated_types as at
import tyro

from simulation.config import RunConfig
from simulation.flags import parse_with_settings
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS

_LOOKED_AT = {("seed",), ("fleet", "size"), ("evaluation", "max_phones"), ("evaluation", "max_sequences")}
_VARIED = {"vocabulary_path", "redact", "keep_tokens", "keep_messages", "keep_days"}
_OTHERS = ("--tokens", "--redactions", "--seeds", "--config")
_OFTEN = (*_OTHERS[:3], "--seed", "--data.path", "--data.format", "--data.vocabulary-phones", "--evaluation.max-phones")


@dataclass(frozen=True)
class Flags:
    """Show what it costs that phones keep less text, or that it is redacted."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    tokens: Annotated[tuple[int, ...], at.Ge(1)] = (50, 100, 200, 400, 800, 1600)
    """Limits of what each phone keeps, as --data.keep-tokens."""
    redactions: tuple[Literal["mask", "drop"], ...] = ()
    """Ways to redact, as --data.redact."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 3
    """Draws, each with other people held out; of two or more, figures have 95 % intervals."""
    config: Path | None = None
    """TOML file with the settings of a simulation."""


def _ignores(path: tuple[str, ...]) -> bool:
    """Does this not look at the setting of this path?"""
    return path[-1] in _VARIED if path[0] == "data" else path not in _LOOKED_AT


def main(argv: Sequence[str]) -> None:
    """Cut the text down in each way, count and print one table."""
    flags = parse_with_settings(Flags, argv, _OTHERS, _ignores, often=_OFTEN)
    if not flags.tokens and not flags.redactions:
        raise ConfigError(expected("--tokens", "at least one number >= 1, or --redactions", "neither"))
    from simulation.studies.minimisation import measure_minimisation, print_minimisation  # takes a second to import

    found = measure_minimisation(flags.run, flags.tokens, flags.redactions, flags.seeds)
    print_minimisation(sys.stdout, found)
