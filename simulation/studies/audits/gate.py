"""A rule for releases: what figures of an audit may be at most; one that is above it, or missing, stops a release.

    quick = false                                    # the default: an audit with --quick is not enough
    [at_most]
    "canaries: *" = "bound"                          # all that the audit holds to a bound, and each within it
    "canaries: at least, of Gaussian noise" = 6.0    # a number of one's own

A figure is held to the bound of its audit as the audit does: it falls where not even the low end is within it. Held to
a number of one's own it falls where the high end is above, since that is the side on which people are harmed; a figure
without a high end is taken as it is. A name with `*` in it stands for all figures whose names fit. Of those, "bound"
passes over the ones that the audit holds to no bound; at least one there has to be.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from client_model.tflite.export_folder import VerificationError
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_audit import ReleaseAudit, Within
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import BY_ITSELF, EVERY_RELEASE, LARGEST, Attack
from simulation.studies.audits.audit import FILE_NAME, Audit, read_audit
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.limits import SETTINGS_BYTES
from typefleet.untrusted.opening import read_bytes
from typefleet.untrusted.toml_tables import toml_of

BOUND: Literal["bound"] = "bound"
Limit: TypeAlias = float | Literal["bound"]
_TABLE, _QUICK = "at_most", "quick"
_LACKING, _WHAT = "not measured", "bounds of a release"


@dataclass(frozen=True)
class Rule:
    """What an audit is held to before a release.

    Attributes:
        limits: what each figure may be at most, by its name, or by a pattern of names.
        quick: whether an audit with --quick is enough.
        sha256: of the file's bytes.
    """

    limits: Mapping[str, Limit]
    quick: bool
    sha256: str


def require(folder: Path, rule_file: Path) -> Audit:
    """Refuse a release that an audit does not allow.

    Args:
        folder: of a finished run, with its audit.json.
        rule_file: TOML, see above.

    Returns:
        The audit, with the rule that it passed.

    Raises:
        ConfigError: no such rule, no audit, or files that cannot be read.
        VerificationError: the audit is of another model, a quick one where that is not enough, or a bound fell; names
            each.
    """
    rule = read_rule(rule_file)
    audit = read_audit(folder)
    again = command("scripts/audit.py", folder)
    if audit is None:
        what = f"an audit, for {rule_file.name}"
        raise ConfigError(expected(folder / FILE_NAME, what, "none") + f"; {again} writes it")
    if audit.weights_sha256 != RunDirectory(folder).read_summary().weights_sha256:
        raise VerificationError(expected(folder / FILE_NAME, "an audit of the run's weights", "one of others"))
    if audit.quick and not rule.quick:
        wanted = f"an audit without --quick, since {rule_file.name} does not say {_QUICK} = true"
        raise VerificationError(expected(folder / FILE_NAME, wanted, "a quick one") + f"; {again} makes a whole one")
    found = {one.name: one for one in audit.attacks}
    fallen = list(fallen_of(rule.limits, found))
    if fallen:
        more = f"; {again} measures all that there is" if any(one.endswith(_LACKING) for one in fallen) else ""
        raise VerificationError(expected(rule_file, "an audit within its bounds", "; ".join(fallen)) + more)
    within = tuple(within_of(rule.limits, found))
    return replace(audit, release=ReleaseAudit(rule.sha256, audit.sha256, audit.quick, within))


def read_rule(path: Path) -> Rule:
    """What each figure may be at most, by its name.

    Raises:
        ConfigError: the file cannot be read, or is no such rule.
    """
    read = read_bytes(path, _WHAT, ConfigError, SETTINGS_BYTES)
    content = toml_of(read, path, _WHAT, ConfigError)
    limits, quick = content.get(_TABLE), content.get(_QUICK, False)
    if not content.keys() <= {_TABLE, _QUICK} or not isinstance(limits, dict) or not limits:
        wanted = f"one table [{_TABLE}] with a figure of an audit or more, and {_QUICK} above it if need be"
        raise ConfigError(expected(path, wanted, "another content"))
    if type(quick) is not bool:
        raise ConfigError(expected(f"{path}: {_QUICK}", "true or false", "another value"))
    for name, limit in limits.items():
        is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if not (limit == BOUND or (is_number and 0 <= limit < LARGEST)):
            raise ConfigError(expected(f"{path}: {name!r}", f'"{BOUND}" or a finite number >= 0', "another value"))
    return Rule(limits, quick, hashlib.sha256(read).hexdigest())


def fallen_of(limits: Mapping[str, Limit], found: Mapping[str, Attack]) -> Iterator[str]:
    """What is not within its limit, and why, one text for each.

    Args:
        limits: by the name of a figure, or a pattern of names.
        found: what the audit has, by name.
    """
    for name, limit in limits.items():
        own = _named(name, limit, found)
        if not own and (claim := _claim_of_the_run(name, found)) is not None:
            if limit != BOUND and claim > limit:
                yield f"{name}: {Bound(claim):.4g}, which the run itself claims, is above {limit:.4g}"
        elif not own:
            yield f"{name}: {_LACKING}" if name not in found else f"{name}: measured, and held to no bound"
        for one in own:
            if (why := _why_fallen(one, limit)) is not None:
                yield f"{one.name}: {why}"


def _claim_of_the_run(name: str, found: Mapping[str, Attack]) -> float | None:
    """What a run claims for itself, where a limit is on what it comes to by itself; None where that is another thing.

    Where a deployment is modelled, the claim is not the run's own, and the audit has this figure, with a value or
    without.
    """
    family, _, of = name.partition(": ")
    every = found.get(f"{family}: {EVERY_RELEASE}")
    return every.bound if of == BY_ITSELF and name not in found and every is not None else None


def _named(name: str, limit: Limit, found: Mapping[str, Attack]) -> list[Attack]:
    """The figures that a limit is for."""
    own = [one for one in found.values() if _fits(name, one.name)]
    return [one for one in own if one.bound is not None or limit != BOUND or (one.value is None and "*" not in name)]


def _fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern; a regular expression would try all ways to deal the name out to many `*`."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *inner, last = others
    end = len(name) - len(last)
    if not (name.startswith(first) and name.endswith(last)):
        return False
    at = len(first)
    for part in inner:  # each as early as it can be, which leaves most to those after it
        if (found := name.find(part, at, end)) < 0:
            return False
        at = found + len(part)
    return at <= end


def _why_fallen(one: Attack, limit: Limit) -> str | None:
    if one.value is None:
        return _LACKING
    if limit == BOUND:
        least = one.value if one.low is None else one.low
        return None if one.holds else f"{least:.4g} is above {Bound(one.bound):.4g}, its bound in the audit"
    measured = _measured(one)
    return f"{measured:.4g} is above {limit:.4g}" if measured > limit else None


def _measured(one: Attack) -> float:
    """What is held to a number of one's own: the high end, or what was measured where that is above it."""
    return max(end for end in (one.value, one.high, 0.0) if end is not None)


def within_of(limits: Mapping[str, Limit], found: Mapping[str, Attack]) -> Iterator[Within]:
    """Each figure that is within its limit, with the limit; arguments as of `fallen_of`, of which nothing fell."""
    for name, limit in limits.items():
        for one in _named(name, limit, found):
            at_most = one.bound if limit == BOUND else limit
            if at_most is not None:
                yield Within(one.name, float(at_most), limit == BOUND)
