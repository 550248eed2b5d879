"""How well a model predicted each token of some text: what every metric is counted from."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import KeystrokeTable, letters_of, ranks, word_keystrokes
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, OOV, Vocabulary


class TokenScores(NamedTuple):
    """How well each of some tokens was predicted; all [tokens]."""

    targets: NDArray[np.int32]
    loss: NDArray[np.float32]  # cross-entropy in nats
    rank: NDArray[np.int64]  # words ranked above the target; 0 = first suggestion
    keystrokes: NDArray[np.int64]  # with suggestions, if the target is a word of the vocabulary


@dataclass(frozen=True, kw_only=True)
class ScoredTokens:
    """Tokens of one phone's text, or of a message, and how well each was predicted; arrays are [tokens]."""

    scores: TokenScores
    place: NDArray[np.int64]  # tokens before each in its message
    unknown_letters: NDArray[np.int32]  # of targets outside the vocabulary; else 0
    table: KeystrokeTable  # of the vocabulary

    @property
    def targets(self) -> NDArray[np.int32]:
        """Ids of the true next tokens."""
        return self.scores.targets

    @property
    def is_word(self) -> NDArray[np.bool_]:
        """Whether the true next token is a word or an emoji of the vocabulary."""
        return self.scores.targets >= FIRST_WORD


def spelled_lookup(vocabulary: Vocabulary, population: Population) -> NDArray[np.int32]:
    """Table from types to ids in which a word outside the vocabulary of n letters is -n: int32 [types + 1]."""
    lexicon = population.lexicon
    spelled = vocabulary.lookup_table(lexicon)
    outside = np.flatnonzero(spelled[:-1] == OOV)
    words = (lexicon[place] for place in outside.tolist())
    # Of nearly all words without a list of their letters, since a lexicon has tens of thousands.
    spelled[outside] = [-len(w if w.isascii() and w.isalnum() else letters_of(w)) for w in words]
    spelled[-1] = -population.unlisted_word_letters
    return spelled


def score_logits(table: KeystrokeTable, logits: NDArray[np.float32], targets: NDArray[np.int32]) -> TokenScores:
    """How well logits [n, V] predict targets [n]."""
    highest = logits.max(1, keepdims=True)  # [n, 1]
    log_sum = np.log(np.exp(logits - highest).sum(1)) + highest[:, 0]  # [n]
    rank = ranks(logits, targets)
    loss = log_sum - logits[np.arange(len(targets)), targets]
    return TokenScores(targets, loss, rank, word_keystrokes(table, logits, targets, rank))


def scored_message(table: KeystrokeTable, logits: NDArray[np.float32], spelled: NDArray[np.int32]) -> ScoredTokens:
    """How well logits [n, V] predict a whole message.

    Args:
        table: of the vocabulary.
        logits: float32 [n, V].
        spelled: the targets, int32 [n]; a word of k letters outside the vocabulary is -k.
    """
    return ScoredTokens(
        scores=score_logits(table, logits, np.where(spelled < 0, OOV, spelled)),
        place=np.arange(len(spelled)),
        unknown_letters=np.maximum(-spelled, 0),
        table=table,
    )
