"""Settings of what protects the phones."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class PrivacyConfig:
    """User-level differential privacy; the unit is one phone."""

    mechanism: Literal["gaussian", "tree", "banded", "blt", "none"] = "gaussian"
    """gaussian: DP-FedAvg with independent noise a round. tree: DP-FTRL. banded, blt: matrix factorisation,
    optimised for the run; blt needs far less memory. none: no privacy at all."""
    clip_norm: Annotated[float, Gt(0)] = 2.0
    """L2 bound on the whole update of one phone; the first one, if it adapts."""
    clip_scope: Literal["update", "layer"] = "update"
    """Clip the update as a whole, or each of its m layers to clip norm / sqrt(m)."""
    clip_quantile: Annotated[float | None, Gt(0), Lt(1)] = None
    """Adapt the clip norm so that this share of the updates is shorter; fixed if not given."""
    clip_learning_rate: Annotated[float, Gt(0), Le(5)] = 0.2
    """How fast the clip norm adapts."""
    clip_count_stddev: Annotated[float | None, Gt(0)] = None
    """Noise on the number of shorter updates; by default a twentieth of the cohort, at least twice the noise
    multiplier."""
    noise_multiplier: Annotated[float | None, Gt(0)] = None
    """Standard deviation of the mechanism's draws over clip norm. Without any setting of the noise: 2.0 with
    mechanism gaussian and a target epsilon of 6.4 with the others, for a modelled cohort of 20,000."""
    bands: Annotated[int | None, Ge(1)] = None
    """Bands of the banded mechanism; by default as many as --cohort.min-separation-rounds."""
    buffers: Annotated[int, Ge(1), Le(8)] = 3
    """Buffers of the blt mechanism, each of the size of the model."""
    workload: Literal["prefix", "momentum"] = "prefix"
    """What banded and blt are optimised for: the sums of the updates, or the sums as the server's momentum
    weighs them, which has more noise in each single round."""
    tree_restart_rounds: Annotated[int | None, Ge(1)] = None
    """Begin a new tree after so many rounds; by default one tree for the run."""
    target_epsilon: Annotated[float | None, Gt(0)] = None
    """Budget: the run stops before the release that would exceed it. Without --privacy.noise-multiplier,
    choose the smallest noise with which all rounds fit."""
    delta: Annotated[float | None, Gt(0), Lt(1)] = None
    """Delta of (epsilon, delta); by default population^-1.1, at most 1e-6."""
    modelled_cohort: Annotated[int | None, Ge(1)] = None
    """Scale the noise to what a deployment with this many reports a round would see. Epsilon is then
    that of the modelled deployment, not of this run."""
    poisson_counterfactual: bool = False
    """Add to the statement, as a counterfactual, what epsilon would be if phones were sampled at random."""


DEFAULT_NOISE_MULTIPLIER = 2.0
DEFAULT_TARGET_EPSILON = 6.4  # what that costs in the default run
DEFAULT_MODELLED_COHORT = 20_000


def with_default_noise(privacy: PrivacyConfig) -> PrivacyConfig:
    """Fill in the noise where a user said nothing of it.

    A cohort small enough for a first try drowns in honest noise, so a run without any setting models
    a large deployment, and says so wherever it shows epsilon. Whoever sets the noise gets exactly
    that noise, for the run's own cohort.
    """
    if privacy.mechanism == "none" or privacy.noise_multiplier is not None or privacy.target_epsilon is not None:
        return privacy
    privacy = replace(privacy, modelled_cohort=privacy.modelled_cohort or DEFAULT_MODELLED_COHORT)
    if privacy.mechanism == "gaussian":
        return replace(privacy, noise_multiplier=DEFAULT_NOISE_MULTIPLIER)
    return replace(privacy, target_epsilon=DEFAULT_TARGET_EPSILON)  # its multiplier would mean another cost
