"""How good a keyboard's suggestions are.

A *word position* is a position whose true next token is a word or an emoji: ends of messages,
punctuation and padding do not count, out-of-vocabulary words count only towards the
out-of-vocabulary rate. Suggestions are always words.

* Recall@k: share of in-vocabulary word positions whose next word is among the k suggestions.
* Impression recall: share of all times that three suggestions were shown at which one of them came next.
  They are shown at every token: also before the first word of a message (the zero state), before
  punctuation, unknown words, and the end of the message, where no suggestion can be right. Keyboards that
  are opened and closed without a word leave no text and are not in it. (The live recall of Hard et al.,
  arXiv:1811.03604, which counts those too.)
* Keystroke savings: see `keystrokes`.
* Perplexity: exp of the mean cross-entropy over all tokens.
"""

from math import exp
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS, KeystrokeTable, letters_of, ranks, typing_cost, word_keystrokes
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, OOV, Vocabulary

_POSITIONS = np.array([0, 1, 2, 3, 4, 5, 10])
POSITION_NAMES = ("0", "1", "2", "3", "4", "5-9", "10+")  # tokens before the word in its message


class TokenScores(NamedTuple):
    """How well each of some tokens was predicted; all [tokens]."""

    targets: NDArray[np.int32]
    loss: NDArray[np.float32]  # cross-entropy in nats
    rank: NDArray[np.int64]  # words ranked above the target; 0 = first suggestion
    keystrokes: NDArray[np.int64]  # with suggestions, if the target is a word of the vocabulary


class KeyboardCounts(NamedTuple):
    """Counts over some tokens."""

    tokens: int
    loss_sum: float  # nats
    word_positions: int
    out_of_vocabulary: int
    top1_hits: int
    top3_hits: int
    characters: int
    keystrokes: int
    in_vocabulary_by_position: NDArray[np.int64]  # [places], as POSITION_NAMES
    top1_hits_by_position: NDArray[np.int64]
    top3_hits_by_position: NDArray[np.int64]

    def recall(self, suggestions: int) -> float | None:
        """Recall of the first one or three suggestions; null without positions."""
        positions = self.word_positions - self.out_of_vocabulary
        return {1: self.top1_hits, 3: self.top3_hits}[suggestions] / positions if positions else None

    def metrics(self) -> dict[str, Any]:
        """Every metric of the module's docstring by name; null where there is nothing to count."""
        by_position = (self.in_vocabulary_by_position, self.top1_hits_by_position, self.top3_hits_by_position)
        return {
            "top1_recall": self.recall(1),
            "top3_recall": self.recall(3),
            "impression_recall": self.top3_hits / self.tokens if self.tokens else None,
            "keystroke_savings": 1 - self.keystrokes / self.characters if self.characters else None,
            "perplexity": exp(min(self.loss_sum / self.tokens, 700.0)) if self.tokens else None,
            "oov_rate": self.out_of_vocabulary / self.word_positions if self.word_positions else None,
            "recall_by_position": recall_by_position(*(counts.tolist() for counts in by_position)),
        }


def spelled_lookup(vocabulary: Vocabulary, population: Population) -> NDArray[np.int32]:
    """Table from types to ids in which a word outside the vocabulary of n letters is -n: int32 [types + 1]."""
    lookup = vocabulary.lookup_table(population.lexicon)
    spelled = lookup.copy()
    for place in np.flatnonzero(lookup[:-1] == OOV):
        spelled[place] = -len(letters_of(population.lexicon[place]))
    spelled[-1] = -population.unlisted_word_letters
    return spelled


def count_hits(
    table: KeystrokeTable, scores: TokenScores, place: NDArray[np.int64], unknown_letters: NDArray[np.int32]
) -> KeyboardCounts:
    """Count over some tokens.

    Args:
        table: of the vocabulary.
        scores: of the tokens.
        place: tokens before each in its message, int [tokens].
        unknown_letters: of targets outside the vocabulary, int [tokens].
    """
    targets = scores.targets
    is_word = targets >= FIRST_WORD
    unknown = int((targets == OOV).sum())
    first, shown = is_word & (scores.rank == 0), is_word & (scores.rank < SUGGESTIONS)
    characters, keystrokes = typing_cost(table, targets, unknown_letters, scores.keystrokes)
    group = np.searchsorted(_POSITIONS, place, side="right") - 1

    def by_position(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(group[chosen], minlength=len(POSITION_NAMES))

    return KeyboardCounts(
        len(targets),
        float(scores.loss.astype(np.float64).sum()),
        int(is_word.sum()) + unknown,
        unknown,
        int(first.sum()),
        int(shown.sum()),
        int(characters.sum()),
        int(keystrokes.sum()),
        by_position(is_word),
        by_position(first),
        by_position(shown),
    )


def score_logits(table: KeystrokeTable, logits: NDArray[np.float32], targets: NDArray[np.int32]) -> TokenScores:
    """How well logits [n, V] predict targets [n]."""
    highest = logits.max(1, keepdims=True)  # [n, 1]
    log_sum = np.log(np.exp(logits - highest).sum(1)) + highest[:, 0]  # [n]
    rank = ranks(logits, targets)
    loss = log_sum - logits[np.arange(len(targets)), targets]
    return TokenScores(targets, loss, rank, word_keystrokes(table, logits, targets, rank))


def count_message(table: KeystrokeTable, logits: NDArray[np.float32], spelled: NDArray[np.int32]) -> KeyboardCounts:
    """The counts of a message whose targets are `spelled`: a word of n letters outside the vocabulary is -n."""
    scores = score_logits(table, logits, np.where(spelled < 0, OOV, spelled))
    return count_hits(table, scores, np.arange(len(spelled)), np.maximum(-spelled, 0))


def sum_counts(counts: list[KeyboardCounts]) -> KeyboardCounts:
    """Counts over several texts."""
    return KeyboardCounts(*(sum(column[1:], column[0]) for column in zip(*counts, strict=True)))


def recall_by_position(
    in_vocabulary: list[int], top1_hits: list[int], top3_hits: list[int]
) -> list[dict[str, int | float | str | None]]:
    """One row for each of POSITION_NAMES; a recall without positions is null."""
    return [
        {
            "tokens_before": name,
            "positions": count,
            "top1_recall": first / count if count else None,
            "top3_recall": shown / count if count else None,
        }
        for name, count, first, shown in zip(POSITION_NAMES, in_vocabulary, top1_hits, top3_hits, strict=True)
    ]
