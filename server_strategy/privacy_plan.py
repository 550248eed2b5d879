"""The guarantee a run sets out to keep, settled before the first round."""

from dataclasses import dataclass, replace

from server_strategy.accounting import (
    default_delta,
    epsilon_by_rdp,
    gaussian_rho,
    noise_multiplier_for,
    planned_participations,
)
from server_strategy.config import CohortConfig, PrivacyConfig


@dataclass(frozen=True)
class PrivacyPlan:
    """The guarantee a run sets out to keep; constant from the first round to the last."""

    mechanism: str
    clip_norm: float
    noise_multiplier: float | None
    noise_stddev: float | None  # on each coordinate of the sum, in this run
    delta: float | None
    rounds: int
    goal: int
    min_separation_rounds: int
    max_participations: int
    population: int  # phones of the training fleet, or of the modelled deployment
    modelled_cohort: int | None
    policy: str = "synchronous"  # when a round closes

    @property
    def epsilon_is_of(self) -> str:
        """Whose epsilon it is; stands wherever the number appears."""
        if self.mechanism == "none":
            return "no privacy"
        if self.modelled_cohort is None:
            return "this run"
        return f"a modelled deployment with {self.modelled_cohort:,} reports a round"

    @property
    def zcdp_rho(self) -> float | None:
        """Bound on the whole run."""
        return None if self.noise_multiplier is None else gaussian_rho(self.noise_multiplier, self.max_participations)

    @property
    def epsilon(self) -> float | None:
        """Bound on the whole run."""
        return None if self.zcdp_rho is None or self.delta is None else epsilon_by_rdp(self.zcdp_rho, self.delta)


def make_privacy_plan(cohort: CohortConfig, privacy: PrivacyConfig, rounds: int, num_phones: int) -> PrivacyPlan:
    """Settle noise and bounds before the first round.

    Raises:
        ValueError: both or contradictory settings; the message names the setting.
    """
    given = [privacy.noise_multiplier, privacy.target_epsilon]
    if privacy.mechanism != "none" and given.count(None) != 1:
        found = "none" if given.count(None) == 2 else "both"
        raise ValueError(f"Expected one of noise_multiplier and target_epsilon. Found {found}.")
    modelled = privacy.modelled_cohort
    if modelled is not None and modelled < cohort.goal:
        raise ValueError(f"Expected modelled_cohort >= goal {cohort.goal}. Found {modelled}.")
    participations = planned_participations(rounds, cohort.min_separation_rounds, cohort.max_participations)
    population = num_phones if modelled is None else round(num_phones * modelled / cohort.goal)
    plan = PrivacyPlan(
        privacy.mechanism,
        privacy.clip_norm,
        None,
        None,
        None,
        rounds,
        cohort.goal,
        cohort.min_separation_rounds,
        participations,
        population,
        modelled,
        cohort.policy,
    )
    if privacy.mechanism == "none":
        return plan
    delta = privacy.delta if privacy.delta is not None else default_delta(population)
    z = privacy.noise_multiplier
    if privacy.target_epsilon is not None:
        z = noise_multiplier_for(privacy.target_epsilon, delta, participations)
    if z is None:
        raise ValueError("Expected a noise multiplier. Found none.")
    # A cohort of N spreads the noise z C over N reports; this run spreads it over its goal.
    shrink = 1.0 if modelled is None else cohort.goal / modelled
    return replace(plan, noise_multiplier=z, delta=delta, noise_stddev=z * privacy.clip_norm * shrink)
