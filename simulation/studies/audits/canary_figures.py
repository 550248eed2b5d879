"""The figures of a canary audit: what releases tell of canaries, held to a claim."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.rounded_up import Bound
from simulation.studies.audits.attack import EVERY_RELEASE, Attack
from simulation.studies.audits.canary_play import Observed
from simulation.studies.audits.canary_scores import Scores, filtered, largest_cosines, of_last_model
from simulation.studies.audits.gaussian_estimate import (
    CONFIDENCE,
    epsilon_of_mu,
    epsilon_of_two_normals,
    fit,
    shift_ratio,
    through,
)
from simulation.studies.audits.lone_canary import Alone
from simulation.studies.audits.one_run import (
    SIGNIFICANCE,
    Guesses,
    best_of,
    epsilon_at_least,
    guesses_both_ways,
    mu_at_least,
)

_SHARES = (0.05, 0.2, 0.5, 1.0)  # of the canaries that are guessed: fixed here, before anything is seen
_FEWEST = 20  # canaries, of whom anything can be said
_SERVER = "somebody who is handed every model"
_ALL = "each noised mean update, which is at least what each released model tells, and which phones took part"
_RANDOM = "canaries' scores are normal, with one deviation, in and out; the most exposed canary is as all others"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is held against the releases."""

    epsilon: float
    delta: float
    is_of: str  # whose it is, in words


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
    yield _estimated(EVERY_RELEASE, _ALL, scores, included=included, claim=claim, details=more)
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
        quantity=f"epsilon at delta {Bound(claim.delta):.2g}, estimated",
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
            quantity=f"epsilon at delta {Bound(claim.delta):.2g}, at least",
            value=least,
            low=least,
            confidence=1 - SIGNIFICANCE,
            bound=claim.epsilon,
            bound_is=claim.is_of,
            details={"guesses": [one.guesses for one in tests], "correct": [one.correct for one in tests]},
        )


def nothing_alone(delta: float) -> Attack:
    """The figure of a lone canary, of rounds that were not played."""
    return Attack(
        name="canaries: one against everybody",
        attacker="somebody who knows the updates of all phones but one, and chose them",
        sees="each noised mean update of rounds that are played for this, with a claim of mu = 1 for one participation",
        assumes="noise that is normal, with what it has in common over rounds as measured where nobody sends anything",
        quantity=f"epsilon at delta {Bound(delta):.2g}, estimated",
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
        nothing_alone(delta),
        value=epsilon.value,
        low=epsilon.low,
        high=epsilon.high,
        confidence=CONFIDENCE,
        bound=played.observed.spent.epsilon,
        bound_is="claimed of one participation in these rounds, by their accounting",
        details={"rounds": len(played.observed.releases), "move": played.ratio.value},
    )


def without_a_claim() -> Attack:
    """The figure of a run without noise."""
    return Attack(
        name="canaries: all releases",
        attacker=_SERVER,
        sees=_ALL,
        assumes=_RANDOM,
        quantity="epsilon",
        value=None,
        bound_is="none: there is no noise, and no claim",
        why="without noise whoever knows the other updates reads each from the sum: no epsilon is finite",
    )


def _too_few(canaries: int, claim: Claim) -> Attack:
    return Attack(
        name="canaries: all releases",
        attacker=_SERVER,
        sees=_ALL,
        assumes=_RANDOM,
        quantity=f"epsilon at delta {Bound(claim.delta):.2g}, estimated",
        value=None,
        bound=claim.epsilon,
        bound_is=claim.is_of,
        why=f"{canaries} phones took part, too few for {_FEWEST} that are in and {_FEWEST} that are out",
    )
