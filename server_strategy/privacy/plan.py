"""The guarantee a run sets out to keep, settled before the first round."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import default_delta, epsilon_by_rdp, gaussian_rho
from server_strategy.privacy.adjacency import (
    COUNT_SENSITIVITY,
    ZERO_OUT,
    charged_noise_multiplier,
    default_count_stddev,
    noise_for_updates,
)
from server_strategy.privacy.config import DEFAULT_CLIP_LEARNING_RATE, PrivacyConfig, check_privacy
from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.record import made, name_of, on_record, parameters_of, require_usable
from server_strategy.privacy.plan_values import no_plan, require_values_of
from server_strategy.privacy.vocabulary_cost import (
    VocabularyCost,
    delta_beside,
    noise_multiplier_beside,
    planned_vocabulary,
    vocabulary_rho,
)
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected
from typefleet.setting_types import typed


@dataclass(frozen=True)
class AdaptiveClipping:
    """How the clip norm follows the updates, and how the noise is shared with the count that this needs.

    The update's sum has sensitivity C and noise z_update C; the count has noise sigma_b, and the sensitivity that the
    plan's adjacency gives it; together they cost what one sum with noise z C does (see `adjacency`).
    """

    quantile: float
    learning_rate: float
    update_noise_multiplier: float | None = None  # z_update; None, as all below, without privacy
    count_stddev: float | None = None  # sigma_b, for the cohort that epsilon is of
    update_noise_stddev: float | None = None  # in this run, in units of the clip norm
    count_noise_stddev: float | None = None  # in this run


@dataclass(frozen=True)
class PrivacyPlan:
    """The guarantee a run sets out to keep; constant from the first round to the last."""

    mechanism: Mechanism | None  # None: no privacy
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
    clip_scope: str = "update"
    adaptive: AdaptiveClipping | None = None
    epsilon_budget: float | None = None  # the run stops before it is exceeded
    poisson_counterfactual: bool = False
    sampler: str = "continuous"  # of the noise
    vocabulary: VocabularyCost | None = None  # of one that is counted on phones, under this guarantee
    noise_source: str = "seeded"  # what keys the noise; plans of before say nothing of it, and had nothing else
    adjacency: str = ZERO_OUT  # what neighbouring data sets differ in; the only one that earlier plans knew

    def to_json(self) -> dict[str, Any]:
        """The plan as ledger and statement have it: the mechanism by its name, its parameters beside it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            **values,
            "mechanism": self.mechanism_name,
            "parameters": self.parameters,
            "adaptive": None if self.adaptive is None else asdict(self.adaptive),
            "vocabulary": None if self.vocabulary is None else asdict(self.vocabulary),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], at_hand: Mechanism | None = None) -> "PrivacyPlan":
        """Inverse of `to_json`.

        Args:
            values: the plan on record.
            at_hand: its mechanism, if it is one that nobody registered.

        Raises:
            UnknownKindError: the mechanism is neither registered nor at hand.
            ConfigError: these are not the values of a plan.
        """
        values = {"vocabulary": None, **values} if isinstance(values, Mapping) else values
        as_dicts = {"parameters": dict | None, "adaptive": dict | None, "vocabulary": dict | None}
        require_values_of(cls, values, {"mechanism": str, **as_dicts})
        if values["adaptive"] is not None:
            require_values_of(AdaptiveClipping, values["adaptive"], {})
        rest = {name: value for name, value in values.items() if name not in ("mechanism", *as_dicts)}
        plan = cls(
            mechanism=on_record(values["mechanism"], values["parameters"], at_hand),
            adaptive=None if values["adaptive"] is None else AdaptiveClipping(**values["adaptive"]),
            vocabulary=VocabularyCost.from_json(values["vocabulary"]),
            **rest,
        )
        if not (plan.goal and plan.population and plan.modelled_cohort != 0):
            raise no_plan("no phones in a cohort or in the population")
        if plan.adjacency not in COUNT_SENSITIVITY:
            raise no_plan("an adjacency that none has")
        if plan.mechanism is not None and not (plan.noise_multiplier and plan.delta and plan.delta < 1):
            raise no_plan("a mechanism without its noise and a delta below 1")
        split = plan.adaptive
        if plan.mechanism is not None and split and not (split.update_noise_multiplier and split.count_stddev):
            raise no_plan("a clip norm that adapts without its noise")
        return plan

    @staticmethod
    def with_defaults(on_record: Mapping[str, Any]) -> dict[str, Any]:
        """A plan on record with the fields that it lacks because an earlier version wrote it."""
        return {f.name: f.default for f in fields(PrivacyPlan) if f.default is not MISSING} | dict(on_record)

    @property
    def mechanism_name(self) -> str:
        """As flags, ledgers and statements have it."""
        return name_of(self.mechanism)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """Of the mechanism, as JSON knows them; None without privacy."""
        return parameters_of(self.mechanism)

    @property
    def epsilon_is_of(self) -> str:
        """Whose epsilon it is; stands wherever the number appears."""
        if self.mechanism is None:
            return "no privacy"
        if self.modelled_cohort is None:
            return "this run"
        return f"a modelled deployment with {self.modelled_cohort:,} reports per round"

    def rho_of(self, releases: int, min_separation_rounds: int, max_participations: int) -> float | None:
        """zCDP of this many releases, for phones within these bounds, and of the vocabulary; None without privacy."""
        if self.mechanism is None or self.noise_multiplier is None:
            return None
        if releases == 0 or max_participations == 0:
            return vocabulary_rho(self.vocabulary)
        sensitivity = sensitivity_of(self.mechanism, releases, min_separation_rounds, max_participations)
        charged = self._charged_multiplier(self.noise_multiplier)
        return gaussian_rho(charged, sensitivity) + vocabulary_rho(self.vocabulary)

    def epsilon_of(self, rho: float) -> float | None:
        """Epsilon, by Renyi orders, of so much zCDP at the plan's delta; None without privacy."""
        left = self.delta_left
        return None if left is None else epsilon_by_rdp(rho, left)

    @property
    def delta_left(self) -> float | None:
        """What rho is translated with: delta without the threshold's part of it; None without privacy."""
        return None if self.delta is None else delta_beside(self.vocabulary, self.delta)

    @property
    def share_of_the_noise(self) -> float:
        """A cohort of N spreads the noise z C over N reports; this run spreads it over its goal."""
        return 1.0 if self.modelled_cohort is None else self.goal / self.modelled_cohort

    def _charged_multiplier(self, planned: float) -> float:
        """What the releases are charged by: of updates and clip count together."""
        split = self.adaptive
        if split is None or split.update_noise_multiplier is None or split.count_stddev is None:
            return planned
        return charged_noise_multiplier(planned, split.update_noise_multiplier, split.count_stddev, self.adjacency)

    @property
    def charged_more(self) -> str | None:
        """Why more is charged than the noise multiplier on record says; None where that is right.

        Earlier versions charged the clip count by 1/2, which under zero-out adjacency changes by 1.
        """
        planned = self.noise_multiplier
        if planned is None or (charged := self._charged_multiplier(planned)) == planned:
            return None
        more = planned / charged if charged else math.inf  # of a record that no run wrote
        return (
            f"the noise multiplier on record, {planned:.4g}, charges the clip count by 1/2; under {self.adjacency} "
            f"adjacency one phone changes it by {COUNT_SENSITIVITY[self.adjacency]:g}, so {charged:.4g} is charged "
            f"here: rho is {more * more:.4g} times what the run said"
        )

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
        """Bound on the zCDP of the whole run; None without privacy."""
        return self.rho_of(self.rounds, self.min_separation_rounds, self.max_participations)

    @property
    def epsilon(self) -> float | None:
        """Bound on the epsilon of the whole run, by Renyi orders; None without privacy."""
        return None if self.zcdp_rho is None else self.epsilon_of(self.zcdp_rho)


