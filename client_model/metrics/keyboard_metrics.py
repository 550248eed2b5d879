"""How good a keyboard's suggestions are: the metrics that are always measured.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.keystrokes import SUGGESTIONS, typing_cost
from client_model.metrics.metric import Baseline, Counts, Metric, share_of
from client_model.metrics.scored_tokens import ScoredTokens
from client_model.text.vocabulary import OOV
from typefleet.doors import Kind

_POSITIONS = np.array([0, 1, 2, 3, 4, 5, 10])
POSITION_NAMES = ("0", "1", "2", "3", "4", "5-9", "10+")  # tokens before the word in its message
_MOST_NATS = 700.0  # exp of more is no float
_DIVERGED = 1_000_000  # of a perplexity; guessing evenly among the words of a vocabulary has their number


def num_tokens(tokens: ScoredTokens) -> int:
    """All tokens, ends of messages and punctuation included."""
    return len(tokens.targets)


def loss_sum(tokens: ScoredTokens) -> float:
    """Cross-entropy in nats."""
    return float(tokens.scores.loss.astype(np.float64).sum())


def out_of_vocabulary(tokens: ScoredTokens) -> int:
    """Word positions whose word the vocabulary lacks."""
    return int((tokens.targets == OOV).sum())


def word_positions(tokens: ScoredTokens) -> int:
    """Word positions, unknown words included."""
    return int(tokens.is_word.sum()) + out_of_vocabulary(tokens)


def top1_hits(tokens: ScoredTokens) -> int:
    """Positions whose word is the first suggestion."""
    return int(_is_hit(tokens, 1).sum())


def top3_hits(tokens: ScoredTokens) -> int:
    """Positions whose word is among the three suggestions."""
    return int(_is_hit(tokens, SUGGESTIONS).sum())


def characters(tokens: ScoredTokens) -> int:
    """Keystrokes without suggestions."""
    return int(_typing(tokens)[0].sum())


def keystrokes(tokens: ScoredTokens) -> int:
    """Keystrokes with suggestions."""
    return int(_typing(tokens)[1].sum())


def in_vocabulary_by_position(tokens: ScoredTokens) -> NDArray[np.int64]:
    """Word positions of known words, [places] as POSITION_NAMES."""
    return _by_position(tokens, tokens.is_word)


def top1_hits_by_position(tokens: ScoredTokens) -> NDArray[np.int64]:
    """`top1_hits`, [places] as POSITION_NAMES."""
    return _by_position(tokens, _is_hit(tokens, 1))


def top3_hits_by_position(tokens: ScoredTokens) -> NDArray[np.int64]:
    """`top3_hits`, [places] as POSITION_NAMES."""
    return _by_position(tokens, _is_hit(tokens, SUGGESTIONS))


def _is_hit(tokens: ScoredTokens, suggestions: int) -> NDArray[np.bool_]:
    return tokens.is_word & (tokens.scores.rank < suggestions)


def _typing(tokens: ScoredTokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return typing_cost(tokens.table, tokens.targets, tokens.unknown_letters, tokens.scores.keystrokes)


def _by_position(tokens: ScoredTokens, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    group = np.searchsorted(_POSITIONS, tokens.place, side="right") - 1
    return np.bincount(group[chosen], minlength=len(POSITION_NAMES))


def known_words(counts: Counts) -> int:
    """Positions that recall is a share of."""
    return int(counts["word-positions"]) - int(counts["out-of-vocabulary"])


def words_of_people(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(words of each person, those of them that the vocabulary lacks), int64 [people] each.

    Args:
        counts: of each person, and not summed over them.
    """
    return np.asarray(counts["word-positions"], np.int64), np.asarray(counts["out-of-vocabulary"], np.int64)


def _recall(hits: str, counts: Counts) -> float | None:
    positions = known_words(counts)
    return int(counts[hits]) / positions if positions else None


def _savings(counts: Counts) -> float | None:
    spent = share_of(counts, "keystrokes", "characters")
    return None if spent is None else 1 - spent


def _perplexity(counts: Counts) -> float | None:
    tokens = int(counts["tokens"])
    return exp(min(float(counts["loss-sum"]) / tokens, _MOST_NATS)) if tokens else None


