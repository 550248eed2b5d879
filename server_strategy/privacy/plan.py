"""The guarantee a run sets out to keep, settled before the first round."""

from dataclasses import dataclass, replace
from typing import Any

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import (
    default_delta,
    epsilon_by_rdp,
    gaussian_rho,
    noise_multiplier_for,
    planned_participations,
)
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms import (
    Mechanism,
    make_mechanism,
    mechanism_from_parameters,
    mechanism_parameters,
)
from typefleet.errors import ConfigError, expected


@dataclass(frozen=True)
class AdaptiveClipping:
    """How the clip norm follows the updates, and how the noise is shared with the count that this needs.

    The update's sum has sensitivity C and noise z_update C; the count has sensitivity 1/2 and noise
    sigma_b; together they cost what one sum with noise z C does if (arXiv:1905.03871, Theorem 1)

        z^-2 = z_update^-2 + (2 sigma_b)^-2
    """

    quantile: float
    learning_rate: float
    update_noise_multiplier: float | None  # z_update
    count_stddev: float | None  # sigma_b, for the cohort that epsilon is of
    update_noise_stddev: float | None  # in this run, in units of the clip norm
    count_noise_stddev: float | None  # in this run


@dataclass(frozen=True)
class PrivacyPlan:
    """The guarantee a run sets out to keep; constant from the first round to the last."""

    mechanism: str
    clip_norm: float  # the first one, if it adapts
    noise_multiplier: float | None
    noise_stddev: float | None  # of the draws on each coordinate of the sum, in this run, at that clip norm
    delta: float | None
    rounds: int
    goal: int
    min_separation_rounds: int
    max_participations: int
    population: int  # phones of the training fleet, or of the modelled deployment
    modelled_cohort: int | None
    policy: str = "synchronous"  # when a round closes
    parameters: dict[str, Any] | None = None  # of the mechanism
    clip_scope: str = "update"
    adaptive: AdaptiveClipping | None = None
    epsilon_budget: float | None = None  # the run stops before it is exceeded
    poisson_counterfactual: bool = False

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "PrivacyPlan":
        """Inverse of `dataclasses.asdict`."""
        adaptive = fields.get("adaptive")
        return cls(**{**fields, "adaptive": None if adaptive is None else AdaptiveClipping(**adaptive)})

    @property
    def noise_mechanism(self) -> Mechanism | None:
        """What makes the noise; None without privacy."""
        return None if self.mechanism == "none" else mechanism_from_parameters(self.mechanism, self.parameters or {})

    @property
    def epsilon_is_of(self) -> str:
        """Whose epsilon it is; stands wherever the number appears."""
        if self.mechanism == "none":
            return "no privacy"
        if self.modelled_cohort is None:
            return "this run"
        return f"a modelled deployment with {self.modelled_cohort:,} reports a round"

    def rho_of(self, releases: int, min_separation_rounds: int, max_participations: int) -> float | None:
        """zCDP of this many releases, for phones within these bounds; null without privacy."""
        mechanism = self.noise_mechanism
        if mechanism is None or self.noise_multiplier is None:
            return None
        if releases == 0 or max_participations == 0:
            return 0.0
        sensitivity = mechanism.sensitivity_squared(releases, min_separation_rounds, max_participations)
        return gaussian_rho(self.noise_multiplier, sensitivity)

    def require_cohort(self, cohort: CohortConfig) -> None:
        """Refuse a cohort that this plan was not made for.

        Raises:
            ConfigError: another goal, separation or policy.
        """
        planned = (self.goal, self.min_separation_rounds, self.policy)
        found = (cohort.goal, cohort.min_separation_rounds, cohort.policy)
        if planned != found:
            raise ConfigError(expected("plan", f"goal, separation and policy {found}, as the cohort has", planned))

    @property
    def zcdp_rho(self) -> float | None:
        """Bound on the whole run."""
        return self.rho_of(self.rounds, self.min_separation_rounds, self.max_participations)

    @property
    def epsilon(self) -> float | None:
        """Bound on the whole run."""
        return None if self.zcdp_rho is None or self.delta is None else epsilon_by_rdp(self.zcdp_rho, self.delta)


