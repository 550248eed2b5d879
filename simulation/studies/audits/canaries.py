"""The canary audit: what the releases of one run tell of phones whose updates are known to be in them, or not.

The run's fleet, cohorts, separation, clipping, mechanism and server step are played again; every phone that takes part
is a canary (`canary_phones`), and nothing is trained. Five figures come of it, each an epsilon at the claim's delta:

* all releases: estimated from the filter's scores (`canary_scores`, `gaussian_estimate`);
* the last model alone, estimated as well;
* at least, against (epsilon, delta), and against the Gaussian trade-off: bounds that hold whatever the scores
  (`one_run`);
* a lone canary against everybody (`lone_canary`), of one participation.

The epsilon of a modelled deployment is claimed of that deployment, so its noise is what is attacked; of the run itself,
which has a small part of that noise, one figure more says what it tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.config import CohortConfig
from server_strategy.privacy.plan import PrivacyPlan
from simulation.run.directory import RunDirectory
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.canary_phones import Canaries
from simulation.studies.audits.canary_play import Observed, as_deployed, play
from simulation.studies.audits.canary_scores import (
    ROWS_A_RELEASE,
    Scores,
    filtered,
    largest_cosines,
    of_last_model,
)
from simulation.studies.audits.gaussian_estimate import (
    CONFIDENCE,
    epsilon_of_mu,
    epsilon_of_two_normals,
    fit,
    shift_ratio,
    through,
)
from simulation.studies.audits.lone_canary import Alone, play_alone
from simulation.studies.audits.one_run import (
    SIGNIFICANCE,
    Guesses,
    best_of,
    epsilon_at_least,
    guesses_both_ways,
    mu_at_least,
)
from typefleet.errors import ConfigError, InputError, expected

_SHARES = (0.05, 0.2, 0.5, 1.0)  # of the canaries that are guessed: fixed here, before anything is seen
_FEWEST = 20  # canaries, of whom anything can be said
_SERVER = "somebody who is handed every model"
_ALL = "each noised mean update, which is at least what each released model tells, and which phones took part"
_RANDOM = "canaries' scores are normal, with one deviation, in and out; the most exposed canary is as all others"


@dataclass(frozen=True)
class Effort:
    """How much is played.

    Attributes:
        canaries: at most.
        dimension: weights of an update, at least.
        lone_rounds: rounds with one canary.
    """

    canaries: int
    dimension: int
    lone_rounds: int

    @staticmethod
    def of(quick: bool) -> "Effort":
        """Of an audit that is quick, or not."""
        return Effort(1000, 8192, 256) if quick else Effort(3000, 16_384, 512)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is held against the releases."""

    epsilon: float
    delta: float
    is_of: str  # whose it is, in words


def attack(subject: Subject) -> list[Attack]:
    """Carry out the audit.

    Args:
        subject: a run, or settings.

    Raises:
        InputError: settings or files that cannot be used, or no release.
    """
    plan, config = subject.prepared.plan, subject.prepared.config
    if (nothing := not_playable(plan)) is not None:
        return [nothing]
    effort = Effort.of(subject.quick)
    deployed, cohort = as_deployed(plan, config.cohort)
    observed = _play(subject, deployed, cohort, effort)
    claim = claim_of(subject, plan, observed)
    found = list(figures(observed, claim))
    found.append(_alone(subject, claim.delta, effort))
    if plan.modelled_cohort is not None:
        found.append(of_the_run_itself(_play(subject, plan, config.cohort, effort), plan))
    return found


def _play(subject: Subject, plan: PrivacyPlan, cohort: CohortConfig, effort: Effort) -> Observed:
    prepared = subject.prepared
    return play_on_fleet(subject, plan, cohort, effort, releases_made(subject, prepared.plan))


