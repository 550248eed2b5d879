"""Settles the noise and the bounds of a run before its first round."""

import math
from collections.abc import Callable
from dataclasses import replace

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import default_delta, gaussian_rho
from server_strategy.privacy.adjacency import (
    default_count_stddev,
    noise_for_updates,
)
from server_strategy.privacy.config import DEFAULT_CLIP_LEARNING_RATE, PHONES, PrivacyConfig, check_privacy
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.distributed_noise.settle import calibrate
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.record import made, on_record, require_usable
from server_strategy.privacy.plan import AdaptiveClipping, PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.vocabulary_cost import (
    noise_multiplier_beside,
    planned_vocabulary,
    vocabulary_rho,
)
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling
from typefleet.setting_types import typed


def make_privacy_plan(
    cohort: CohortConfig,
    privacy: PrivacyConfig,
    *,
    rounds: int,
    num_phones: int,
    momentum: float = 0.0,
    mechanism: Mechanism | None = None,
    counts_words: bool = False,
    phones_add: Callable[[float], PhoneNoise] | None = None,
    begun: bool = False,
) -> PrivacyPlan:
    """Settle noise and bounds before the first round.

    Args:
        cohort, privacy: settings.
        rounds: releases planned.
        num_phones: of the fleet that is trained, held-out phones included.
        momentum: of the server, if its weights are a linear function of the updates; mechanisms can be optimised
            for it.
        mechanism: makes the noise, in the place of the kind that `privacy` names.
        counts_words: whether the vocabulary is counted on the phones.
        phones_add: what phones add by a noise multiplier, where they do.
        begun: it is the plan of a run which is only looked at, and may have ended before its first release.

    Raises:
        ConfigError: settings of another type, that do not go together, or a mechanism that cannot be put on record or
            does not keep what it says.
        InputError: a sensitivity that is not known exactly, or a target that no noise meets.
    """
    cohort, privacy = typed(cohort, ("cohort",)), typed(privacy, ("privacy",))
    horizon = Horizon.planned(rounds, cohort.min_separation_rounds, cohort.max_participations, momentum)
    if mechanism is not None:
        require_usable(mechanism, horizon)
    check_privacy(privacy, cohort, horizon, mechanism)
    if (privacy.noise_place == PHONES) != (phones_add is not None):
        raise ConfigError(expected("--privacy.noise-place phones", "what the phones are to add", "none"))
    plan = _without_noise(cohort, privacy, horizon, num_phones, mechanism)
    if plan.mechanism is not None:
        plan = _with_noise(plan, privacy, plan.mechanism, counts_words)
        plan = plan if phones_add is None else _with_noise_of_phones(plan, privacy, phones_add)
    plan = _with_adaptive_clipping(plan, privacy)
    if not begun:
        _require_room_for_one(plan)
    return plan


def _without_noise(
    cohort: CohortConfig, privacy: PrivacyConfig, horizon: Horizon, num_phones: int, mechanism: Mechanism | None
) -> PrivacyPlan:
    """What the settings say, before any noise is settled."""
    modelled = privacy.modelled_cohort
    return PrivacyPlan(
        mechanism=mechanism or made(privacy.mechanism, chosen(privacy, "mechanism")[1], horizon),
        clip_norm=privacy.clip_norm,
        noise_multiplier=None,
        noise_stddev=None,
        delta=None,
        rounds=horizon.rounds,
        goal=cohort.goal,
        min_separation_rounds=cohort.min_separation_rounds,
        max_participations=horizon.max_participations,
        population=num_phones if modelled is None else round(num_phones * modelled / cohort.goal),
        modelled_cohort=modelled,
        policy=cohort.policy,
        clip_scope=privacy.clip_scope,
        poisson_counterfactual=privacy.poisson_counterfactual,
        noise_source=privacy.noise_source,
        adjacency=privacy.adjacency,
        sampler=privacy.sampler,
    )


def _require_room_for_one(plan: PrivacyPlan) -> None:
    """Refuse a budget that the first release would exceed: a round would be trained, and nothing learned.

    Raises:
        ConfigError: it says how large the budget has to be.
    """
    rho = None if plan.epsilon_budget is None else plan.rho_of(1, plan.min_separation_rounds, 1)
    epsilon = None if rho is None else plan.epsilon_of(rho)
    if epsilon is not None and plan.epsilon_budget is not None and epsilon > plan.epsilon_budget:
        least = f"at least the {Bound(epsilon):.4g} of one release with this noise"
        raise ConfigError(expected("--privacy.target-epsilon", least, plan.epsilon_budget))


