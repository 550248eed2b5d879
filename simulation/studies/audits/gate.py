"""A rule for releases: what figures of an audit may be at most; one that is above it, or missing, stops a release.

    [at_most]
    "canaries: all releases" = "bound"               # the bound that it is held to in the audit
    "canaries: at least, of Gaussian noise" = 6.0    # a number of one's own

A figure is held to the bound of its audit as the audit does: it falls where not even the low end is within it. Held to
a number of one's own it falls where the high end is above, since that is the side on which people are harmed; a figure
without a high end is taken as it is.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from client_model.tflite.export_folder import VerificationError
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import LARGEST, Attack
from simulation.studies.audits.audit import FILE_NAME, read_audit
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.toml_tables import read_toml

BOUND: Literal["bound"] = "bound"
_TABLE = "at_most"


def require(folder: Path, rule: Path) -> None:
    """Refuse a release that an audit does not allow.

    Args:
        folder: of a finished run, with its audit.json.
        rule: TOML file, see above.

    Raises:
        ConfigError: no such rule, no audit, or files that cannot be read.
        VerificationError: the audit is of another model, or a bound fell; names each.
    """
    limits = read_rule(rule)
    audit = read_audit(folder)
    if audit is None:
        hint = f"; {command('scripts/audit.py', folder)} writes it"
        raise ConfigError(expected(folder / FILE_NAME, f"an audit, for {rule.name}", "none") + hint)
    if audit.weights_sha256 != RunDirectory(folder).read_summary().weights_sha256:
        raise VerificationError(expected(folder / FILE_NAME, "an audit of the run's weights", "one of others"))
    fallen = list(fallen_of(limits, {one.name: one for one in audit.attacks}))
    if fallen:
        raise VerificationError(expected(rule, "an audit within its bounds", "; ".join(fallen)))


def read_rule(rule: Path) -> dict[str, float | Literal["bound"]]:
    """What each figure may be at most, by its name.

    Raises:
        ConfigError: the file cannot be read, or is no such rule.
    """
    content = read_toml(rule, "bounds of a release", ConfigError)
    limits = content.get(_TABLE)
    if content.keys() != {_TABLE} or not isinstance(limits, dict) or not limits:
        raise ConfigError(expected(rule, f"one table [{_TABLE}] with a figure of an audit or more", "another content"))
    for name, limit in limits.items():
        is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if not (limit == BOUND or (is_number and 0 <= limit < LARGEST)):
            raise ConfigError(expected(f"{rule}: {name!r}", f'"{BOUND}" or a finite number >= 0', "another value"))
    return limits


def fallen_of(limits: Mapping[str, float | Literal["bound"]], found: Mapping[str, Attack]) -> Iterator[str]:
    """What is not within its limit, and why, one text for each.

    Args:
        limits: by the name of a figure.
        found: what the audit has, by name.
    """
    for name, limit in limits.items():
        one = found.get(name)
        if one is None or one.value is None:
            yield f"{name}: not measured"
        elif limit == BOUND:
            if one.holds is None:
                yield f"{name}: measured, and held to no bound"
            elif not one.holds:
                least = one.value if one.low is None else one.low
                yield f"{name}: {least:.4g} is above {one.bound:.4g}, its bound in the audit"
        elif (measured := one.value if one.high is None else one.high) > float(limit):
            yield f"{name}: {measured:.4g} is above {float(limit):.4g}"
