"""What a vocabulary costs that is counted on phones with noise, and how that cost joins the one of training.

Partition selection with Gaussian noise and a threshold. Each phone gives at most k words, each the weight 1/sqrt(n),
n being how many it gives; so all that one phone gives has L2 norm 1. Every word that any phone gave gets the sum of
its weights and noise of deviation s; those above a threshold T enter.

A word that other phones gave as well is one coordinate of a Gaussian mechanism of sensitivity 1: rho = 1 / (2 s^2)
(Bun and Steinke 2016, arXiv:1605.02065, Prop. 1.6). A word that one phone alone gave is none without that phone, so
it must not enter. Of t such words some one does with probability 1 - Phi((T - 1/sqrt(t)) / s)^t at most, each having
the largest weight that t words can have, and T is the smallest number with which that is at most delta_T for every
t <= k (Gopi et al. 2020, arXiv:2002.09745, Algorithm 5). The noise of the words is independent, so that given that
none of them entered, all others are as likely as by the Gaussian mechanism: the vocabulary, in the order of its noised
weights, is delta_T-approximate rho-zCDP in both directions, whether the phone's words are replaced by none or the phone
by its absence (Bun and Steinke, Section 8; Rogers 2023, arXiv:2309.09170).

Composed with training: rho adds, and of the run's delta what the threshold leaves is what rho is translated with,

    delta = delta_T + (1 - delta_T) delta'       (Bun and Steinke, Lemmas 8.2 and 8.8)

so that the run's delta stays the one that it states. The exact epsilon of such a selection alone (Wilkins et al. 2024,
arXiv:2202.01100, Theorem 2, carried over to these weights) is smaller; the tests hold this bound against it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are first used

from server_strategy.privacy.accounting import epsilon_by_rdp, gaussian_rho, noise_multiplier_for, rho_for
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.rounded_up import Bound
from typefleet.errors import ConfigError, expected

DELTA_SHARE = 0.1
"""Of the run's delta that the threshold takes. What is left costs training next to nothing (at epsilon 6.4, 0.02),
and the threshold is a twentieth higher than with half of it."""
DELTA_RULE = "a tenth of the run's"
_GRID = 400  # steps in which the weight of a word of several phones is tried
_ROUNDED_UP = 1 + 1e-12  # the threshold, by more than the last digits of its formula


@dataclass(frozen=True)
class VocabularyCost:
    """A selection of words and what it costs; `plan.vocabulary`."""

    epsilon: float  # of the selection alone, at the run's delta, by Renyi orders
    rho: float
    delta: float  # that words of one phone alone enter
    words_per_phone: int
    noise_stddev: float  # on the weight of a word; one phone's weights have L2 norm 1 at most
    threshold: float  # in the same units

    def chance_of(self, weight: float) -> float:
        """Probability that a word of this weight enters, 1/sqrt(n) from each phone that gave n words."""
        return float(scipy.special.ndtr((weight - self.threshold) / self.noise_stddev))

    @property
    def phones_for_half(self) -> int:
        """Phones with a full list that have to give a word for it to enter in half of all cases."""
        return math.ceil(self.threshold * math.sqrt(self.words_per_phone))

    @classmethod
    def from_json(cls, values: Any) -> "VocabularyCost | None":
        """Inverse of `dataclasses.asdict`; None stays None.

        Raises:
            ConfigError: it is no such cost, or states less than its own noise and threshold cost.
        """
        if values is None:
            return None
        if not isinstance(values, Mapping) or values.keys() != {f.name for f in fields(cls)}:
            raise _no_cost()
        if any(type(value) not in (int, float) or not 0 < value < math.inf for value in values.values()):
            raise _no_cost()
        cost = cls(**{**values, "words_per_phone": int(values["words_per_phone"])})
        if cost.delta >= 1 or cost.words_per_phone != values["words_per_phone"]:
            raise _no_cost()
        true = gaussian_rho(cost.noise_stddev, 1.0)
        least = selection_threshold(cost.noise_stddev, cost.delta, cost.words_per_phone)
        if true > cost.rho * (1 + 1e-9) or least > cost.threshold * (1 + 1e-9):
            stated = f"rho {cost.rho:.6g} and threshold {cost.threshold:.6g}"
            raise ConfigError(expected("the vocabulary of the plan", f"rho {true:.6g}, threshold {least:.6g}", stated))
        return cost


def _no_cost() -> ConfigError:
    return ConfigError(expected("the plan on record", "a vocabulary with its cost", "another value"))


def selection_threshold(noise_stddev: float, delta: float, words_per_phone: int) -> float:
    """The smallest threshold that words of one phone alone pass, any of up to so many, with at most this probability.

    Args:
        noise_stddev: of the noise on each weight.
        delta: the probability.
        words_per_phone: most words of one phone.
    """
    t = np.arange(1, words_per_phone + 1, dtype=np.float64)
    each = -np.expm1(np.log1p(-delta) / t)  # for one word: 1 - (1 - delta)^(1/t)
    return float((1 / np.sqrt(t) - noise_stddev * scipy.special.ndtri(each)).max()) * _ROUNDED_UP


def vocabulary_cost(
    epsilon: float, delta: float, words_per_phone: int, of: str = "--privacy.vocabulary-epsilon"
) -> VocabularyCost:
    """The selection whose vocabulary alone is within an epsilon at a run's delta.

    Args:
        epsilon: by Renyi orders, as the run's.
        delta: of the whole run.
        words_per_phone: words that one phone gives, at most.
        of: the flag that asks for the epsilon, for the message.

    Raises:
        InputError: no noise meets that epsilon.
    """
    of_threshold = DELTA_SHARE * delta
    rho = rho_for(epsilon, _left_of(delta, of_threshold), of)
    stddev = (2 * rho) ** -0.5
    while gaussian_rho(stddev, 1.0) > rho:
        stddev *= _ROUNDED_UP
    threshold = selection_threshold(stddev, of_threshold, words_per_phone)
    return VocabularyCost(
        epsilon, rho, of_threshold, words_per_phone=words_per_phone, noise_stddev=stddev, threshold=threshold
    )


def planned_vocabulary(privacy: PrivacyConfig, delta: float) -> VocabularyCost | None:
    """The selection that settings ask for, of words that are counted on phones; None if they leave it outside.

    It is part of the guarantee unless somebody says otherwise. Weights that are noised hide what one phone wrote; a
    list of words shows it in plain letters, and it stands in every exported file, so a run whose epsilon is about the
    first and not about the second would be read as if it were about both.

    Raises:
        InputError: no noise meets the epsilon.
    """
    if privacy.vocabulary_epsilon == "none":
        return None
    return vocabulary_cost(privacy.vocabulary_epsilon, delta, privacy.vocabulary_words_per_phone)


def vocabulary_rho(cost: VocabularyCost | None) -> float:
    """What the vocabulary adds to the zCDP of training; 0 where no phone is asked for words, or it is outside."""
    return 0.0 if cost is None else cost.rho


def delta_beside(cost: VocabularyCost | None, delta: float) -> float:
    """What is left of a run's delta to translate rho with, beside the threshold's part: `delta'` above.

    Raises:
        ConfigError: nothing is left.
    """
    if cost is None:
        return delta
    if cost.delta >= delta:
        raise ConfigError(expected("the vocabulary of the plan", f"a delta < {delta:g}", f"{cost.delta:g}"))
    return _left_of(delta, cost.delta)


def group_delta(cost: VocabularyCost, phones: int) -> float:
    """Bound on the probability that a word which only these phones gave enters.

    A word of weight a that j of them gave passes with Q(a) = 1 - Phi((T - a) / s). What each gave it squares to at
    least a^2 / j together, and of one phone these squares sum to 1, so that the sum of Q(a) over all such words is at
    most k times the largest j Q(a) / a^2, with j <= k and j / sqrt(words of a phone) <= a <= j.
    """
    worst = 0.0
    for j in range(1, phones + 1):
        a = np.geomspace(j / math.sqrt(cost.words_per_phone), j, _GRID)
        passes = scipy.special.ndtr((np.append(a[1:], j) - cost.threshold) / cost.noise_stddev)  # at the end of a step
        worst = max(worst, float((j * passes / a**2).max()))  # and the square at its begin: no less in between
    return min(1.0, phones * worst)


def group_delta_beside(cost: VocabularyCost | None, delta: float, phones: int) -> float | None:
    """What is left of delta to translate a group's rho with; None if words of the group alone take all of it."""
    if cost is None:
        return delta
    of_words = cost.delta if phones == 1 else group_delta(cost, phones)
    return None if of_words >= delta else _left_of(delta, of_words)


