"""The whole configuration of a run: one frozen tree.

Three kinds of settings never mix. What is learned and how it is protected (data, model, training,
cohort, privacy, server optimizer) and the simulated world (fleet) change results. The engine must
not change one bit of the result, so it is left out of the fingerprint that a resume checks.
"""

import math
import os
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import annotated_types
from annotated_types import Ge, Gt, Le, Lt

from client_model.config import DataConfig, EvaluationConfig, ModelConfig, TrainingConfig
from server_strategy.config import CohortConfig, PrivacyConfig, ServerOptimizerConfig


class ConfigError(ValueError):
    """A setting that cannot be used; the message names the flag, or file and key."""


@dataclass(frozen=True)
class FleetConfig:
    """The simulated phones and their owners' habits."""

    size: Annotated[int | None, Ge(2)] = None
    """Phones in the fleet, held-out ones included; by default 5,000, or as many as the file has."""
    trace: Path | None = None
    """Recorded availability instead of the built-in model: intervals (.csv, .parquet), FLASH events (.json)
    or a FedScale pickle (.pkl)."""
    trace_coverage: Path | None = None
    """When each device of an interval file was observed (.csv, .parquet)."""
    trace_devices: Path | None = None
    """What is known of the trace's devices: speeds, memory, time zone (.csv, .parquet), or a FedScale
    capacity pickle."""
    unobserved: Literal["tile", "exclude"] = "tile"
    """Where a device was not observed: repeat its own observed days, or keep the phone away."""
    trace_times: Literal["utc", "local"] = "utc"
    """Whether the trace's times are one clock for all, or each device's own."""
    trace_idle: Literal["screen-off", "locked", "either"] = "screen-off"
    """When a phone of FLASH events counts as idle."""
    start_date: str = "2026-01-05"
    """First day of the simulated calendar (UTC midnight)."""
    utc_offsets_h: tuple[float, ...] = (-8.0, -5.0, 0.0, 1.0, 5.5, 8.0)
    """Time zones, as hours ahead of UTC."""
    utc_offset_weights: tuple[float, ...] = (0.15, 0.25, 0.1, 0.2, 0.2, 0.1)
    """Share of the phones in each time zone; scaled to sum to 1."""
    eligible_share_alpha: Annotated[float, Gt(0)] = 0.45
    """A phone's long-run share of time eligible is Beta(alpha, beta) ..."""
    eligible_share_beta: Annotated[float, Gt(0)] = 5.1
    """... whose mean with the default numbers is 8.1 %."""
    never_eligible_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the phones that are never eligible, on top of those whose share is close to 0."""
    night_day_ratio: Annotated[float, Ge(1)] = 4.0
    """Eligible phones at the best local hour over those at the worst."""
    best_local_hour: Annotated[float, Ge(0), Lt(24)] = 3.0
    """Local hour at which most phones are idle, charging and on unmetered Wi-Fi."""
    other_best_local_hours: tuple[float, ...] = ()
    """Best hours of the other clusters of phones, such as those that charge at the office."""
    other_best_local_hour_shares: tuple[float, ...] = ()
    """Share of the phones in each of those clusters; all others have --fleet.best-local-hour."""
    session_median_h: Annotated[float, Gt(0)] = 1.0
    """Median length of one eligible session."""
    session_mean_h: Annotated[float, Gt(0), Le(8)] = 2.0
    """Mean length of one eligible session; at least the median."""
    long_session_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of sessions that are of another kind: a whole night on the charger."""
    long_session_median_h: Annotated[float, Gt(0), Le(24)] = 7.0
    """Median length of those."""
    reentry_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """After a session, the chance that the next one follows soon; 0: sessions are independent."""
    reentry_gap_mean_h: Annotated[float, Gt(0)] = 0.5
    """Mean gap before such a session."""
    train_s_per_token_median: Annotated[float, Gt(0)] = 0.007
    """Seconds a phone needs to train on one token: median over phones."""
    speed_spread: Literal["measured", "log-normal"] = "measured"
    """Spread of it over phones: as measured on 403 phone models, or log-normal."""
    train_s_per_token_log_std: Annotated[float, Ge(0)] = 0.7
    """Standard deviation of the logarithm, if log-normal."""
    download_kbytes_per_s_median: Annotated[float, Gt(0)] = 4300.0
    """Download speed: median over phones, kilobytes a second."""
    upload_kbytes_per_s_median: Annotated[float, Gt(0)] = 3200.0
    """Upload speed: median over phones, kilobytes a second."""
    network_log_std: Annotated[float, Ge(0)] = 0.5
    """Spread of both over phones: standard deviation of the logarithm."""
    tier_network_correlation: Annotated[float, Ge(0), Le(1)] = 0.3
    """How far faster devices have faster networks: correlation of the ranks. An assumption."""
    memory_floor_gb: Annotated[float, Ge(0)] = 2.0
    """Phones with less memory are never invited."""
    failure_share: Annotated[float, Ge(0), Lt(1)] = 0.03
    """Share of invitations whose training fails on the phone."""
    upload_failure_share: Annotated[float, Ge(0), Lt(1)] = 0.02
    """Share of uploads that break off."""
    upload_tries: Annotated[int, Ge(1)] = 3
    """Uploads a phone tries, each taking its full time, before it gives up."""


