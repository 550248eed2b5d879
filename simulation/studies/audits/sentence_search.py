"""Sentences put together from a bag of words, with a model that says which word may follow which.

After FILM (Gupta et al. 2022, "Recovering Private Text in Federated Learning of Language Models", arXiv:2205.08514,
section 4.2): a beam search with the language model, restricted to the words that an update has told. They rank what it
finds by perplexity and by the gradient; here both are in the weights that lead the search, which lie further along the
update: log p(w; theta + k u) is log p(w; theta) + k <u, gradient of log p(w; theta)> to first order in k, so how likely
a sentence was before, and how much the update speaks for it. Their last step, to reorder sentences, is not carried out.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.batches import PackedBatches
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, OOV
from simulation.studies.audits.batched_model import BatchedModel

_BEGINNINGS, _WIDTH = 16, 4  # words that a sentence may begin with, and sentences that are followed of each


def search(model: BatchedModel, bag: NDArray[np.int64], length: int) -> list[tuple[int, ...]]:
    """All sentences that a beam has come to the end of, the likeliest first; punctuation may stand in them.

    Args:
        model: that leads the search.
        bag: ids of the words that may be in one, int64 [words].
        length: tokens of a sentence at most.
    """
    allowed = np.concatenate([np.arange(OOV + 1, FIRST_WORD), np.sort(bag)])  # [A]
    known, state = model.after(())
    first = _best(known[:, allowed], _BEGINNINGS)[0]  # [G]
    said, score = allowed[first][:, None], known[0, allowed[first]].astype(np.float64)  # [rows, tokens], [rows]
    rows, group = np.zeros(len(first), np.int64), np.arange(len(first))
    found: list[tuple[float, tuple[int, ...]]] = []
    for place in range(length):
        known, state = model.step(said[:, -1], model.rows(state, rows))  # [rows, V]
        ended = (score + known[:, EOS]).tolist()
        found += [(own, tuple(words)) for own, words in zip(ended, said.tolist(), strict=True)]
        if place + 1 < length:
            longer = score[:, None] + known[:, allowed]  # [rows, A]
            rows, token = _best_of_groups(longer, group)
            said = np.concatenate([said[rows], allowed[token][:, None]], 1)
            score, group = longer[rows, token], group[rows]
    return [words for _, words in sorted(found, key=lambda one: (-one[0], one[1]))]


def _best(scores: NDArray[np.floating[Any]], number: int) -> NDArray[np.int64]:
    """Places of the highest scores of each row, best first: int64 [rows, number]; of equals, the first."""
    best: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")[:, :number]
    return best


def _best_of_groups(
    longer: NDArray[np.float64], group: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, place of the token) of the best continuations in each group of rows: int64 [kept] each."""
    token = _best(longer, _WIDTH)  # [rows, W]
    rows = np.repeat(np.arange(len(longer)), token.shape[1])  # [rows * W]
    order = np.lexsort((-np.take_along_axis(longer, token, 1).ravel(), group[rows]))  # [rows * W]
    of = group[rows][order]  # sorted
    kept = order[np.arange(len(of)) - np.searchsorted(of, of) < _WIDTH]
    return rows[kept], token.ravel()[kept]


def sequences_of(batches: PackedBatches) -> Iterator[tuple[bool, tuple[int, ...]]]:
    """(whether it is a whole message, its tokens) of each sequence that a phone trains on.

    Args:
        batches: of the phone.
    """
    begin = 0
    for counts in batches.step_rows:
        starts = begin + np.concatenate([[0], np.cumsum(counts)[:-1]])  # of each step
        begin += int(counts.sum())
        for row in range(int(counts[0])):
            places = starts[counts > row] + row
            tokens = tuple(batches.targets[places].tolist())
            is_whole = bool(batches.inputs[places[0]] == BOS) and tokens[-1] == EOS
            yield is_whole, tokens[:-1] if tokens[-1] == EOS else tokens
