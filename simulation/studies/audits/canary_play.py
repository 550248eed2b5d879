"""Plays rounds with canaries through the real strategy: its cohorts, its clipping, its mechanism, its server step.

Nothing is trained, or phones that are no canaries train. What the attacker sees is kept: each noised mean update, which
is at least as much as each released model tells, since the server's step is made of nothing else, and the last model.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregators import SumsAlone
from server_strategy.cohorts import CohortSource, RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.adjacency import ADD_OR_REMOVE
from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from simulation.studies.audits.canary_phones import WEIGHTS, Canaries, CanaryHosts, Training
from simulation.world.aggregation_settings import order_secret
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

if TYPE_CHECKING:
    from server_strategy.optimizers.base import OptimizerState, ServerOptimizer, Vector

_ANY_SHARE = 1e-9  # canaries that are out may fail: no round is given up for that


class _OneNode:
    """A grid of which the strategy asks nothing but its nodes."""

    def get_node_ids(self) -> Iterable[int]:
        """One: the hosts are in this process."""
        return [1]


@dataclass
class _Watched:
    """A server optimizer, and every mean update that it was given."""

    inner: "ServerOptimizer"
    seen: "list[Vector]" = field(default_factory=list)

    @property
    def linear_momentum(self) -> float:
        """Of the optimizer."""
        return self.inner.linear_momentum

    def initial_state(self, num_weights: int) -> "OptimizerState":
        """Of the optimizer."""
        return self.inner.initial_state(num_weights)

    def step(
        self, learning_rate: float, mean_update: "Vector", state: "OptimizerState"
    ) -> "tuple[Vector, OptimizerState]":
        """The optimizer's step."""
        self.seen.append(mean_update)
        return self.inner.step(learning_rate, mean_update, state)