def _with_noise(plan: PrivacyPlan, privacy: PrivacyConfig, mechanism: Mechanism, counts_words: bool) -> PrivacyPlan:
    """Settle noise multiplier, delta, and the vocabulary's part of both."""
    if privacy.noise_multiplier is None and privacy.target_epsilon is None:
        raise ConfigError(expected("--privacy.noise-multiplier", "it or --privacy.target-epsilon", "neither"))
    sensitivity = _recorded_sensitivity(plan, mechanism)
    delta = privacy.delta if privacy.delta is not None else default_delta(plan.population)
    vocabulary = planned_vocabulary(privacy, delta) if counts_words else None
    z = privacy.noise_multiplier
    if z is None:
        z = noise_multiplier_beside(vocabulary, float(privacy.target_epsilon or 0), delta, sensitivity)
    gaussian_rho(z, sensitivity)  # refuses a noise that costs no number
    return replace(
        plan,
        noise_multiplier=z,
        delta=delta,
        noise_stddev=z * plan.clip_norm * plan.share_of_the_noise,
        vocabulary=vocabulary,
        epsilon_budget=privacy.target_epsilon,
    )


def _with_noise_of_phones(
    plan: PrivacyPlan, privacy: PrivacyConfig, phones_add: Callable[[float], PhoneNoise]
) -> PrivacyPlan:
    """Settle what phones add: the noise multiplier is the one asked for, or the least with which all rounds fit."""
    if privacy.noise_multiplier is not None:
        noise = phones_add(privacy.noise_multiplier)
    else:
        participations = -(-plan.rounds // plan.min_separation_rounds)
        of_words = vocabulary_rho(plan.vocabulary)
        noise = calibrate(
            phones_add,
            float(privacy.target_epsilon or 0),
            plan.delta_left or 0.0,
            min(plan.max_participations, participations),
            beside=of_words,
            of="--privacy.target-epsilon",
        )
    cohort = plan.modelled_cohort or plan.goal
    return replace(
        plan,
        phone_noise=noise,
        noise_multiplier=noise.noise_multiplier,
        noise_stddev=noise.noise_stddev(cohort, plan.clip_norm) * plan.share_of_the_noise,
    )


def _recorded_sensitivity(plan: PrivacyPlan, mechanism: Mechanism) -> float:
    """The squared sensitivity over the whole run, which the parameters on record must give as well.

    Raises:
        ConfigError: they give another one: the ledger would claim what the run does not keep.
    """
    schedule = (plan.rounds, plan.min_separation_rounds, plan.max_participations)
    with calling(f"mechanism {mechanism.name!r}", "a squared sensitivity"):
        sensitivity = sensitivity_of(mechanism, *schedule)
    twin = on_record(plan.mechanism_name, plan.parameters, at_hand=mechanism)
    recorded = 0.0 if twin is None else sensitivity_of(twin, *schedule)
    if not math.isclose(recorded, sensitivity, rel_tol=1e-12):
        what = f"parameters that give its squared sensitivity of {sensitivity:.15g} again"
        raise ConfigError(expected(f"mechanism {mechanism.name!r}", what, f"{recorded:.15g}"))
    return sensitivity


def _with_adaptive_clipping(plan: PrivacyPlan, privacy: PrivacyConfig) -> PrivacyPlan:
    """Share the noise between updates and count, if the clip norm adapts."""
    if privacy.clip_quantile is None:
        return plan
    given = privacy.clip_learning_rate
    adaptive = AdaptiveClipping(
        quantile=privacy.clip_quantile,
        learning_rate=DEFAULT_CLIP_LEARNING_RATE if given is None else given,
    )
    z = plan.noise_multiplier
    if z is None:
        return replace(plan, adaptive=adaptive)
    cohort = plan.modelled_cohort or plan.goal
    count_stddev = privacy.clip_count_stddev or default_count_stddev(z, cohort, plan.adjacency)
    z_update = noise_for_updates(z, count_stddev, plan.adjacency)
    share = plan.share_of_the_noise
    adaptive = replace(
        adaptive,
        update_noise_multiplier=z_update,
        count_stddev=count_stddev,
        update_noise_stddev=z_update * share,
        count_noise_stddev=count_stddev * share,
    )
    return replace(plan, adaptive=adaptive, noise_stddev=z_update * plan.clip_norm * share)
