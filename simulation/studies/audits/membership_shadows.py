"""Scores of who took part: from a model's loss on each person's text, by itself and beside that of other models.

* `LOSS`: how well the model predicts the person's text, by itself;
* `CALIBRATED`: how much better than the starting weights do, which are public (Watson et al. 2022, "On the importance
  of difficulty calibration in membership inference attacks", arXiv:2111.08440);
* `SHADOWS`: whether it is nearer to models that were trained in the same way with the person, or to those without: the
  likelihood ratio of two normals of one deviation (Carlini et al. 2022, "Membership inference attacks from first
  principles", arXiv:2112.03570, section V). There are few such models, so what they tell of one person is mixed with
  what they tell of all: of the gap between the two the person's own and the mean one count alike, of the variance the
  pooled one counts as four models. (Both were chosen on a fleet of another seed than any that is reported.)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import SUM, Protection

LOSS, CALIBRATED, SHADOWS = "loss", "calibrated", "shadows"
COHORT, GOAL = 40, 20  # phones planned in a round; and what its sum is divided by, as many as coins leave in
_POOLED = 4  # models that the variance of all people counts as


class Shadow(NamedTuple):
    """A model that the attacker trained without protection."""

    is_in: NDArray[np.bool_]  # [people], whom it was trained with
    losses: NDArray[np.float64]  # [people]


def in_rounds(people: NDArray[np.int64], most_rounds: int) -> NDArray[np.int64]:
    """As many of them as fill rounds, in order: int64 [rounds, phones].

    Args:
        people: ids, as many as a round has or more.
        most_rounds: at most.
    """
    rounds = min(most_rounds, len(people) // COHORT)
    return people[: rounds * COHORT].reshape(rounds, COHORT)


def shadow_coins(phones: int, shadows: int, seed: int) -> list[NDArray[np.bool_]]:
    """Who is in each shadow model, bool [phones] each: of two that follow one another everybody is in one.

    Args:
        phones: number of them.
        shadows: number of models, even.
        seed: of the coins.
    """
    halves = [generator(seed, "coin of a shadow", pair).random(phones) < 0.5 for pair in range(shadows // 2)]
    return [coins for half in halves for coins in (half, ~half)]


def scores_of(
    losses: NDArray[np.float64], start: NDArray[np.float64], shadows: Sequence[Shadow] = ()
) -> dict[str, NDArray[np.float64]]:
    """Each score by name, float64 [people], larger of who rather was a member.

    Args:
        losses: of the model that is attacked, float64 [people].
        start: of the starting weights, float64 [people].
        shadows: each person is in one of them and out of another, at least; or there are none.
    """
    found = {LOSS: -losses, CALIBRATED: start - losses}
    if shadows:
        found[SHADOWS] = _likelihood_ratio(losses, shadows)
    return found


def _likelihood_ratio(losses: NDArray[np.float64], shadows: Sequence[Shadow]) -> NDArray[np.float64]:
    """Logarithm of that of two normals, with a person in and out: float64 [people]."""
    of_all, is_in = np.stack([one.losses for one in shadows]), np.stack([one.is_in for one in shadows])
    inside, outside = ((of_all * chosen).sum(0) / chosen.sum(0) for chosen in (is_in, ~is_in))  # [people] each
    squares = np.square(of_all - np.where(is_in, inside, outside)).sum(0)  # [people]
    own = len(shadows) - 2  # degrees of freedom: two means are known
    pooled = squares.mean() / own if own else 1.0
    variance = (squares + _POOLED * pooled) / (own + _POOLED)
    gap = outside - inside
    ratio: NDArray[np.float64] = (gap + gap.mean()) / 2 * ((inside + outside) / 2 - losses) / variance
    return ratio


def trained_shadows(
    training: ProtectedTraining, order: NDArray[np.int64], number: int, advance: Callable[[], None]
) -> list[Shadow]:
    """Models of random halves of people, without protection.

    Args:
        training: that makes them.
        order: people of each round, int64 [rounds, phones].
        number: of models, even.
        advance: called after each.
    """
    found = []
    for is_in in shadow_coins(order.size, number, training.subject.seed):
        flat = training.trained(order, Protection(SUM), sends=is_in.reshape(order.shape), goal=GOAL)
        found.append(Shadow(is_in, training.losses(flat, order.ravel())))
        advance()
    return found