@dataclass(frozen=True)
class EngineConfig:
    """How the work is done; nothing here changes a result."""

    address: str | None = None
    """Join the Ray cluster at this address ("auto", or host:port) instead of starting Ray here; then
    every CPU of the cluster is a worker."""
    workers: Annotated[int, Ge(1)] = field(default_factory=lambda: os.cpu_count() or 1)
    """Worker processes (Ray actors) on this machine, one thread each; by default one a core."""
    devices_per_message: Annotated[int | None, Ge(1)] = None
    """At most so many phones in one Flower message; by default the round is split evenly over hosts."""
    hosts_per_worker: Annotated[int, Ge(1)] = 4
    """Flower nodes a worker; more gives smaller messages and evener loads."""
    checkpoint_every_rounds: Annotated[int, Ge(1)] = 5
    """Write a checkpoint after every so many completed rounds, and after the last."""
    keep_checkpoints: Annotated[int, Ge(1)] = 3
    """Newest checkpoints to keep."""
    message_timeout_s: Annotated[float, Gt(0)] = 3600.0
    """A message without an answer after so long stops the run."""
    profile: bool = False
    """Add to each line of rounds.jsonl where the round's time went."""
    export: bool = True
    """Write the files for phones at the end; scripts/export_model.py can do it later."""


@dataclass(frozen=True)
class RunConfig:
    """A simulation, from nothing to an exported keyboard."""

    output_dir: Path | None = None
    """Folder for the run, new or empty; by default runs/ with the date and time."""
    rounds: Annotated[int, Ge(1)] = 100
    """Completed rounds to run for; abandoned rounds come on top."""
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    """Key of everything random. Whoever knows it can subtract the noise."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    cohort: CohortConfig = field(default_factory=CohortConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    server_optimizer: ServerOptimizerConfig = field(default_factory=ServerOptimizerConfig)
    fleet: FleetConfig = field(default_factory=FleetConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)


def flag_name(path: tuple[str, ...]) -> str:
    """--privacy.noise-multiplier for ("privacy", "noise_multiplier")."""
    return "--" + ".".join(part.replace("_", "-") for part in path)


def leaves(config: Any, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every setting of a tree of dataclasses, by its path."""
    found: dict[tuple[str, ...], Any] = {}
    for f in fields(config):
        value = getattr(config, f.name)
        path = (*prefix, f.name)
        found.update(leaves(value, path) if is_dataclass(value) else {path: value})
    return found