@dataclass(frozen=True)
class ForFleet:
    """A fleet's cohorts for a strategy that counts more phones: those of a deployment, of which only these report."""

    inner: CohortSource
    num_phones: int

    @property
    def most_reports(self) -> int:
        """Of the fleet."""
        return self.inner.most_reports

    @property
    def max_staleness(self) -> int:
        """Of the fleet."""
        return self.inner.max_staleness

    @property
    def weighting(self) -> str:
        """Of the fleet."""
        return self.inner.weighting

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """The fleet's round; bool [phones of the strategy]."""
        return self.inner.plan_round(server_round, may_participate[: self.num_phones])


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What there is to see after some releases, and what was claimed of them."""

    releases: NDArray[np.float32]  # [releases, dimension], noised sums in units of the round's clip norm
    weights: NDArray[np.float64]  # [canaries, releases], what a canary's clipped update counted; 0: took no part
    directions: NDArray[np.float32]  # [canaries, dimension], of those that took part in a release
    included: NDArray[np.bool_]  # [canaries], which are in
    last_model: NDArray[np.float32]  # [dimension], less the first
    spent: PrivacySpent  # claimed


def as_deployed(plan: PrivacyPlan, cohort: CohortConfig) -> tuple[PrivacyPlan, CohortConfig]:
    """The deployment that a plan models, whose epsilon it claims: all of its noise, its denominator.

    Args:
        plan, cohort: of a run; given back as they are if no deployment is modelled.
    """
    if plan.modelled_cohort is None or plan.noise_multiplier is None:
        return plan, cohort
    goal, adaptive, z = plan.modelled_cohort, plan.adaptive, plan.noise_multiplier
    if adaptive is not None and adaptive.update_noise_multiplier is not None:
        z = adaptive.update_noise_multiplier
        adaptive = replace(adaptive, update_noise_stddev=z, count_noise_stddev=adaptive.count_stddev)
    settled = replace(plan, modelled_cohort=None, goal=goal, noise_stddev=z * plan.clip_norm, adaptive=adaptive)
    return settled, replace(cohort, goal=goal)


def play(
    plan: PrivacyPlan,
    cohort: CohortConfig,
    cohorts: CohortSource,
    canaries: Canaries,
    *,
    num_phones: int,
    optimizer: ServerOptimizerConfig,
    assumptions: Assumptions = USUAL_ASSUMPTIONS,
    out_fails: bool = False,
    common: NDArray[np.float32] | None = None,
    most_releases: int | None = None,
    training: Training | None = None,
) -> Observed:
    """Make all releases of a plan, or as many as its budget and its cohorts allow.

    Args:
        plan: its noise, bounds and number of releases.
        cohort: settings.
        cohorts: who takes part.
        canaries: among the phones; they are chosen on the way.
        num_phones: size of the id space of the phones.
        optimizer: of the server.
        assumptions: that rounds withstand, where phones add the noise and only sums are told.
        out_fails: what canaries do that are out, see `CanaryHosts`; with add-or-remove adjacency they always fail.
        common: what phones send that are no canaries, see `CanaryHosts`.
        most_releases: stop after so many; None: after all that are planned.
        training: by which phones train that are no canaries, from its starting weights; None: they do not.

    Raises:
        ConfigError: nothing was released.
    """
    watched = _Watched(optimizer.make())
    if num_phones < cohort.goal:  # of a deployment that is larger than its part that is played
        cohorts, num_phones = ForFleet(cohorts, num_phones), cohort.goal
    noise = NoiseKey.seeded(int(purpose_key(canaries.seed, "noise of an audit")))
    strategy = DPFedAvg(
        cohorts,
        num_phones,
        cohort=replace(cohort, minimum_report_share=_ANY_SHARE),
        noise=noise,
        plan=plan,
        optimizer=optimizer,
        server_optimizer=watched,
        aggregator=_aggregator(plan, cohorts, assumptions, canaries.seed),
    )
    of_phones = None if plan.phone_noise is None else noise.of_phones()
    fails = out_fails or plan.adjacency == ADD_OR_REMOVE
    hosts = CanaryHosts(canaries, fails, common, of_phones, training)
    start = np.zeros(canaries.dimension, np.float32) if training is None else training.start
    releases, total = [], min(plan.rounds, most_releases or plan.rounds)
    with step("playing rounds with canaries", total=total) as playing:
        for release in itertools.islice(_releases(strategy, hosts, start, cohort.max_abandoned_in_a_row), total):
            releases.append(release)
            playing.advance()
    if not releases:
        reason = "no round" if strategy.last_round is None else strategy.last_round.plan.abandoned
        raise ConfigError(expected("rounds with canaries", "a release", f"none: {reason}"))
    return _observed(releases, watched.seen, canaries, goal=plan.goal, start=start, spent=strategy.spent(ended=True))


def _observed(
    releases: "Sequence[_Release]",
    seen: Sequence[NDArray[np.float32]],
    canaries: Canaries,
    *,
    goal: int,
    start: NDArray[np.float32],
    spent: PrivacySpent,
) -> Observed:
    """What there is to see of releases, of the canaries that took part in one.

    Args:
        releases: of the play, at least one.
        seen: the mean update of each, [dimension], and perhaps of more.
        canaries: of the play.
        goal: that a sum is divided by.
        start: the weights that the play began with, [dimension].
        spent: what is claimed.
    """
    units = np.array([goal / release.clip_norm for release in releases], np.float32)
    weights = _weights([release.plan for release in releases], canaries)
    took_part = weights.any(axis=1)  # a phone of a round without a release did not
    return Observed(
        releases=np.array(seen[: len(releases)]) * units[:, None],
        weights=weights[took_part],
        directions=canaries.matrix()[took_part],
        included=canaries.included[took_part],
        last_model=releases[-1].weights - start,
        spent=spent,
    )


def _aggregator(plan: PrivacyPlan, cohorts: CohortSource, assumptions: Assumptions, seed: int) -> SumsAlone | None:
    """That of a run whose phones add the noise, which masks would change nothing of; None: the server's own."""
    here = plan.phone_noise_here
    if here is None:
        return None
    form = NoisedVectors(here, rotation_seed=seed, is_modelled=plan.share_of_the_noise < 1)
    return SumsAlone(order_secret(seed), assumptions, form, cohorts.most_reports)


class _Release(NamedTuple):
    """One that was made."""

    plan: RoundPlan  # who took part
    clip_norm: float  # in it
    weights: NDArray[np.float32]  # [dimension], after it


def _releases(
    strategy: DPFedAvg, hosts: CanaryHosts, start: NDArray[np.float32], most_abandoned: int
) -> Iterator[_Release]:
    """Each release, until there is no further one."""
    grid, abandoned = cast(Grid, _OneNode()), 0
    arrays = ArrayRecord({WEIGHTS: Array(start)})
    for number in itertools.count(1):
        messages = strategy.configure_train(number, arrays, ConfigRecord(), grid)
        answers: list[Message] = [hosts.answer(message) for message in messages]
        weights, _ = strategy.aggregate_train(number, answers)
        outcome = strategy.last_round
        if weights is not None and outcome is not None:
            arrays, abandoned = weights, 0
            yield _Release(outcome.plan, outcome.clip_norm, arrays[WEIGHTS].numpy())
        else:
            abandoned += 1
        if strategy.budget_reached is not None or abandoned >= most_abandoned:
            return


def _weights(taken: list[RoundPlan], canaries: Canaries) -> NDArray[np.float64]:
    found = np.zeros((len(canaries.phones), len(taken)))
    for release, plan in enumerate(taken):
        counted = np.ones(len(plan.reporters)) if plan.update_weight is None else plan.update_weight
        for phone, weight in zip(plan.reporters.tolist(), counted.tolist(), strict=True):
            row = canaries.row_of(phone)
            if row is not None:
                found[row, release] = weight
    return found
