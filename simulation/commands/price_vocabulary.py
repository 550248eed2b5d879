"""Show what it costs to choose the words of a vocabulary with noise: coverage of what people write, and suggestions.

    python scripts/price_vocabulary.py --data.format synthetic --fleet.size 5000

Nothing is trained. Takes the settings of scripts/simulate.py that say whose text it is.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import annotated_types as at
import tyro

from simulation.config import RunConfig
from simulation.flags import parse_with_settings
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import STUDY_SETTINGS

_LOOKED_AT = {("seed",), ("fleet", "size"), ("evaluation", "max_phones"), ("evaluation", "max_sequences")}
_OFTEN = (
    *("--epsilons", "--words-per-phone", "--seeds", "--seed", "--data.path", "--data.format", "--fleet.size"),
    *("--data.vocabulary-phones", "--evaluation.max-phones"),
)


@dataclass(frozen=True)
class Flags:
    """Show what it costs to choose the words of a vocabulary with noise."""

    run: Annotated[RunConfig, tyro.conf.arg(name="")]
    epsilons: Annotated[tuple[float, ...], at.Gt(0)] = (2.0, 1.0, 0.5)
    """Epsilons of the vocabulary alone, each at the delta of this run's phones."""
    words_per_phone: Annotated[int, at.Ge(1), at.Le(100_000)] = 200
    """Words that one phone gives, at most."""
    seeds: Annotated[int, at.Ge(1), at.Le(STUDY_SETTINGS)] = 3
    """Draws, each with other people held out and other noise; of two or more, figures have 95 % intervals."""
    config: Path | None = None
    """TOML file with the settings of a simulation."""


def _ignores(path: tuple[str, ...]) -> bool:
    """Does this not look at the setting of this path?"""
    return path == ("data", "vocabulary_path") or (path[0] != "data" and path not in _LOOKED_AT)


def main(argv: Sequence[str]) -> None:
    """Count, select and print one table."""
    others = ("--epsilons", "--words-per-phone", "--seeds", "--config")
    flags = parse_with_settings(Flags, argv, others, _ignores, often=_OFTEN)
    if not flags.epsilons:
        raise ConfigError(expected("--epsilons", "at least one number > 0", "none"))
    from simulation.studies.vocabulary_price import measure_price, print_price  # takes a second to import

    price = measure_price(flags.run, flags.epsilons, flags.words_per_phone, flags.seeds)
    print_price(sys.stdout, price, flags.words_per_phone)