def recall_rows(counts: Counts) -> list[dict[str, Any]]:
    """One row for each of POSITION_NAMES; a recall without positions is None."""
    columns = (counts[f"{name}-by-position"].tolist() for name in ("in-vocabulary", "top1-hits", "top3-hits"))
    return [
        {
            "tokens_before": name,
            "positions": positions,
            "top1_recall": first / positions if positions else None,
            "top3_recall": shown / positions if positions else None,
        }
        for name, positions, first, shown in zip(POSITION_NAMES, *columns, strict=True)
    ]


def _show_rows(rows: list[dict[str, Any]]) -> str:
    return ", ".join(f"{row['tokens_before']}: {_three(row['top3_recall'])}" for row in rows)


def _three(recall: float | None) -> str:
    return "-" if recall is None else f"{100 * recall:.1f} %"


_WORDS = {"word-positions": word_positions, "out-of-vocabulary": out_of_vocabulary}

TOP1_RECALL = Metric(
    name="top1_recall",
    label="recall, first suggestion",
    counts={**_WORDS, "top1-hits": top1_hits},
    value=lambda counts: _recall("top1-hits", counts),
    short="recall@1",
    baselines=(
        Baseline("baseline_unigram_top1", "unigram", "the commonest word, always"),
        Baseline("baseline_bigram_top1", "bigram", "the word that most often followed the last one"),
        Baseline("baseline_trigram_top1", "trigram", "the likeliest word after the last two, by smoothed counts"),
    ),
)
TOP3_RECALL = Metric(
    name="top3_recall",
    label="recall, three suggestions",
    counts={**_WORDS, "top3-hits": top3_hits},
    value=lambda counts: _recall("top3-hits", counts),
    short="recall@3",
    baselines=(
        Baseline("baseline_unigram_top3", "unigram", "the three commonest words, always"),
        Baseline("baseline_bigram_top3", "bigram", "the three words that most often followed the last one"),
        Baseline("baseline_trigram_top3", "trigram", "the three likeliest after the last two, by smoothed counts"),
    ),
)
RECALL_BY_POSITION = Metric(
    name="recall_by_position",
    label="recall by words of context",
    counts={
        "in-vocabulary-by-position": in_vocabulary_by_position,
        "top1-hits-by-position": top1_hits_by_position,
        "top3-hits-by-position": top3_hits_by_position,
    },
    value=recall_rows,
    unit="rows",
    show=_show_rows,
    compared=False,
)
IMPRESSION_RECALL = Metric(
    name="impression_recall",
    label="impression recall",
    counts={"tokens": num_tokens, "top3-hits": top3_hits},
    value=lambda counts: share_of(counts, "top3-hits", "tokens"),
    note="of all the times that three were shown",
    compared=False,
)
KEYSTROKE_SAVINGS = Metric(
    name="keystroke_savings",
    label="keystrokes saved",
    counts={"characters": characters, "keystrokes": keystrokes},
    value=_savings,
    baselines=(
        Baseline("baseline_unigram_keystroke_savings", "unigram", "with the commonest words"),
        Baseline("baseline_bigram_keystroke_savings", "bigram", "with the likeliest words after the last one"),
        Baseline("baseline_trigram_keystroke_savings", "trigram", "with the likeliest words after the last two"),
    ),
)
PERPLEXITY = Metric(
    name="perplexity",
    label="perplexity",
    counts={"tokens": num_tokens, "loss-sum": loss_sum},
    value=_perplexity,
    unit="number",
    digits=0,
    compared=False,
    diverged_from=_DIVERGED,
    diverged_why=(
        f"{_DIVERGED:,} or more, where guessing evenly has the number of words; the noise or the steps were too large"
    ),
)
OOV_RATE = Metric(
    name="oov_rate",
    label="out of vocabulary",
    counts=_WORDS,
    value=lambda counts: share_of(counts, "out-of-vocabulary", "word-positions"),
    digits=1,
    compared=False,
)


def _kind(metric: Metric) -> Kind[Metric]:
    return Kind(metric.name, metric.label.strip(), make=lambda settings: metric)


TOP1_RECALL_KIND = _kind(TOP1_RECALL)
TOP3_RECALL_KIND = _kind(TOP3_RECALL)
RECALL_BY_POSITION_KIND = _kind(RECALL_BY_POSITION)
IMPRESSION_RECALL_KIND = _kind(IMPRESSION_RECALL)
KEYSTROKE_SAVINGS_KIND = _kind(KEYSTROKE_SAVINGS)
PERPLEXITY_KIND = _kind(PERPLEXITY)
OOV_RATE_KIND = _kind(OOV_RATE)
