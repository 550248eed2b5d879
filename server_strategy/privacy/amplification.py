"""What epsilon would be if phones were sampled at random: counterfactuals, never a claim about a run.

Availability decides who takes part here, which is no random sampling, so nothing of this enters rho or epsilon. It is
computed for whoever asks what a deployment would gain that could sample.

* Independent noise, Poisson sampling: each phone joins each round by an independent coin of share q = cohort /
  population; rounds compositions of the sampled Gaussian mechanism (Abadi et al., arXiv:1607.00133).
* Banded noise, cyclic Poisson sampling: with b bands the phones are divided beforehand into b groups of equal size;
  round t asks group t mod b alone, each of whose phones joins by an independent coin of share q = b cohort /
  population. Two rounds of one group are b apart, so no two of their columns meet in a row, and the releases cost at
  most what ceil(rounds / b) sampled Gaussian mechanisms do, with the noise over the largest norm of a column
  (Choquette-Choo et al., arXiv:2306.08153, Theorem 4). One band is the case above.
  Balls in bins, where each phone draws its group once, is said to gain more. Its epsilon is an estimate by Monte Carlo
  (arXiv:2410.06266): dp-accounting has none, so that one of our own could be held to nothing, and none is given.
* Tree and BLT: their columns meet, and no reduction to the sampled Gaussian mechanism is known. Numerical bounds for
  any matrix exist (conditional composition, arXiv:2310.15526; balls in bins by Monte Carlo, arXiv:2410.06266) and are
  not computed here.

A phone whose update is zero and one that is not there are the same to a sum with a fixed clip norm, so both adjacencies
have the same counterfactual. With a clip norm that adapts the count would have to be sampled with it: none is given.
"""

from dataclasses import dataclass

from server_strategy.privacy.accounting import epsilon_if_poisson
from server_strategy.privacy.mechanisms.base import Mechanism, sensitivity_of

POISSON, CYCLIC = "Poisson", "cyclic Poisson"
_NO_REDUCTION = (
    "no reduction to the sampled Gaussian mechanism is known for {}; numerical bounds for any matrix "
    "(arXiv:2310.15526, arXiv:2410.06266) are not computed here"
)


@dataclass(frozen=True)
class Counterfactual:
    """An epsilon under a sampling that did not happen; or why there is none.

    Attributes:
        sampling: its name; None without one.
        epsilon: had it happened; None if there is none.
        words: what is supposed, or why there is none: the end of a sentence.
        share: by which a phone joins each of the rounds in which it is asked.
        turns: rounds in which it is asked.
    """

    sampling: str | None
    epsilon: float | None
    words: str
    share: float | None = None
    turns: int | None = None


def has_counterfactual(mechanism: Mechanism | type[Mechanism] | None) -> bool:
    """Whether a result is known for a mechanism, or for those of a class."""
    return mechanism is not None and (mechanism.independent or hasattr(mechanism, "cyclic_bands"))


def counterfactual(
    mechanism: Mechanism, noise_multiplier: float, *, cohort: int, population: int, rounds: int, delta: float
) -> Counterfactual:
    """Epsilon of the releases of a mechanism, had phones been sampled at random in the way that is known for it.

    Args:
        mechanism: with a fixed clip norm.
        noise_multiplier: deviation of its draws over the clip norm.
        cohort: phones a round, on average.
        population: all phones.
        rounds: releases.
        delta: of (epsilon, delta).
    """
    if not has_counterfactual(mechanism):
        return Counterfactual(None, None, _NO_REDUCTION.format(mechanism.name))
    bands = 1 if mechanism.independent else min(int(getattr(mechanism, "cyclic_bands")), rounds)  # noqa: B009
    share = bands * cohort / population
    if share > 1:
        few = f"{bands:,} groups, as many as bands, of the {population:,} phones have fewer than {cohort:,} each"
        return Counterfactual(CYCLIC if bands > 1 else POISSON, None, few)
    alone = noise_multiplier / sensitivity_of(mechanism, rounds, rounds, 1) ** 0.5  # of one participation
    turns = -(-rounds // bands)
    epsilon = epsilon_if_poisson(alone, share, turns, delta)
    if bands == 1:
        words = f"had each phone joined each round by an independent coin of {share:.4g}"
        return Counterfactual(POISSON, epsilon, words, share, turns)
    words = (
        f"had the phones been divided into {bands:,} groups that take turns, and each phone of the group joined by an "
        f"independent coin of {share:.4g}"
    )
    return Counterfactual(CYCLIC, epsilon, words, share, turns)