def check(config: RunConfig) -> None:
    """Check every bound and the rules between settings.

    Raises:
        ConfigError: "expected --flag > 0, found -1".
    """
    check_bounds(config)
    privacy, cohort, fleet = config.privacy, config.cohort, config.fleet
    _check_privacy(config)
    if privacy.modelled_cohort is not None and privacy.modelled_cohort < cohort.goal:
        raise ConfigError(
            f"expected --privacy.modelled-cohort >= --cohort.goal = {cohort.goal}, found {privacy.modelled_cohort}"
        )
    if fleet.size is not None and cohort.goal > fleet.size:
        raise ConfigError(f"expected --cohort.goal <= --fleet.size = {fleet.size}, found {cohort.goal}")
    if fleet.session_mean_h < fleet.session_median_h:
        raise ConfigError(
            f"expected --fleet.session-mean-h >= --fleet.session-median-h = {fleet.session_median_h:g}, "
            f"found {fleet.session_mean_h:g}"
        )
    others, shares = fleet.other_best_local_hours, fleet.other_best_local_hour_shares
    if len(others) != len(shares) or min(shares, default=0.0) < 0 or sum(shares) > 1:
        raise ConfigError(
            f"expected --fleet.other-best-local-hour-shares to be {len(others)} numbers, one an hour, "
            f"that add up to at most 1, found {list(shares)}"
        )
    if len(fleet.utc_offsets_h) != len(fleet.utc_offset_weights):
        raise ConfigError(
            f"expected --fleet.utc-offset-weights to be {len(fleet.utc_offsets_h)} numbers, one a time zone, "
            f"found {len(fleet.utc_offset_weights)}"
        )
    for name in ("trace_coverage", "trace_devices"):
        if fleet.trace is None and getattr(fleet, name) is not None:
            raise ConfigError(f"expected {flag_name(('fleet', name))} only beside --fleet.trace, found it alone")
    try:
        datetime.fromisoformat(fleet.start_date)
    except ValueError as error:
        raise ConfigError(f"expected --fleet.start-date as YYYY-MM-DD, found {fleet.start_date!r}") from error
    if min(fleet.utc_offset_weights) < 0 or sum(fleet.utc_offset_weights) <= 0:
        raise ConfigError(
            f"expected --fleet.utc-offset-weights >= 0 and not all 0, found {list(fleet.utc_offset_weights)}"
        )


def _check_privacy(config: RunConfig) -> None:
    privacy = config.privacy
    _check_only_with(privacy.bands is not None, "bands", privacy.mechanism == "banded", "mechanism banded")
    _check_only_with(
        privacy.tree_restart_rounds is not None, "tree-restart-rounds", privacy.mechanism == "tree", "mechanism tree"
    )
    _check_only_with(
        privacy.clip_count_stddev is not None, "clip-count-stddev", privacy.clip_quantile is not None, "clip-quantile"
    )
    _check_only_with(
        privacy.workload == "momentum",
        "workload momentum",
        privacy.mechanism in ("banded", "blt") and config.server_optimizer.name == "momentum",
        "mechanism banded or blt and --server-optimizer.name momentum",
    )
    _check_only_with(
        privacy.poisson_counterfactual,
        "poisson-counterfactual",
        privacy.mechanism == "gaussian" and privacy.clip_quantile is None,
        "mechanism gaussian and a fixed clip norm",
    )


def _check_only_with(given: bool, flag: str, fits: bool, other: str) -> None:
    """A setting that would otherwise be ignored in silence."""
    if given and not fits:
        raise ConfigError(f"expected --privacy.{flag} only with --privacy.{other}, found it without")


_BOUNDS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}
_HOLDS = {">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}


def check_bounds(config: Any, prefix: tuple[str, ...] = ()) -> None:
    hints = get_type_hints(type(config), include_extras=True)
    for f in fields(config):
        path, value = (*prefix, f.name), getattr(config, f.name)
        if is_dataclass(value):
            check_bounds(value, path)
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"expected {flag_name(path)} to be a finite number, found {value}")
        if value is None or get_origin(hints[f.name]) is not Annotated:
            continue
        for mark in get_args(hints[f.name])[1:]:
            if isinstance(mark, annotated_types.BaseMetadata) and type(mark) in _BOUNDS:
                sign, attribute = _BOUNDS[type(mark)]
                bound = getattr(mark, attribute)
                if not _HOLDS[sign](value, bound):
                    raise ConfigError(f"expected {flag_name(path)} {sign} {bound}, found {value}")
