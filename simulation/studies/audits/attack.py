"""What an attack is told, and what it came to: who attacks, what they see, what was measured, what it is held to."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulation.config import RunConfig
from typefleet.errors import ConfigError, expected

if TYPE_CHECKING:
    from simulation.run.preparation import Prepared

_WORDS = ("name", "attacker", "sees", "assumes", "quantity", "bound_is", "why")
_NUMBERS = ("value", "low", "high", "confidence", "bound")
BY_ITSELF = "this run by itself"  # the figure, of any family, of what a run has whose claim is of a modelled deployment
EVERY_RELEASE = "all releases"  # the figure, of any family, of whoever sees every release; its bound is the claim
LARGEST = 1e300  # no figure, and no bound on one, is as large


@dataclass(frozen=True)
class Subject:
    """What is attacked: a run, or settings without one.

    Attributes:
        config: of the run, or by themselves.
        seed: of everything that an attack draws; keyed further by its purpose.
        quick: do less, so that all attacks together take minutes.
        run_dir: folder of the run; None: there are settings alone.
    """

    config: RunConfig
    seed: int = 0
    quick: bool = False
    run_dir: Path | None = None

    @cached_property
    def prepared(self) -> "Prepared":
        """Fleet, text and plan, settled as the run settled them; once for all attacks.

        Raises:
            InputError: the settings or the files cannot be used.
        """
        from simulation.run.preparation import prepare  # takes seconds to import

        config = self.config
        if self.run_dir is None:  # nothing is released: an account is not charged
            config = replace(config, privacy=replace(config.privacy, account=None, total_epsilon=None))
        return prepare(config, of_run=self.run_dir)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What an attack came to: one figure, and what it is compared with.

    All figures are of harm: smaller is safer, and a bound is from above.

    Attributes:
        name: of the attack, and of what this figure is of: `canaries: all releases`.
        attacker: who it is.
        sees: what they see.
        assumes: what the figure rests on, beside that.
        quantity: what the figure is, with its unit.
        value: measured; None: why says why there is none.
        low, high: bounds of its interval; None where it has none to that side.
        confidence: of the interval.
        bound: that the figure is held to; None: there is none.
        bound_is: where the bound comes from, or why there is none.
        why: there is no value, or what else is worth knowing.
        details: further figures, as JSON has them.
    """

    name: str
    attacker: str
    sees: str
    assumes: str
    quantity: str
    value: float | None
    bound_is: str
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    bound: float | None = None
    why: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        """Whether the bound may hold; False: not even the low end of what was measured is within it.

        None where there is no bound, or nothing was measured.
        """
        measured = self.value if self.low is None else self.low
        return None if self.bound is None or measured is None else measured <= self.bound

    def to_json(self) -> dict[str, Any]:
        """As audit.json has it; numbers that are not finite are null, as JSON has none."""
        content = {**asdict(self), "details": dict(self.details), "holds": self.holds}
        for name in _NUMBERS:
            if content[name] is not None and not math.isfinite(content[name]):
                content[name] = None
        return content

    @classmethod
    def from_json(cls, content: Any, where: object) -> "Attack":
        """Inverse of `to_json`.

        Args:
            content: of one attack.
            where: it was read, for messages.

        Raises:
            ConfigError: it is no such content.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(content, dict) or content.keys() - {"holds"} != names:
            raise ConfigError(expected(where, "what an attack came to", "another object"))
        for name in names:
            value = content[name]
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
            usable = isinstance(value, str) if name in _WORDS else value is None or is_number
            if not (isinstance(value, dict) if name == "details" else usable):
                raise ConfigError(expected(where, f"what an attack came to, with its {name}", "another value"))
        if not content["name"].isprintable() or not content["name"]:  # it stands in a line of a statement
            raise ConfigError(expected(where, "a name of one line for what an attack came to", "another one"))
        found = cls(**{name: content[name] for name in names})
        if content.get("holds") is not found.holds:
            raise ConfigError(expected(where, "a verdict that its figures give", "another one"))
        return found
