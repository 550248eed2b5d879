"""Which words a phone wrote, guessed from an update, or from a sum of updates, of a next-word model.

Cross-entropy moves the output bias of every word that was written up by how often it was written, and that of every
word down by the probability that it was given; so the sign of the bias tells the words of a phone (Suliman and Leith
2022, arXiv:2210.16947, section 4, who read them from the output layer). A tied embedding tells more: only rows of words
that were read or written move by much (Gupta et al. 2022, arXiv:2205.08514, section 4.1, on the embedding's gradient).

Two attacks:

* `words_by_sign` needs nothing but the update: every word whose output bias rose.
* `WordAttack` weighs the evidence for each word (`word_evidence`) against how common it is, by logistic regression on
  the sums of people whose words the attacker knows. It learns how much an observation is worth under whatever protects
  it; where that is nothing, it guesses common words, and is no worse than guessing.

Example:
    >>> import numpy as np
    >>> bias = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0.02, -0.001, 0.004], np.float32)  # the first 8 are no words
    >>> np.flatnonzero(words_by_sign(bias)).tolist()
    [8, 10]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.vocabulary import FIRST_WORD

_TINY = 1e-12
_RIDGE = 1.0  # keeps evidence that separates perfectly at a finite weight
_STEPS, _ENOUGH = 30, 1e-7  # Newton steps at most; what one gains in loss per example, or changes, that ends them


def words_by_sign(bias: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """The words whose output bias rose: bool [V].

    Args:
        bias: of an update or a sum of updates, float [V].
    """
    rose: NDArray[np.bool_] = bias > 0
    rose[:FIRST_WORD] = False
    return rose


def word_evidence(bias: NDArray[np.floating[Any]], rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """What an update, or a sum of updates, says of each word: float32 [V, 2].

    Args:
        bias: of the output, float [V].
        rows: of the embedding, float [V, D].

    Returns:
        The change of the output bias, and the L2 norm of the row's change.
    """
    evidence: NDArray[np.float32] = np.stack([bias, np.sqrt(np.square(rows).sum(1))], 1).astype(np.float32)
    return evidence


@dataclass(frozen=True)
class WordPrior:
    """How common each word is, as the attacker knows it without any update.

    Attributes:
        columns: of each word, the logarithm of its place in the vocabulary, which is sorted by how common words are,
            and the log-odds that somebody wrote it, from people whose updates are not attacked.
    """

    columns: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def of(cls, written: NDArray[np.bool_]) -> "WordPrior":
        """From the words of some people.

        Args:
            written: by each of them, bool [people, V].
        """
        people, size = written.shape
        share = (written.sum(0) + 0.5) / (people + 1)  # [V]
        rank = np.arange(size) + 1.0
        return cls((tuple(np.log(rank).tolist()), tuple(np.log(share / (1 - share)).tolist())))

    def features(self) -> NDArray[np.float32]:
        """Of each word: float32 [V, 2]."""
        return np.array(self.columns, np.float32).T


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -logits))
    return shares


def logistic_regression(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of a logistic regression, float64 [features], by Newton's method, its steps halved until they help.

    Args:
        x: float64 [examples, features]; the first is 1 throughout, and is not shrunk.
        y: float64 [examples], the share of each example's trials that came true.
    """
    examples, features = x.shape
    ridge = np.full(features, _RIDGE)
    ridge[0] = 0.0
    weights = np.zeros(features)
    mean = np.clip(y.mean(), _TINY, 1 - _TINY)
    weights[0] = np.log(mean / (1 - mean))

    def loss(of: NDArray[np.float64]) -> float:
        logits = x @ of  # [examples]
        return float((np.logaddexp(0.0, logits) - y * logits).sum() + ridge @ np.square(of) / 2)

    now = loss(weights)
    for _ in range(_STEPS):
        p = _sigmoid(x @ weights)  # [examples]
        gradient = x.T @ (y - p) - ridge * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge + _TINY * examples)
        change = np.linalg.solve(curvature, gradient)
        while (reached := loss(weights + change)) > now and np.abs(change).max() > _ENOUGH:
            change = change / 2
        if reached > now:
            break
        weights, gained, now = weights + change, now - reached, reached
        if gained < _ENOUGH * examples:
            break
    return weights


@dataclass(frozen=True)
class _Scale:
    """What makes features of one size: of the evidence, by asinh, since it spans orders of magnitude."""

    unit: tuple[float, ...]  # of both kinds of evidence
    mean: tuple[float, ...]  # of all features
    stddev: tuple[float, ...]


def _unscaled(
    prior: NDArray[np.float32], evidence: NDArray[np.float32], unit: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Features of examples before they are standardised: float64 [examples, features]."""
    rank, share = prior.T
    seen = np.arcsinh(evidence / unit).T  # [2, examples]
    features: NDArray[np.float64] = np.stack([rank, share, np.square(share), *seen, *(share * seen)], 1).astype(
        np.float64
    )
    return features


@dataclass(frozen=True)
class WordAttack:
    """Guesses the words behind an update or a sum; made by `fitted`."""

    prior: WordPrior
    scale: _Scale
    weights: tuple[float, ...]

    @classmethod
    def fitted(cls, prior: WordPrior, evidence: NDArray[np.float32], share: NDArray[np.float64]) -> "WordAttack":
        """Learn from sums whose people's words the attacker knows.

        Args:
            prior: how common words are.
            evidence: of each sum, float32 [sums, V, 2].
            share: of the phones in each sum who wrote each word, float64 [sums, V]; of the attack on the words of
                anybody, 0 or 1.
        """
        sums = len(evidence)
        of_words = evidence[:, FIRST_WORD:].reshape(-1, evidence.shape[2])  # [sums * words, 2]
        unit = np.maximum(np.median(np.abs(of_words), 0).astype(np.float64), _TINY)
        common = np.tile(prior.features()[FIRST_WORD:], (sums, 1))
        x = _unscaled(common, of_words, unit)
        mean, stddev = x.mean(0), np.maximum(x.std(0), _TINY)
        x = np.concatenate([np.ones((len(x), 1)), (x - mean) / stddev], 1)
        weights = logistic_regression(x, share[:, FIRST_WORD:].ravel().astype(np.float64))
        scale = _Scale(tuple(unit.tolist()), tuple(mean.tolist()), tuple(stddev.tolist()))
        return cls(prior, scale, tuple(weights.tolist()))

    def probabilities(self, evidence: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each word, that it was written: float64 [V]; 0 of what is no word.

        Args:
            evidence: of one sum, float32 [V, 2].
        """
        found = np.zeros(len(evidence))
        x = _unscaled(self.prior.features()[FIRST_WORD:], evidence[FIRST_WORD:], np.array(self.scale.unit))
        x = (x - np.array(self.scale.mean)) / np.array(self.scale.stddev)
        weights = np.array(self.weights)
        found[FIRST_WORD:] = _sigmoid(weights[0] + x @ weights[1:])
        return found


def best_guesses(score: NDArray[np.float64], number: int, first: int = FIRST_WORD) -> NDArray[np.int64]:
    """The words with the highest scores, best first: int64 [number]; of equals, the more common.

    Args:
        score: of each word, float64 [V].
        number: of guesses.
        first: id of the first word that may be guessed.
    """
    best: NDArray[np.int64] = first + np.argsort(-score[first:], kind="stable")[:number]
    return best