def noise_multiplier_beside(
    cost: VocabularyCost | None, target_epsilon: float, delta: float, sensitivity_squared: float
) -> float:
    """The smallest noise multiplier (to 1e-9, rounded up) with which training and vocabulary meet a target.

    Raises:
        ConfigError: the vocabulary alone takes all of it.
        InputError: no noise meets the target.
    """
    if cost is None:
        return noise_multiplier_for(target_epsilon, delta, sensitivity_squared)
    translated = delta_beside(cost, delta)
    left = rho_for(target_epsilon, translated, "--privacy.target-epsilon") - cost.rho
    if left <= 0:
        most = f"a number < --privacy.target-epsilon = {target_epsilon:g}, so that something is left for training"
        raise ConfigError(expected("--privacy.vocabulary-epsilon", most, f"{Bound(cost.epsilon):.6g}"))
    z = math.sqrt(sensitivity_squared / (2 * left))
    while epsilon_by_rdp(gaussian_rho(z, sensitivity_squared) + cost.rho, translated) > target_epsilon:
        z *= 1 + 1e-9
    return z


def _left_of(delta: float, of_threshold: float) -> float:
    """delta' with delta = of_threshold + (1 - of_threshold) delta'."""
    return (delta - of_threshold) / (1 - of_threshold)
