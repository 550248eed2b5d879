"""Carries attacks out, one after the other, shows what they came to, and keeps it as audit.json."""

import hashlib
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement_audit import ReleaseAudit
from simulation.config import RunConfig
from simulation.files import clear_drafts, read_json_object, write_text_atomically
from simulation.run.directory import RunDirectory
from simulation.run.statement_pages import built
from simulation.settings import leaves
from simulation.studies.audits.attack import BY_ITSELF, Attack, Subject
from simulation.studies.audits.table import ATTACKS, attack_of, attacks_on, draw, family_of
from simulation.tables import print_named, print_table
from typefleet.errors import ConfigError, expected
from typefleet.private_files import close_to_others
from typefleet.steps import step

FILE_NAME, PAGE_NAME = "audit.json", "audit.html"
PASSED_PROVES_NOTHING = (
    "A passed audit proves nothing, since a better attack may come; one that fails does: "
    "something is other than claimed."
)
A_BOUND_FELL = (
    "Release nothing of it before the cause is known. Attack once more, without --quick and with another --seed: what "
    "falls again is no chance. docs/audits.md (When a bound falls) says where to look for each figure."
)
_KEYS = ("seed", "quick", "weights_sha256", "attacks")
_OTHER_COLUMNS = 46  # of the table of figures, beside their names
_WHOLE = 1000  # from where on a number is shown in whole
_SETTINGS, _RELEASE = "settings_sha256", "release"  # which audits of earlier versions do not have


