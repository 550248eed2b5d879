"""What a run writes down: a line of rounds.jsonl for each round, and summary.json.

Each is a dataclass here and flat JSON on disk: what a funnel or a metric adds stands beside the other keys.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from client_model.metrics.counting_baselines import Baselines
from client_model.metrics.table import MetricTable
from server_strategy.funnel import ALWAYS_TOLD, Funnel
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.own_json import json_kind

if TYPE_CHECKING:
    from simulation.engine.profile import RoundProfile  # with Flower, which takes a second to import
    from simulation.world.participation import Participation  # with the fleet

_BASELINE = "baseline_"
_LARGEST = 1.8e308  # and NaN is not at most it


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """A line of rounds.jsonl."""

    round: int
    completed: int  # rounds so far, this one included if it released something
    abandoned: str | None  # why nothing was released, or None
    funnel: Funnel | None  # None: nobody was asked
    reports: int  # updates in the sum
    rejected: list[str]  # labels of the phones whose update was not finite
    failed: Mapping[str, str]  # label of each phone whose training raised -> where and with what
    tokens: int  # trained on
    loss: float | None  # nats per token, on the phones' own text, before each step
    clip_norm: float
    clipped_share: float | None  # of the updates
    train_seconds: float  # wall time
    tokens_per_second: float
    zcdp_rho: float | None  # spent so far; None if nothing was released
    epsilon: float | None
    epsilon_is_of: str
    held_out: Mapping[str, Any] | None  # metrics by name; None if the round was not evaluated
    weights_sha256: str  # after the round
    profile: "RoundProfile | None" = None  # None unless asked for
    aggregation: Mapping[str, Any] | None = None  # what the protocol says of the round; None without one
    not_told: int | None = None  # phones that failed or were rejected, and agree to no record; None: all agree
    kernel: str | None = None  # that trained; None: an earlier version did not say
    kernel_bits: str | None = None  # see `client_model.learning.trainers.bits_of`; None: an earlier build did not say

    def as_line(self) -> dict[str, Any]:
        """Flat, as it is written: the parts that do not exist add no keys."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        parts = {
            "funnel": {} if self.funnel is None else self.funnel.as_line(),
            "held_out": dict(self.held_out or {}),
            "profile": {} if self.profile is None else {"profile": self.profile.as_json()},
            "aggregation": {} if self.aggregation is None else {"aggregation": dict(self.aggregation)},
            "not_told": {} if self.not_told is None else {"not_told": self.not_told},
            "kernel": {} if self.kernel is None else {"kernel": self.kernel},
            "kernel_bits": {} if self.kernel_bits is None else {"kernel_bits": self.kernel_bits},
        }
        line: dict[str, Any] = {}
        for name, value in own.items():
            line |= parts.get(name, {name: value})
        return line

    @staticmethod
    def from_line(line: Mapping[str, Any]) -> "RoundRecord":
        """Inverse of `as_line`, except that what a round policy adds to the funnel comes back in `held_out`.

        Raises:
            KeyError: the line lacks a key.
        """
        from simulation.engine.profile import RoundProfile

        rest = dict(line)
        told = fields(Funnel)[0].name in rest
        funnel = {f.name: rest.pop(f.name) for f in fields(Funnel) if told and f.name in ALWAYS_TOLD | rest.keys()}
        profile, aggregation = rest.pop("profile", None), rest.pop("aggregation", None)
        told_since = {name: rest.pop(name, None) for name in ("not_told", "kernel", "kernel_bits")}
        parts = {"funnel", "held_out", "profile", "aggregation", *told_since}
        own = {f.name: rest.pop(f.name) for f in fields(RoundRecord) if f.name not in parts}
        return RoundRecord(
            **own,
            funnel=Funnel(**funnel) if told else None,
            held_out=rest or None,
            profile=None if profile is None else RoundProfile.from_json(profile),
            aggregation=aggregation,
            **told_since,
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The content of summary.json."""

    rounds_completed: int
    rounds_abandoned: int
    devices_trained: int  # updates in all releases
    tokens_trained: int
    wall_seconds: float
    train_wall_seconds: float
    stopped_early: str | None  # why, if before all rounds were completed
    tokens_per_second: float | None  # in training
    simulated_seconds: float
    held_out: Mapping[str, Any]  # the last measurement, metrics by name
    zcdp_rho: float | None  # spent; None without a mechanism
    epsilon: float | None
    delta: float | None
    epsilon_is_of: str
    noise_source: str | None  # "secret" or "seeded"; None without privacy
    baselines: Baselines
    skipped_lines: int  # of the data file
    participation: "Participation"
    weights_sha256: str
    peak_driver_rss_bytes: int
    other_runs: Mapping[str, Any] | None = None  # that it starts from or shares an account with; None: nobody looked
    aggregation: Mapping[str, Any] | None = None  # what became of the sums; None: the server is told of each phone
    consent: Mapping[str, Any] | None = None  # who agrees to training; None: everybody, always
    kernel: str | None = None  # that trained its last rounds; None: an earlier version, which had one
    kernel_bits: str | None = None  # of that kernel; None: an earlier build did not say
    handed_in: Mapping[str, str] | None = None  # objects in the place of kinds, in words; None: there were none

    def as_json(self) -> dict[str, Any]:
        """Flat, as it is written; None where a value does not exist."""
        content: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "held_out":
                content |= value
            elif f.name == "baselines":
                content |= {f"{_BASELINE}{name}": reached for name, reached in self.baselines._asdict().items()}
            elif f.name == "participation":
                content[f.name] = asdict(value)
            elif f.name not in ("aggregation", "consent", "handed_in") or value is not None:
                content[f.name] = value
        return content

    @property
    def was_measured(self) -> bool:
        """Whether any metric of the people held out has a value."""
        return any(value is not None for value in self.held_out.values())

    def reached_by(self, key: str) -> float | None:
        """What a baseline reaches, by its key in summary.json."""
        reached: float | None = getattr(self.baselines, key.removeprefix(_BASELINE))
        return reached

    @staticmethod
    def from_json(content: Mapping[str, Any], where: object) -> "Summary":
        """Inverse of `as_json`.

        Args:
            content: of summary.json.
            where: it comes from, for the error.

        Raises:
            ConfigError: a key is missing.
        """
        from simulation.world.participation import Participation

        rest = dict(content)
        # Earlier versions do not say it, and had no noise but seeded.
        rest.setdefault("noise_source", None if rest.get("epsilon") is None else "seeded")
        try:
            baselines = Baselines(**{name: rest.pop(f"{_BASELINE}{name}", None) for name in Baselines._fields})
            participation = Participation(**rest.pop("participation"))
            others = ("held_out", "baselines", "participation")
            rest.setdefault("other_runs", None)  # which earlier versions did not write
            rest.setdefault("aggregation", None)
            rest.setdefault("consent", None)
            rest.setdefault("kernel", None)
            rest.setdefault("kernel_bits", None)
            rest.setdefault("handed_in", None)
            own = {f.name: rest.pop(f.name) for f in fields(Summary) if f.name not in others}
        except KeyError as error:
            raise ConfigError(expected(where, "the outcome of a finished run", f"no {error.args[0]} in it")) from None
        except (TypeError, AttributeError):
            raise ConfigError(expected(where, "the outcome of a finished run", "another participation")) from None
        parts = ((Summary, own), (Participation, asdict(participation)), (Baselines, baselines._asdict()))
        for name in (name for kind, values in parts for name in wrong_values(kind, values)):
            raise ConfigError(expected(where, "the outcome of a finished run", f"another value as {name}"))
        if not _is_of_consent(own["consent"]):
            raise ConfigError(expected(where, "the outcome of a finished run", "another value as consent"))
        if not _is_handed_in(own["handed_in"]):
            raise ConfigError(expected(where, "the outcome of a finished run", "another value as handed_in"))
        if not _are_sums(own["aggregation"]):
            raise ConfigError(expected(where, "the outcome of a finished run", "another value as aggregation"))
        for value in rest.values():
            if not isinstance(value, list | None) and not _is_a_number(value):
                raise ConfigError(expected(where, "metrics that are numbers, or null", json_kind(value)))
        return Summary(**own, baselines=baselines, participation=participation, held_out=rest)


def _are_sums(value: Any) -> bool:
    """Whether it is what `sums_told.sums_summary` gives, as far as a reader counts on it."""
    if value is None:
        return True
    failed = value.get("rounds_failed") if isinstance(value, Mapping) else None
    return isinstance(failed, Mapping) and all(isinstance(number, int) for number in failed.values())


def _is_handed_in(value: Any) -> bool:
    """Whether it is what `Parts.described` gives."""
    return value is None or (isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values()))


def _is_of_consent(value: Any) -> bool:
    """Whether it is what `opting_out.consent_summary` gives."""
    names = ("train_share_at_start", "train_share", "updates_withdrawn")
    return value is None or (isinstance(value, Mapping) and all(_is_a_number(value.get(name)) for name in names))


_PLAIN = {int: (int,), float: (int, float), str: (str,), type(None): (type(None),)}
_ROUNDING = 1e-6  # by which a share that is 0 may be below it


def wrong_values(kind: type, values: Mapping[str, Any]) -> Iterator[str]:
    """Names of values that the field of that name cannot have: of another type, not finite, below 0.

    Args:
        kind: a class with annotated fields, of which those of other than plain types are let be.
        values: by name; names of no field are let be.
    """
    elsewhere = dict.fromkeys(("Participation", "RoundProfile"), object)
    for name, hint in get_type_hints(kind, localns=elsewhere).items():
        if name in values and not _fits(values[name], hint):
            yield name


def _fits(value: Any, hint: Any) -> bool:
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if all(part in _PLAIN for part in parts):
        allowed = tuple(kind for part in parts for kind in _PLAIN[part])
        is_number = isinstance(value, int | float)
        return isinstance(value, allowed) and not isinstance(value, bool) and (not is_number or _is_count(value))
    if hint == list[str]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if hint == Mapping[str, str]:
        return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
    return True


def require_metrics(metrics: MetricTable, values: Mapping[str, Any], where: object) -> None:
    """Hold the metrics in a line or in a summary to what they are shown as.

    Args:
        metrics: that the run measures.
        values: by name, other values among them.
        where: they come from.

    Raises:
        ConfigError: one is neither a number nor null, nor rows of numbers where it has rows.
    """
    for metric in metrics.metrics:
        value = values.get(metric.name)
        fits = _are_rows(value) if metric.unit == "rows" else _is_a_number(value)
        if value is not None and not fits:
            what = "rows" if metric.unit == "rows" else "a number"
            raise ConfigError(expected(f"{where}: {metric.name}", f"{what}, or null", json_kind(value)))


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, dict) and all(isinstance(one, str | None) or _is_a_number(one) for one in row.values())
        for row in value
    )


def _is_a_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_count(value: float) -> bool:
    """Whether a float can hold it, and it is no less than nothing."""
    return -_ROUNDING <= value <= _LARGEST


def check_metric_names(metrics: MetricTable) -> None:
    """Refuse a metric that would take the place of another value in a line or in the summary.

    Raises:
        ConfigError: there is one.
    """
    taken = {f.name for kind in (RoundRecord, Summary, Funnel) for f in fields(kind)}
    for metric in metrics.metrics:
        if metric.name in taken or metric.name.startswith(_BASELINE):
            free = "a name that no other value in rounds.jsonl and summary.json has"
            raise ConfigError(expected(f"metric {metric.name}", free, "it taken"))
