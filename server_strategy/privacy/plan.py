"""The guarantee a run sets out to keep, settled before the first round."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_of_gaussian, gaussian_rho
from server_strategy.privacy.adjacency import (
    COUNT_SENSITIVITY,
    ZERO_OUT,
    charged_noise_multiplier,
)
from server_strategy.privacy.distributed_noise.phone_noise import PhoneNoise
from server_strategy.privacy.mechanisms.base import Mechanism, sensitivity_of
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.mechanisms.record import name_of, on_record, parameters_of
from server_strategy.privacy.plan_values import no_plan, require_values_of
from server_strategy.privacy.vocabulary_cost import (
    VocabularyCost,
    delta_beside,
    vocabulary_rho,
)
from server_strategy.update_sum import moved_clip_norm
from typefleet.errors import ConfigError, expected

_OF_PHONES = "phone_noise"  # on record only where there is any


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

    def moved(self, clip_norm: float, share: float) -> float:
        """The next clip norm, see `moved_clip_norm`.

        Args:
            clip_norm: of the release.
            share: of its updates that were shorter, by the noised count.
        """
        return moved_clip_norm(clip_norm, self.learning_rate * (share - self.quantile))


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
    population: int  # phones of the fleet, held-out ones included, or of the modelled deployment
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
    phone_noise: PhoneNoise | None = None  # that phones add, each its share, in the cohort that epsilon is of

    def to_json(self) -> dict[str, Any]:
        """The plan as ledger and statement have it: the mechanism by its name, its parameters beside it."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != _OF_PHONES}
        return {
            **values,
            **({} if self.phone_noise is None else {_OF_PHONES: asdict(self.phone_noise)}),
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
        values = {"vocabulary": None, _OF_PHONES: None, **values} if isinstance(values, Mapping) else values
        as_dicts = dict.fromkeys(("parameters", "adaptive", "vocabulary", _OF_PHONES), dict | None)
        require_values_of(cls, values, {"mechanism": str, **as_dicts})
        if values["adaptive"] is not None:
            require_values_of(AdaptiveClipping, values["adaptive"], {})
        rest = {name: value for name, value in values.items() if name not in ("mechanism", *as_dicts)}
        plan = cls(
            mechanism=on_record(values["mechanism"], values["parameters"], at_hand),
            adaptive=None if values["adaptive"] is None else AdaptiveClipping(**values["adaptive"]),
            vocabulary=VocabularyCost.from_json(values["vocabulary"]),
            phone_noise=PhoneNoise.from_json(values[_OF_PHONES]),
            **rest,
        )
        if not (plan.goal and plan.population and plan.modelled_cohort != 0):
            raise no_plan("no phones in a cohort or in the population")
        if plan.adjacency not in COUNT_SENSITIVITY:
            raise no_plan("an adjacency that none has")
        if plan.mechanism is not None and not (plan.noise_multiplier and plan.delta and plan.delta < 1):
            raise no_plan("a mechanism without its noise and a delta below 1")
        if plan.phone_noise is not None and (plan.adaptive or plan.mechanism_name != IndependentNoise.name):
            raise no_plan("noise of phones beside what needs a server's")
        split = plan.adaptive
        if plan.mechanism is not None and split and not (split.update_noise_multiplier and split.count_stddev):
            raise no_plan("a clip norm that adapts without its noise")
        return plan

    @staticmethod
    def with_defaults(on_record: Mapping[str, Any]) -> dict[str, Any]:
        """A plan on record with the fields that it lacks because an earlier version wrote it."""
        defaults = {f.name: f.default for f in fields(PrivacyPlan) if f.default is not MISSING and f.name != _OF_PHONES}
        return defaults | dict(on_record)

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
        if self.phone_noise is not None:  # the mechanism is independent: that is a number of participations
            return sensitivity * self.phone_noise.zcdp_rho_from_order_2 + vocabulary_rho(self.vocabulary)
        charged = self._charged_multiplier(self.noise_multiplier)
        return gaussian_rho(charged, sensitivity) + vocabulary_rho(self.vocabulary)

    def epsilon_of(self, rho: float) -> float | None:
        """Epsilon, by Renyi orders, of so much zCDP at the plan's delta; None without privacy."""
        left = self.delta_left
        return None if left is None else self.epsilon_at(rho, left)

    def epsilon_at(self, rho: float, delta: float, group: int = 1) -> float:
        """Epsilon, by Renyi orders, of so much zCDP at another delta.

        Args:
            rho: of a release or several, the vocabulary included.
            delta: with which it is translated.
            group: phones of one owner that `rho` is of.
        """
        if self.phone_noise is None:
            return epsilon_by_rdp(rho, delta)
        of_words = vocabulary_rho(self.vocabulary) * group**2
        return self.phone_noise.epsilon_of(max(rho - of_words, 0.0), delta, of_words)

    def exact_gaussian_at(self, rho: float, delta: float) -> float | None:
        """The smaller epsilon that is exact for Gaussian noise; None where the noise is another: that of phones."""
        return None if self.phone_noise is not None else epsilon_of_gaussian(rho, delta)

    @property
    def phone_noise_here(self) -> PhoneNoise | None:
        """How the phones of this run carry their noise, which may be fewer than epsilon is of."""
        return None if self.phone_noise is None else self.phone_noise.simulated(self.share_of_the_noise)

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
