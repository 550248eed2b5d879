"""Settings of what protects the phones."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from server_strategy.config import CohortConfig
from server_strategy.privacy.adjacency import ZERO_OUT, Adjacency
from server_strategy.privacy.amplification import has_counterfactual
from server_strategy.privacy.distributed_noise.share import DISCRETE_GAUSSIAN, NoiseKind
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism
from server_strategy.privacy.mechanisms.door import MECHANISMS, mechanism_kind, private_mechanisms
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.noise_key import NoiseSource
from server_strategy.update_sum import LARGEST_CLIP_NORM, SMALLEST_CLIP_NORM
from typefleet.doors import FLAT, KindSettings, SettingsOf, chosen
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import Formerly

NoisePlace = Literal["server", "phones"]
PHONES: NoisePlace = "phones"
DEFAULT_MECHANISM = "gaussian"
DEFAULT_NOISE_MULTIPLIER = 2.0  # with that mechanism
DEFAULT_TARGET_EPSILON = 6.4  # what that costs in the default run
DEFAULT_MODELLED_COHORT = 20_000
DEFAULT_CLIP_LEARNING_RATE = 0.2
DEFAULT_VOCABULARY_EPSILON = 1.0


@dataclass(frozen=True)
class PrivacyConfig:
    """User-level differential privacy; the unit is one phone."""

    mechanism: Annotated[str, MECHANISMS.choice] = DEFAULT_MECHANISM
    """gaussian: DP-FedAvg with independent noise a round. tree: DP-FTRL. banded, blt: matrix factorisation,
    optimised for the run; blt needs far less memory. none: no privacy at all."""
    mechanism_settings: Annotated[KindSettings, SettingsOf("mechanism", MECHANISMS), FLAT] = KindSettings()
    """Of the mechanism itself."""
    clip_norm: Annotated[float, Ge(SMALLEST_CLIP_NORM), Le(LARGEST_CLIP_NORM), Formerly(Gt(0))] = 2.0
    """L2 bound on the whole update of one phone; the first one, if it adapts. With mechanism none, 1e4 clips no update
    that trained well; rounding, in proportion to it, takes 2e-6 of a short one (100: 2e-8, less than float32 does)."""
    clip_scope: Literal["update", "layer"] = "update"
    """Clip the update as a whole, or each of its m layers to clip norm / sqrt(m)."""
    clip_quantile: Annotated[float | None, Gt(0), Lt(1)] = None
    """Adapt the clip norm so that this share of the updates is shorter; fixed if not given."""
    clip_learning_rate: Annotated[float | None, Gt(0), Le(5)] = None
    """How fast the clip norm adapts; with --privacy.clip-quantile, by default 0.2."""
    clip_count_stddev: Annotated[float | None, Gt(0)] = None
    """Noise on the number of shorter updates; with --privacy.clip-quantile, by default a twentieth of the cohort,
    at least 4 times the noise multiplier (add-or-remove: twice)."""
    noise_multiplier: Annotated[float | None, Gt(0)] = None
    """Standard deviation of the mechanism's draws over clip norm. Without any setting of the noise: 2.0 with
    mechanism gaussian and a target epsilon of 6.4 with the others, for a modelled cohort of 20,000."""
    target_epsilon: Annotated[float | None, Gt(0)] = None
    """Budget: the run stops before the release that would exceed it. Without --privacy.noise-multiplier,
    choose the smallest noise with which all rounds fit."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """Delta of (epsilon, delta); by default population^-1.1, at most 1e-6."""
    noise_source: NoiseSource = "secret"
    """secret: the noise is keyed by 256 bits from the operating system that the run alone has, and nobody can repeat
    it. seeded: it is keyed by --seed, and the run repeats bit for bit; epsilon then holds only against those who do
    not know the seed."""
    sampler: Literal["continuous", "discrete"] = "continuous"
    """continuous: Gaussian noise of floating-point numbers. discrete: whole numbers on the lattice of the exact sum,
    sampled without any rounding, so that no lowest bit tells of the sum; with mechanism gaussian."""
    noise_place: NoisePlace = "server"
    """server: it sees the exact sum of each round and adds the noise. phones: each adds its share before secure
    aggregation, and the server only ever gets the noised sum; with --aggregation.protocol, mechanism gaussian, a clip
    norm that is fixed and adjacency zero-out."""
    phone_noise: NoiseKind = DISCRETE_GAUSSIAN
    """discrete-gaussian: shares of whole deviation, sampled without any rounding. skellam: differences of Poisson
    numbers, of any deviation, for many phones in few bits."""
    keep_noise_secret: bool = False
    """Keep the secret of the noise in the run's folder when the run has ended; whoever has it can take the noise
    away."""
    modelled_cohort: Annotated[int | None, Ge(1)] = None
    """Scale the noise to what a deployment with this many reports per round would see. Epsilon is then
    that of the modelled deployment, not of this run."""
    account: Path | None = None
    """File that adds up what all runs on the same data cost a phone; it is begun if it is not there."""
    total_epsilon: Annotated[float | None, Gt(0)] = None
    """With --privacy.account: refuse a run that could take epsilon of all of them together above this. What a run was
    once begun with holds for all further ones."""
    vocabulary_epsilon: Annotated[Literal["none"] | float, Gt(0)] = DEFAULT_VOCABULARY_EPSILON
    """Where words are counted on phones: epsilon of the vocabulary alone, at the run's delta, by Renyi orders. Words
    enter by their noised weight above a threshold, and the cost is part of the run's epsilon. none: they are counted
    exactly, and the statement says that the vocabulary is outside."""
    vocabulary_words_per_phone: Annotated[int, Ge(1), Le(100_000)] = 200
    """Words that one phone gives for that vocabulary, at most: those it uses most."""
    adjacency: Adjacency = ZERO_OUT
    """What epsilon compares. zero-out: one phone's updates against zeros in their place. add-or-remove: the phone
    against its absence, all others taking part as before."""
    poisson_counterfactual: bool = False
    """Add to the statement, as a counterfactual, what epsilon would be if phones were sampled at random: gaussian by
    Poisson sampling, banded by cyclic Poisson sampling; with a fixed clip norm."""


def with_default_noise(privacy: PrivacyConfig, mechanism: Mechanism | None = None) -> PrivacyConfig:
    """Fill in the noise where a user said nothing of it.

    A cohort small enough for a first try drowns in honest noise, so a run without any setting models
    a large deployment, and says so wherever it shows epsilon. Whoever sets the noise gets exactly
    that noise, for the run's own cohort.

    Args:
        privacy: settings.
        mechanism: handed in, in the place of the one that is named; its noise is that of its kind by name.
    """
    name = privacy.mechanism if mechanism is None else mechanism.name
    if privacy.noise_multiplier is not None or privacy.target_epsilon is not None:
        return privacy
    if mechanism is None and not mechanism_kind(name).private:
        return privacy
    privacy = replace(privacy, modelled_cohort=privacy.modelled_cohort or DEFAULT_MODELLED_COHORT)
    if name == DEFAULT_MECHANISM:
        return replace(privacy, noise_multiplier=DEFAULT_NOISE_MULTIPLIER)
    return replace(privacy, target_epsilon=DEFAULT_TARGET_EPSILON)  # its multiplier would mean another cost


def check_privacy(
    privacy: PrivacyConfig, cohort: CohortConfig, horizon: Horizon, mechanism: Mechanism | None = None
) -> None:
    """Refuse settings that do not go together, before anything is computed.

    Args:
        privacy, cohort: settings, each within its bounds.
        horizon: of the run.
        mechanism: handed in, in the place of the one that is named.

    Raises:
        ConfigError: "--privacy.bands: expected a number <= 20, ..., found 21".
    """
    if privacy.clip_quantile is None:
        for name in ("clip_learning_rate", "clip_count_stddev"):
            if getattr(privacy, name) is not None:
                raise _only_with(name, "--privacy.clip-quantile")
    if privacy.modelled_cohort is not None and privacy.modelled_cohort < cohort.goal:
        least = f"a number >= --cohort.goal = {cohort.goal}"
        raise ConfigError(expected("--privacy.modelled-cohort", least, privacy.modelled_cohort))
    if mechanism is None:
        _check_named(privacy, horizon)
    if privacy.sampler == "discrete":
        _check_discrete(privacy.mechanism if mechanism is None else mechanism.name, mechanism)
    if privacy.noise_place == PHONES:
        _check_at_phones(privacy, mechanism)
    known = _can_be_sampled(privacy.mechanism) if mechanism is None else has_counterfactual(mechanism)
    if privacy.poisson_counterfactual and not (known and privacy.clip_quantile is None):
        names = " or ".join(filter(_can_be_sampled, private_mechanisms()))
        others = "no such result is known for the others"
        raise _only_with("poisson_counterfactual", f"--privacy.mechanism {names} ({others}) and a fixed clip norm")


def _check_named(privacy: PrivacyConfig, horizon: Horizon) -> None:
    """Check the settings of the mechanism that is named."""
    _, settings = chosen(privacy, "mechanism")
    kind = mechanism_kind(privacy.mechanism)
    try:
        kind.check(settings, horizon)
    except ConfigError as error:
        raise ConfigError(f"--privacy.{error}") from error


def _can_be_sampled(name: str) -> bool:
    return has_counterfactual(mechanism_kind(name).makes)


def _check_discrete(name: str, mechanism: Mechanism | None) -> None:
    """Discrete noise takes the place of a stream, so it can only where the stream is no more than the draws."""
    if name != DEFAULT_MECHANISM or not isinstance(mechanism, IndependentNoise | None):
        why = "noise that mixes draws with real weights is on no lattice"
        what = f"only with --privacy.mechanism {DEFAULT_MECHANISM} ({why})"
        raise ConfigError(expected("--privacy.sampler discrete", what, name))


def _check_at_phones(privacy: PrivacyConfig, mechanism: Mechanism | None) -> None:
    """Refuse what noise that each phone of a round adds for itself cannot do."""
    name = privacy.mechanism if mechanism is None else mechanism.name
    is_independent = name == DEFAULT_MECHANISM and isinstance(mechanism, IndependentNoise | None)
    draws = "the others mix draws of several rounds, which no phone of one round has"
    for found, is_possible, what in (
        (name, is_independent, f"only with --privacy.mechanism {DEFAULT_MECHANISM} ({draws})"),
        (
            f"--privacy.adjacency {privacy.adjacency}",
            privacy.adjacency == ZERO_OUT,
            f"only with --privacy.adjacency {ZERO_OUT} (a phone that is not there adds no noise either)",
        ),
        (
            "--privacy.clip-quantile",
            privacy.clip_quantile is None,
            "only with a fixed clip norm (no phone adds noise to the count of shorter updates)",
        ),
        (
            "--privacy.sampler discrete",
            privacy.sampler != "discrete",
            "no --privacy.sampler, which is the server's (--privacy.phone-noise is the phones')",
        ),
        (
            "--privacy.poisson-counterfactual",
            not privacy.poisson_counterfactual,
            "no --privacy.poisson-counterfactual (no such result is known for sums of whole numbers)",
        ),
    ):
        if not is_possible:
            raise ConfigError(expected(f"--privacy.noise-place {PHONES}", what, found))


def _only_with(name: str, other: str) -> ConfigError:
    return ConfigError(expected(f"--privacy.{name.replace('_', '-')}", f"only with {other}", "it without"))