def make_privacy_plan(
    cohort: CohortConfig, privacy: PrivacyConfig, *, rounds: int, num_phones: int, momentum: float = 0.0
) -> PrivacyPlan:
    """Settle noise and bounds before the first round.

    Args:
        cohort, privacy: settings.
        rounds: releases planned.
        num_phones: of the training fleet.
        momentum: of the server's SGD, for matrix mechanisms whose workload it is.

    Raises:
        ValueError: both or contradictory settings; the message names the setting.
    """
    modelled = privacy.modelled_cohort
    if modelled is not None and modelled < cohort.goal:
        raise ValueError(f"Expected modelled_cohort >= goal {cohort.goal}. Found {modelled}.")
    participations = planned_participations(rounds, cohort.min_separation_rounds, cohort.max_participations)
    plan = PrivacyPlan(
        mechanism=privacy.mechanism,
        clip_norm=privacy.clip_norm,
        noise_multiplier=None,
        noise_stddev=None,
        delta=None,
        rounds=rounds,
        goal=cohort.goal,
        min_separation_rounds=cohort.min_separation_rounds,
        max_participations=participations,
        population=num_phones if modelled is None else round(num_phones * modelled / cohort.goal),
        modelled_cohort=modelled,
        policy=cohort.policy,
        clip_scope=privacy.clip_scope,
        poisson_counterfactual=privacy.poisson_counterfactual,
    )
    if privacy.mechanism == "none":
        return _with_adaptive_clipping(plan, privacy)
    mechanism = make_mechanism(
        privacy.mechanism,
        rounds,
        cohort.min_separation_rounds,
        participations,
        bands=privacy.bands,
        buffers=privacy.buffers,
        restart_every=privacy.tree_restart_rounds,
        momentum=momentum if privacy.workload == "momentum" else 0.0,
    )
    plan = replace(plan, parameters=mechanism_parameters(mechanism), epsilon_budget=privacy.target_epsilon)
    return _with_adaptive_clipping(_with_noise(plan, privacy, mechanism), privacy)


def _with_noise(plan: PrivacyPlan, privacy: PrivacyConfig, mechanism: Mechanism) -> PrivacyPlan:
    """Settle noise multiplier and delta; raises ValueError where the sensitivity is not known."""
    if privacy.noise_multiplier is None and privacy.target_epsilon is None:
        raise ValueError("Expected noise_multiplier or target_epsilon. Found neither.")
    delta = privacy.delta if privacy.delta is not None else default_delta(plan.population)
    sensitivity = mechanism.sensitivity_squared(plan.rounds, plan.min_separation_rounds, plan.max_participations)
    z = privacy.noise_multiplier
    if z is None:
        z = noise_multiplier_for(float(privacy.target_epsilon or 0), delta, sensitivity)
    stddev = z * plan.clip_norm * _shrink(plan)
    return replace(plan, noise_multiplier=z, delta=delta, noise_stddev=stddev)


def _shrink(plan: PrivacyPlan) -> float:
    """A cohort of N spreads the noise z C over N reports; this run spreads it over its goal."""
    return 1.0 if plan.modelled_cohort is None else plan.goal / plan.modelled_cohort


def _with_adaptive_clipping(plan: PrivacyPlan, privacy: PrivacyConfig) -> PrivacyPlan:
    """Share the noise between updates and count, if the clip norm adapts."""
    if privacy.clip_quantile is None:
        return plan
    adaptive = AdaptiveClipping(privacy.clip_quantile, privacy.clip_learning_rate, None, None, None, None)
    z = plan.noise_multiplier
    if z is None:
        return replace(plan, adaptive=adaptive)
    count_stddev = privacy.clip_count_stddev or max((plan.modelled_cohort or plan.goal) / 20, 2 * z)
    left = z**-2 - (2 * count_stddev) ** -2
    if left <= 0:
        raise ValueError(
            f"Expected clip_count_stddev > noise_multiplier / 2 = {z / 2:.4g}, or nothing is left for the updates. "
            f"Found {count_stddev:.4g}."
        )
    z_update = left**-0.5
    shrink = _shrink(plan)
    adaptive = replace(
        adaptive,
        update_noise_multiplier=z_update,
        count_stddev=count_stddev,
        update_noise_stddev=z_update * shrink,
        count_noise_stddev=count_stddev * shrink,
    )
    return replace(plan, adaptive=adaptive, noise_stddev=z_update * plan.clip_norm * shrink)
