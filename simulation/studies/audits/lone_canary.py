"""One canary a round, against everybody: whether the release tells that a phone is not there at all.

All other phones send one update, which the attacker knows, as strong as clipping allows; the canary sends its opposite,
or fails. With a fixed denominator its absence moves the sum by what it would have sent, for which the noise is made.
With a denominator that counts the reports everybody else's updates weigh more as well, in the same direction, and the
move is twice as large. Each round is a trial of its own, with a phone of its own, so that the claim is that of one
participation. The noise is what makes that claim mu = 1, whatever noise the run has: it is the code that is tested, and
with so much noise a few hundred rounds tell.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server_strategy.cohorts import UNIFORM_WEIGHTS, RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.base import sensitivity_of
from server_strategy.privacy.planning import make_privacy_plan
from simulation.studies.audits.canary_phones import LENGTH, Canaries, random_direction
from simulation.studies.audits.canary_play import Observed, play
from simulation.studies.audits.canary_scores import ROWS_A_RELEASE, covariance
from simulation.studies.audits.gaussian_estimate import Estimate, least_squares

GOAL = 10  # phones a round, one of which is the canary
_EVERYBODY = -1  # in the place of a phone's id: what all others send is keyed by it


@dataclass(frozen=True)
class OneCanaryARound:
    """Round r has canary r - 1 in it, and others that take part once."""

    rounds: int
    max_staleness: int = 0
    weighting: str = UNIFORM_WEIGHTS

    @property
    def most_reports(self) -> int:
        """The canary and the others."""
        return GOAL

    @property
    def num_phones(self) -> int:
        """All that ever take part; canaries have the lowest ids."""
        return self.rounds * GOAL

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """The canary of the round and those that come with it."""
        others = self.rounds + (server_round - 1) * (GOAL - 1) + np.arange(GOAL - 1)
        reporters = np.append(server_round - 1, others).astype(np.int64)
        return RoundPlan(reporters=reporters, tokens=np.zeros(GOAL, np.int64))


class Alone(NamedTuple):
    """What the rounds came to."""

    ratio: Estimate  # of the move that was measured to the one for which the noise is made
    shift: float  # that one, in deviations of the noise as it was measured
    observed: Observed


def play_alone(privacy: PrivacyConfig, delta: float, rounds: int, layers: int, seed: int) -> Alone:
    """Play the rounds, and measure how far the absence of a canary moves a release.

    Args:
        privacy: mechanism, clipping and sampler; its amount of noise plays no part.
        delta: of the claim.
        rounds: canaries.
        layers: of an update.
        seed: of what is drawn.

    Raises:
        InputError: settings that do not go together.
    """
    cohort = CohortConfig(goal=GOAL, min_separation_rounds=rounds)
    cohorts = OneCanaryARound(rounds)
    own = replace(
        privacy,
        noise_multiplier=1.0,  # until the sensitivity is known
        target_epsilon=None,
        modelled_cohort=None,
        delta=delta,
        clip_count_stddev=None,
        poisson_counterfactual=False,
    )
    plan = make_privacy_plan(cohort, own, rounds=rounds, num_phones=cohorts.num_phones)
    if plan.mechanism is not None:
        own = replace(own, noise_multiplier=sensitivity_of(plan.mechanism, rounds, rounds, 1) ** 0.5)
        plan = make_privacy_plan(cohort, own, rounds=rounds, num_phones=cohorts.num_phones, mechanism=plan.mechanism)
    sizes = [-(-ROWS_A_RELEASE * rounds // layers)] * layers
    common = random_direction(sizes, seed, _EVERYBODY)
    canaries = Canaries(sizes, rounds, seed, below=rounds, shared=-common)
    observed = play(
        plan,
        cohort,
        cohorts,
        canaries,
        num_phones=cohorts.num_phones,
        optimizer=ServerOptimizerConfig("sgd", 1.0, schedule="constant"),
        out_fails=True,
        common=common * np.float32(LENGTH),
    )
    return _measured(observed, common)


def _measured(observed: Observed, common: NDArray[np.float32]) -> Alone:
    """By generalised least squares, with the covariance over rounds that the noise has where nobody sends anything."""
    along = (observed.releases @ -common).astype(np.float64)  # [rounds]
    rest = observed.releases.astype(np.float64) + np.outer(along, common)
    noise = covariance(rest)  # [rounds, rounds]
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    is_in = np.diag(observed.weights)[: len(along)] * observed.included  # [rounds]; canary r is in round r
    ratio = least_squares(whiten @ is_in, whiten @ along, whiten @ np.ones(len(along)))
    dimension = rest.shape[1]
    # The inverse of a measured covariance is too large on average: that of a Wishart matrix, by d / (d - n - 1).
    unbiased = (dimension - len(along) - 1) / dimension
    return Alone(ratio, float(np.sqrt(np.median(np.diag(np.linalg.inv(noise))) * unbiased)), observed)
