import json

import numpy as np

from client_model.metrics.keyboard_metrics import POSITION_NAMES
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import ScoredTokens, TokenScores, spelled_lookup
from client_model.metrics.table import metric_table, sum_counts
from client_model.text.batches import evaluation_batches
from client_model.text.vocabulary import EOS, FIRST_WORD, OOV, PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from tests.client_model.text.test_batches import ListPopulation

TOKENS = (*SPECIAL_TOKENS, *PUNCTUATION, "a", "be", "see")


def test_hits_count_words_only():
    targets = np.array([FIRST_WORD, FIRST_WORD + 1, 4, EOS, OOV, FIRST_WORD + 2], np.int32)
    rank = np.array([0, 2, 0, 0, 0, 3])
    loss, taps = np.full(6, 0.5, np.float32), np.array([1, 1, 0, 0, 0, 3])
    place, unknown = np.array([0, 1, 2, 3, 9, 10]), np.array([0, 0, 0, 0, 6, 0], np.int32)
    table = metric_table()
    scored = ScoredTokens(
        scores=TokenScores(targets, loss, rank, taps),
        place=place,
        unknown_letters=unknown,
        table=keystroke_table(TOKENS),
    )
    counts = table.count(scored)
    names = ("tokens", "loss-sum", "word-positions", "out-of-vocabulary", "top1-hits", "top3-hits")
    assert [counts[name] for name in names] == [6, 3.0, 4, 1, 1, 2]
    assert (counts["characters"], counts["keystrokes"]) == (2 + 3 + 1 + 0 + 7 + 4, 1 + 1 + 1 + 0 + 7 + 3)
    assert counts["in-vocabulary-by-position"].tolist() == [1, 1, 0, 0, 0, 0, 1]  # an unknown word at place 9
    assert counts["top1-hits-by-position"].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert counts["top3-hits-by-position"].tolist() == [1, 1, 0, 0, 0, 0, 0]
    metrics = table.values(counts)
    assert metrics["top1_recall"] == 1 / 3 and metrics["top3_recall"] == 2 / 3
    assert metrics["impression_recall"] == 2 / 6 and metrics["oov_rate"] == 1 / 4
    assert metrics["perplexity"] == np.exp(3.0 / 6) and metrics["keystroke_savings"] == 1 - 13 / 17
    rows = metrics["recall_by_position"]
    assert [row["tokens_before"] for row in rows] == list(POSITION_NAMES)
    assert rows[1] == {"tokens_before": "1", "positions": 1, "top1_recall": 0.0, "top3_recall": 1.0}
    assert rows[2]["top3_recall"] is None
    json.dumps(metrics)  # plain numbers


def test_everything_is_over_all_positions_of_all_texts():
    shared = {"tokens": np.array([10, 30]), "loss-sum": np.array([20.0, 70.0])}
    shared |= {"word-positions": np.array([8, 20]), "out-of-vocabulary": np.array([3, 5])}
    shared |= {"top1-hits": np.array([1, 2]), "top3-hits": np.array([2, 6])}
    shared |= {"characters": np.array([40, 60]), "keystrokes": np.array([30, 45])}
    texts = [{name: values[i] for name, values in shared.items()} for i in (0, 1)]
    found = metric_table().values(sum_counts(texts))
    assert found["top3_recall"] == 8 / 20 and found["impression_recall"] == 8 / 40
    assert found["keystroke_savings"] == 1 - 75 / 100 and found["perplexity"] == np.exp(90 / 40)
    assert found["recall_by_position"] is None  # nobody counted it
    nothing = metric_table().values({name: values[0] * 0 for name, values in shared.items()})
    assert all(value is None for value in nothing.values())


def test_unknown_words_keep_their_letters_and_their_place():
    population = ListPopulation([[[0, 1, 11], [2] * 8]])
    population.lexicon, population.unlisted_word_letters = ["a", "hello", "be"], 7
    vocabulary = Vocabulary(TOKENS)
    spelled = spelled_lookup(vocabulary, population)
    assert spelled.tolist() == [FIRST_WORD, -5, FIRST_WORD + 1, -7]
    batches, tokens = evaluation_batches(population, spelled, [0], 100, 6)
    found = {}
    for place, target, letters in zip(tokens.place, batches.targets, tokens.unknown_letters, strict=True):
        found.setdefault(int(place), []).append((int(target), int(letters)))
    assert min(batches.inputs) > 0  # read as unknown
    assert sorted(found[0]) == [(FIRST_WORD, 0), (FIRST_WORD + 1, 0)]
    assert sorted(found[1]) == [(OOV, 5), (FIRST_WORD + 1, 0)]
    assert sorted(found[2]) == [(OOV, 7), (FIRST_WORD + 1, 0)]
    assert found[8] == [(EOS, 0)]  # in the second sequence of a message of nine pairs