def make_privacy_plan(
    cohort: CohortConfig,
    privacy: PrivacyConfig,
    *,
    rounds: int,
    num_phones: int,
    momentum: float = 0.0,
    mechanism: Mechanism | None = None,
    counts_words: bool = False,
) -> PrivacyPlan:
    """Settle noise and bounds before the first round.

    Args:
        cohort, privacy: settings.
        rounds: releases planned.
        num_phones: of the training fleet.
        momentum: of the server, if its weights are a linear function of the updates; mechanisms can be optimised
            for it.
        mechanism: makes the noise, in the place of the kind that `privacy` names.
        counts_words: whether the vocabulary is counted on the phones.

    Raises:
        ConfigError: settings of another type, that do not go together, or a mechanism that cannot be put on record.
        InputError: a sensitivity that is not known exactly, or a target that no noise meets.
    """
    cohort, privacy = typed(cohort, ("cohort",)), typed(privacy, ("privacy",))
    horizon = Horizon.planned(rounds, cohort.min_separation_rounds, cohort.max_participations, momentum)
    if mechanism is not None:
        require_usable(mechanism)
    check_privacy(privacy, cohort, horizon, mechanism)
    modelled = privacy.modelled_cohort
    plan = PrivacyPlan(
        mechanism=mechanism or made(privacy.mechanism, chosen(privacy, "mechanism")[1], horizon),
        clip_norm=privacy.clip_norm,
        noise_multiplier=None,
        noise_stddev=None,
        delta=None,
        rounds=rounds,
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
    if plan.mechanism is not None:
        plan = _with_noise(plan, privacy, plan.mechanism, counts_words)
    return _with_adaptive_clipping(plan, privacy)


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


def _recorded_sensitivity(plan: PrivacyPlan, mechanism: Mechanism) -> float:
    """The squared sensitivity over the whole run, which the parameters on record must give as well.

    Raises:
        ConfigError: they give another one: the ledger would claim what the run does not keep.
    """
    schedule = (plan.rounds, plan.min_separation_rounds, plan.max_participations)
    sensitivity = sensitivity_of(mechanism, *schedule)
    twin = on_record(plan.mechanism_name, plan.parameters, at_hand=mechanism)
    recorded = 0.0 if twin is None else sensitivity_of(twin, *schedule)
    if not math.isclose(recorded, sensitivity, rel_tol=1e-12):
        what = f"parameters that give its squared sensitivity of {sensitivity:.6g} again"
        raise ConfigError(expected(f"mechanism {mechanism.name!r}", what, f"{recorded:.6g}"))
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
