"""How much a model knows of a secret: its exposure, and whether it says it when asked for what comes next.

Exposure (Carlini et al. 2019, "The Secret Sharer", USENIX Security, arXiv:1802.08232, section 4.2, definition 2) of a
secret among R of which it was drawn at random:

    log2(R) - log2(rank of the secret by its probability)

A model that never saw it gives it a rank as random as its draw, 1.44 bits on average; one that holds it likelier than
all others gives log2(R). Here all R are ranked, not a sample of them: secrets are sequences of few words, so the model
reads each of their beginnings once.

Example:
    >>> import numpy as np
    >>> exposure(np.log([0.7, 0.1, 0.1, 0.1]), 0)
    2.0
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.text.vocabulary import BOS, FIRST_WORD
from simulation.studies.audits.batched_model import BatchedModel


class Steps(Protocol):
    """A model that reads token after token; `client_model.tflite.interpreter.FileSteps` of a file."""

    @property
    def start(self) -> Any:
        """The state before the first token."""

    def step(self, token: int, state: Any) -> tuple[NDArray[np.float32], Any, Any]:
        """(logits [V], anything, state) after one more token; the state that is handed in is not changed."""


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    shifted: NDArray[np.float64] = wide - np.logaddexp.reduce(wide)
    return shifted


def _after(model: Steps, prefix: Sequence[int]) -> tuple[NDArray[np.float64], Any]:
    """(log-probabilities of the next token [V], state) after the words that begin a message."""
    state, logits = model.start, np.zeros(0, np.float32)
    for token in (BOS, *prefix):
        logits, _, state = model.step(token, state)
    return _log_softmax(logits), state


def secret_log_probabilities(
    model: Steps, prefix: Sequence[int], words: Sequence[int], length: int
) -> NDArray[np.float64]:
    """Of every secret after a prefix: float64 [len(words) ** length], in nats, the last word changing fastest.

    Args:
        model: that is asked.
        prefix: ids of the words that come before a secret.
        words: ids that a secret is made of.
        length: words of a secret.
    """
    found: list[float] = []

    def walk(known: NDArray[np.float64], state: Any, so_far: float, left: int) -> None:
        if left == 1:
            found.extend((so_far + known[list(words)]).tolist())
            return
        for word in words:
            logits, _, after = model.step(word, state)
            walk(_log_softmax(logits), after, so_far + float(known[word]), left - 1)

    walk(*_after(model, prefix), 0.0, length)
    return np.array(found)


def secret_log_probabilities_at_once(
    model: BatchedModel, prefix: Sequence[int], words: Sequence[int], length: int
) -> NDArray[np.float64]:
    """`secret_log_probabilities`, of weights instead of a file, and in a step for each word of a secret.

    Args:
        model: that is asked.
        prefix: ids of the words that come before a secret.
        words: ids that a secret is made of.
        length: words of a secret.
    """
    known, state = model.after(prefix)
    found = known[0, list(words)].astype(np.float64)  # [words ** place]
    for _ in range(length - 1):
        beginnings, last = np.divmod(np.arange(len(found)), len(words))
        known, state = model.step(np.array(words)[last], model.rows(state, beginnings))  # [words ** place, V]
        found = (found[:, None] + known[:, list(words)]).ravel()
    return found


def number_of(secret: Sequence[int], words: Sequence[int]) -> int:
    """The place of a secret in `secret_log_probabilities`."""
    place = 0
    for word in secret:
        place = place * len(words) + list(words).index(word)
    return place


def exposure(log_probabilities: NDArray[np.float64], number: int) -> float:
    """Bits that a model gives away of a secret; of equally likely ones, the mean over their orders.

    Args:
        log_probabilities: of all secrets that could have been drawn, float [R].
        number: of the one that was.
    """
    own = log_probabilities[number]
    better, equal = int((log_probabilities > own).sum()), int((log_probabilities == own).sum())
    ranks = np.arange(better + 1, better + equal + 1)
    return float(np.log2(len(log_probabilities)) - np.log2(ranks).mean())


def beam_search(
    model: Steps, prefix: Sequence[int], length: int, width: int, words: Sequence[int] | None = None
) -> list[tuple[int, ...]]:
    """The likeliest continuations that a beam finds, best first; of words only, as a keyboard suggests them.

    Args:
        model: that is asked.
        prefix: ids of the words that come before.
        length: words of a continuation.
        width: continuations that are followed at once.
        words: ids that may be in one; by default all of the vocabulary.
    """
    known, state = _after(model, prefix)
    allowed = np.arange(FIRST_WORD, len(known)) if words is None else np.array(words)
    beam: list[tuple[float, tuple[int, ...], NDArray[np.float64], Any]] = [(0.0, (), known, state)]
    for place in range(length):
        longer = []
        for score, said, known, state in beam:
            best = allowed[np.argsort(-known[allowed], kind="stable")[:width]]
            longer += [(score + float(known[word]), (*said, int(word)), state) for word in best]
        longer.sort(key=lambda one: (-one[0], one[1]))
        beam = []
        for score, said, state in longer[:width]:
            if place + 1 == length:
                beam.append((score, said, known, state))
            else:
                logits, _, after = model.step(said[-1], state)
                beam.append((score, said, _log_softmax(logits), after))
    return [said for _, said, _, _ in beam]