def play_on_fleet(
    subject: Subject, plan: PrivacyPlan, cohort: CohortConfig, effort: Effort, most_releases: int
) -> Observed:
    """Play rounds with canaries on the subject's fleet.

    Args:
        subject: whose fleet, round policy and server optimizer.
        plan, cohort: what is played.
        effort: how much.
        most_releases: stop after so many.

    Raises:
        ConfigError: nothing was released.
    """
    prepared = subject.prepared
    layers = len(prepared.shape.weight_shapes()) if plan.clip_scope == "layer" else 1
    sizes = [-(-max(effort.dimension, ROWS_A_RELEASE * plan.rounds) // layers)] * layers
    return play(
        plan,
        cohort,
        prepared.open_world(),
        Canaries(sizes, effort.canaries, subject.seed),
        num_phones=prepared.fleet.num_phones,
        optimizer=prepared.config.server_optimizer,
        most_releases=most_releases,
    )


def releases_made(subject: Subject, plan: PrivacyPlan) -> int:
    """Of the run, which may have ended early."""
    if subject.run_dir is None:
        return plan.rounds
    made = RunDirectory(subject.run_dir).read_summary().rounds_completed
    if made < 1:
        raise ConfigError(expected(subject.run_dir, "a run with a completed round", "none"))
    return made


def claim_of(subject: Subject, plan: PrivacyPlan, observed: Observed) -> Claim:
    """The run's own claim; of settings alone, what their accounting says of the rounds that were played."""
    epsilon, delta = observed.spent.epsilon, observed.spent.delta
    whose = f"claimed of {plan.epsilon_is_of}, by the accounting of the rounds that were played"
    if subject.run_dir is not None:
        summary = RunDirectory(subject.run_dir).read_summary()
        epsilon, whose = summary.epsilon, f"claimed by the run, of {plan.epsilon_is_of}"
    if epsilon is None or delta is None:
        raise ConfigError(expected("the audit of canaries", "a claim of epsilon", "none"))
    return Claim(epsilon=epsilon, delta=delta, is_of=whose)


# Figures ------------------------------------------------------------------------------------------------


def figures(observed: Observed, claim: Claim) -> Iterator[Attack]:
    """What releases tell of canaries, in four figures.

    Args:
        observed: the releases.
        claim: that they are held to.
    """
    included = observed.included
    if min(int(included.sum()), int((~included).sum())) < _FEWEST:
        yield _too_few(len(included), claim)
        return
    scores = filtered(observed)
    cosines = largest_cosines(observed)
    by_cosine = epsilon_of_two_normals(fit(cosines[~included]), fit(cosines[included]), claim.delta)
    more = {"by_largest_cosine": by_cosine, **_counted(observed)}
    yield _estimated("all releases", _ALL, scores, included=included, claim=claim, details=more)
    last = "the last model and the first; not who took part when"
    details = _counted(observed)
    yield _estimated("last model", last, of_last_model(observed), included=included, claim=claim, details=details)
    yield from _bounded(scores, included, claim)


def _counted(observed: Observed) -> dict[str, Any]:
    releases, dimension = observed.releases.shape
    included = observed.included
    return {
        "canaries": len(included),
        "canaries_in": int(included.sum()),
        "releases": releases,
        "dimension": dimension,
        "most_participations": int((observed.weights > 0).sum(axis=1).max()),
    }


def _estimated(
    what: str, sees: str, scores: Scores, *, included: NDArray[np.bool_], claim: Claim, details: dict[str, Any]
) -> Attack:
    ratio = shift_ratio(scores.scores, scores.shifts, included)
    epsilon = through(ratio, lambda x: epsilon_of_mu(x * scores.most, claim.delta))
    mu = through(ratio, lambda x: x * scores.most)
    return Attack(
        name=f"canaries: {what}",
        attacker=_SERVER,
        sees=sees,
        assumes=_RANDOM,
        quantity=f"epsilon at delta {claim.delta:.2g}, estimated",
        value=epsilon.value,
        low=epsilon.low,
        high=epsilon.high,
        confidence=CONFIDENCE,
        bound=claim.epsilon,
        bound_is=claim.is_of,
        details={**details, "mu": mu.value, "mu_low": mu.low, "mu_high": mu.high},
    )


def _bounded(scores: Scores, included: NDArray[np.bool_], claim: Claim) -> Iterator[Attack]:
    """Bounds that hold whatever the scores; canaries are sorted by what the log-likelihood ratio of normal ones is."""
    likelier = scores.shifts * (scores.scores - scores.shifts / 2)
    tests = guesses_both_ways(likelier, included, _SHARES)
    each = SIGNIFICANCE / len(tests)

    def of_gaussian(one: Guesses) -> float:
        return epsilon_of_mu(mu_at_least(one, each), claim.delta)

    coins = "nothing but the coins by which canaries are in or out"
    for what, assumes, bound in (
        ("at least, whatever the noise", coins, partial(epsilon_at_least, delta=claim.delta, significance=each)),
        ("at least, of Gaussian noise", f"{coins}, and that the claim is one of Gaussian noise", of_gaussian),
    ):
        least = best_of(tests, bound)
        yield Attack(
            name=f"canaries: {what}",
            attacker=_SERVER,
            sees=_ALL,
            assumes=assumes,
            quantity=f"epsilon at delta {claim.delta:.2g}, at least",
            value=least,
            low=least,
            confidence=1 - SIGNIFICANCE,
            bound=claim.epsilon,
            bound_is=claim.is_of,
            details={"guesses": [one.guesses for one in tests], "correct": [one.correct for one in tests]},
        )


def _alone(subject: Subject, delta: float, effort: Effort) -> Attack:
    privacy, prepared = subject.prepared.config.privacy, subject.prepared
    layers = len(prepared.shape.weight_shapes()) if prepared.plan.clip_scope == "layer" else 1
    try:
        return alone(play_alone(privacy, delta, effort.lone_rounds, layers, subject.seed), delta)
    except InputError as error:  # a mechanism whose settings are for other rounds than these
        return replace(_nothing_alone(delta), why=str(error))


def _nothing_alone(delta: float) -> Attack:
    return Attack(
        name="canaries: one against everybody",
        attacker="somebody who knows the updates of all phones but one, and chose them",
        sees="each noised mean update of rounds that are played for this, with a claim of mu = 1 for one participation",
        assumes="noise that is normal, with what it has in common over rounds as measured where nobody sends anything",
        quantity=f"epsilon at delta {delta:.2g}, estimated",
        value=None,
        bound_is="none: these rounds could not be played",
    )


def alone(played: Alone, delta: float) -> Attack:
    """What a lone canary came to.

    Args:
        played: by `lone_canary.play_alone`.
        delta: of the claim.
    """
    epsilon = through(played.ratio, lambda x: epsilon_of_mu(x * played.shift, delta))
    return replace(
        _nothing_alone(delta),
        value=epsilon.value,
        low=epsilon.low,
        high=epsilon.high,
        confidence=CONFIDENCE,
        bound=played.observed.spent.epsilon,
        bound_is="claimed of one participation in these rounds, by their accounting",
        details={"rounds": len(played.observed.releases), "move": played.ratio.value},
    )


def of_the_run_itself(observed: Observed, plan: PrivacyPlan) -> Attack:
    """The same as of the deployment that is modelled, with the noise that the run itself has."""
    claim = Claim(epsilon=0.0, delta=plan.delta or 0.0, is_of="")
    (found, *_) = figures(observed, claim)
    return replace(
        found,
        name="canaries: this run by itself",
        bound=None,
        bound_is=f"none: what is claimed is of {plan.epsilon_is_of}, and not of the run",
    )


def not_playable(plan: PrivacyPlan) -> Attack | None:
    """Why canaries cannot be played under a plan; None: they can."""
    if plan.mechanism is None or plan.delta is None:
        bound_is = "none: there is no noise, and no claim"
        why = "without noise whoever knows the other updates reads each from the sum: no epsilon is finite"
    elif plan.phone_noise is not None:
        bound_is = "none: these rounds could not be played"
        why = "the phones add the noise of this run, and the phones that are played here add none"
    else:
        return None
    return Attack(
        name="canaries: all releases",
        attacker=_SERVER,
        sees=_ALL,
        assumes=_RANDOM,
        quantity="epsilon",
        value=None,
        bound_is=bound_is,
        why=why,
    )


def _too_few(canaries: int, claim: Claim) -> Attack:
    return Attack(
        name="canaries: all releases",
        attacker=_SERVER,
        sees=_ALL,
        assumes=_RANDOM,
        quantity=f"epsilon at delta {claim.delta:.2g}, estimated",
        value=None,
        bound=claim.epsilon,
        bound_is=claim.is_of,
        why=f"{canaries} phones took part, too few for {_FEWEST} that are in and {_FEWEST} that are out",
    )