@dataclass(frozen=True)
class Audit:
    """What all attacks came to."""

    seed: int
    quick: bool
    weights_sha256: str | None  # of the run that was attacked; None: of settings alone
    attacks: tuple[Attack, ...]
    settings_sha256: str | None = None  # see `settings_digest`; None: an earlier version wrote it
    release: ReleaseAudit | None = None  # which it allowed; None: no release was held to a rule

    @property
    def fallen(self) -> tuple[Attack, ...]:
        """Those whose bound does not hold."""
        return tuple(one for one in self.attacks if one.holds is False)

    def to_json(self) -> dict[str, Any]:
        """As audit.json has it."""
        return {**self._found(), _RELEASE: None if self.release is None else asdict(self.release)}

    def _found(self) -> dict[str, Any]:
        told = {"seed": self.seed, "quick": self.quick, "weights_sha256": self.weights_sha256}
        return {**told, _SETTINGS: self.settings_sha256, "attacks": [one.to_json() for one in self.attacks]}

    @property
    def sha256(self) -> str:
        """Of what was found, as JSON with its keys sorted and without spaces; not of what it was held to later."""
        found = json.dumps(self._found(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(found.encode()).hexdigest()


def settings_digest(config: RunConfig) -> str:
    """SHA-256 of the settings but for seeds and places of files, so that no seed can be found by it.

    Args:
        config: of a run, or by itself.
    """
    kept = {path: value for path, value in leaves(config).items() if path != ("seed",)}
    told = {".".join(path): str(value) for path, value in kept.items() if not isinstance(value, Path | None)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def carry_out(subject: Subject, names: Sequence[str] = ()) -> Audit:
    """Attack a run, or settings, in every way that is asked for.

    Args:
        subject: what is attacked.
        names: of attacks; by default all that there can be.

    Raises:
        InputError: an unknown name, or settings or files that cannot be used.
    """
    asked, run_dir = attacks_on(subject, names), subject.run_dir
    weights = None if run_dir is None else RunDirectory(run_dir).read_summary().weights_sha256
    found: list[Attack] = []
    with step("attacking", total=len(asked)) as attacking:
        for name in asked:
            found += attack_of(name)(subject)
            attacking.advance()
    return Audit(subject.seed, subject.quick, weights, tuple(found), settings_digest(subject.config))


def with_earlier(audit: Audit, earlier: Audit | None) -> Audit:
    """An audit, and what an earlier one found by other attacks, so that a whole audit can be made of several.

    Nothing is taken from one of other weights or settings, with another seed, or with `--quick` where this one is not.

    Args:
        audit: what was found now.
        earlier: what was found before, in the same folder; None: nothing was.
    """
    if earlier is None or replace(earlier, attacks=(), release=None) != replace(audit, attacks=()):
        return audit
    anew = {family_of(one) for one in audit.attacks}
    order = {name: place for place, name in enumerate(ATTACKS)}
    both = [*(one for one in earlier.attacks if family_of(one) not in anew), *audit.attacks]
    return replace(audit, attacks=tuple(sorted(both, key=lambda one: order.get(family_of(one), len(order)))))


def print_audit(console: Console, audit: Audit) -> None:
    """A table for all figures of one quantity, then what each assumes, then the verdict.

    Args:
        console: where to.
        audit: what was found.
    """
    room = max(console.width - _OTHER_COLUMNS, 20)
    of_one_quantity: dict[tuple[str, str], list[Attack]] = {}
    for one in audit.attacks:
        of_one_quantity.setdefault((one.name.partition(": ")[0], one.quantity), []).append(one)
    for (family, quantity), some in of_one_quantity.items():
        rows = [
            ["\n".join(textwrap.wrap(_of_its_family(one), room)), shown(one), bound_shown(one.bound), _verdict(one)]
            for one in some
        ]
        print_named(console, f"{family}: {quantity}")
        print_table(console, ("", "measured", "at most", ""), rows)
    for (_, *told), some in _told_alike(audit.attacks).items():
        console.print()
        paragraphs = (f"    {paragraph}" for paragraph in (*told, *_of_one_alone(some)))
        print_named(console, "\n".join([_and([one.name for one in some]), *paragraphs]))
    console.print()
    fell, said = verdict(audit)
    for one in audit.fallen:
        print_named(console, f"{one.name}: {shown(one)} is above {bound_shown(one.bound)}, {one.bound_is}")
    for sentence in (said, whose_claim(audit), A_BOUND_FELL if fell else PASSED_PROVES_NOTHING):
        print_named(console, sentence)


def verdict(audit: Audit) -> tuple[bool, str]:
    """(whether a bound fell, what came of the audit in a sentence).

    Args:
        audit: what was found.
    """
    held = [one for one in audit.attacks if one.holds is not None]
    if audit.fallen:
        which = ", ".join(one.name for one in audit.fallen)
        return True, f"Failed: {len(audit.fallen)} of {len(held)} figures held to a bound are above it: {which}."
    if not held:
        return False, "Nothing that was measured is held to a bound, so nothing could fail."
    them = "the one figure held to a bound is" if len(held) == 1 else f"all {len(held)} figures held to a bound are"
    return False, f"No bound fell: {them} within it."


def whose_claim(audit: Audit) -> str:
    """That the claim is not of the run, in a sentence, if what the run itself comes to was measured; else nothing.

    Args:
        audit: what was found.
    """
    for one in audit.attacks:
        if one.name.endswith(f": {BY_ITSELF}") and one.value is not None:
            return (
                "The claim is of the deployment that is modelled, and not of the run itself, whose noise is smaller: "
                f"by itself it comes to epsilon {shown(one)}. Do not pass its files on as private."
            )
    return ""


def _told_alike(attacks: Sequence[Attack]) -> dict[tuple[str, ...], list[Attack]]:
    """The figures of which the same is to be told, by that; what is of one alone is not in it."""
    found: dict[tuple[str, ...], list[Attack]] = {}
    for one in attacks:
        family = one.name.partition(": ")[0]
        told = (f"attacker: {one.attacker}", f"sees: {one.sees}", f"assumes: {one.assumes}", f"bound: {one.bound_is}")
        found.setdefault((family, *told), []).append(one)
    return found


def _of_one_alone(some: Sequence[Attack]) -> list[str]:
    """What is told of each figure by itself, behind its name where there are several."""
    if len(some) == 1:
        return [one.why for one in some if one.why]
    return [f"{_of_its_family(one)}: {one.why}" for one in some if one.why]


def _and(names: Sequence[str]) -> str:
    """Several names in one: what they begin with alike stands once."""
    family = names[0].partition(": ")[0]
    return f"{family}: {'; '.join(name.removeprefix(f'{family}: ') for name in names)}"


def _of_its_family(one: Attack) -> str:
    return one.name.partition(": ")[2] or one.name


def _verdict(one: Attack) -> str:
    return {True: "within", False: "ABOVE", None: "-"}[one.holds]


def number(value: float | None) -> str:
    """A figure in three digits, a large one in all that are before the point; or a dash.

    Args:
        value: of it.
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.3g}"


def bound_shown(value: float | None) -> str:
    """A bound as `number` shows a figure, rounded up.

    Example:
        >>> bound_shown(2.5003), number(2.5003)
        ('2.51', '2.5')
    """
    return number(None if value is None else Bound(value))


def shown(one: Attack) -> str:
    """What was measured, with its interval.

    Args:
        one: the figure.
    """
    if one.value is None:
        return "-"
    if one.low is None and one.high is None:
        return number(one.value)
    if one.high is None:
        return f"at least {number(one.low)}"
    return f"{number(one.value)} ({number(one.low)} to {number(one.high)})"


def write_audit(folder: Path, audit: Audit) -> Path:
    """Replace audit.json in a folder, whole or not at all; returns its path.

    Args:
        folder: of a run, or any; made if it is not there.
        audit: what was found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    write_text_atomically(path, json.dumps(audit.to_json(), indent=2, allow_nan=False) + "\n", private=True)
    return path


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed audit has left of its files; nobody else may be writing them.

    Args:
        folder: of the audit.
    """
    pictures = [known.figure.file_name for known in ATTACKS.values() if known.figure is not None]
    for name in (FILE_NAME, PAGE_NAME, *pictures):
        clear_drafts(folder / name)


def draw_figures(folder: Path, audit: Audit) -> list[Path]:
    """Draw what there is to be drawn of an audit; returns the paths.

    Args:
        folder: that is there.
        audit: what was found.
    """
    paths = list(draw(folder, audit.attacks))
    for path in paths:
        close_to_others(path)
    return paths


def read_audit(folder: Path) -> Audit | None:
    """What audit.json in a folder says; None if there is none.

    Raises:
        ConfigError: it is damaged, or another file.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    found = read_json_object(path, "what an audit found", _KEYS)
    attacks, seed, quick, weights = (found[name] for name in ("attacks", "seed", "quick", "weights_sha256"))
    is_one = isinstance(attacks, list) and type(seed) is int and type(quick) is bool
    if not is_one or not all(isinstance(one, str | None) for one in (weights, found.get(_SETTINGS))):
        raise ConfigError(expected(path, "what an audit found", "another file"))
    told = tuple(Attack.from_json(one, path) for one in attacks)
    if len({one.name for one in told}) < len(told):
        raise ConfigError(expected(path, "each figure of an audit once", "one of them twice"))
    release = _release_of(found, path)
    return Audit(seed, quick, weights, told, settings_sha256=found.get(_SETTINGS), release=release)


def _release_of(found: Mapping[str, Any], path: Path) -> ReleaseAudit | None:
    said = found.get(_RELEASE)
    release: ReleaseAudit | None = None if said is None else built(ReleaseAudit, said, path)
    return release
