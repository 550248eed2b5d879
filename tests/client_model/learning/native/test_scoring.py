"""Scores in C are those of the Python functions over the same logits."""

import numpy as np
import pytest

from client_model.metrics.keystrokes import KeystrokeTable, keystroke_table, ranks, word_keystrokes
from client_model.text.vocabulary import FIRST_WORD
from tests.client_model.learning.native.built import each_variant, kernel, normal, same_bits


def table_of(words):
    rng = np.random.default_rng(words)
    spelled = ["".join(rng.choice(list("abc"), rng.integers(1, 7))) for _ in range(words - FIRST_WORD)]
    return keystroke_table(["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!", *spelled])


def scored(variant, logits, targets, table):
    """[loss, rank, keystrokes]; only the loss without a table."""
    n, words = logits.shape
    floats = np.full(kernel.scoring_floats(variant, words, 0), np.nan, np.float32)
    loss, rank, keystrokes = np.full(n, np.nan, np.float32), np.full(n, -1), np.full(n, -1)
    if table is None:
        kernel.score_logits(variant, logits, targets, None, loss, None, None, floats)
        return [loss]
    kernel.score_logits(variant, logits, targets, table, loss, rank, keystrokes, floats)
    return [loss, rank, keystrokes]


def losses(logits, targets):
    """Cross-entropy in float64."""
    exactly = logits.astype(np.float64)
    highest = exactly.max(1)
    return np.log(np.exp(exactly - highest[:, None]).sum(1)) + highest - exactly[np.arange(len(targets)), targets]


def with_some(logits, *values):
    places = np.random.default_rng(5).random(logits.shape)
    for i, value in enumerate(values):
        logits[(places > i / 50) & (places < (i + 1) / 50)] = value
    return logits


KINDS = {
    "of a model": lambda logits: 3 * logits,
    "with ties": lambda logits: np.round(logits),
    "all equal": np.zeros_like,
    "far apart": lambda logits: 300 * logits,
    "rising": lambda logits: np.sort(logits),
    "not all numbers": lambda logits: with_some(logits, np.nan, np.inf, -np.inf),
    "some infinite": lambda logits: with_some(logits, -np.inf, -np.inf),
    "no numbers": lambda logits: np.full_like(logits, np.nan),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("words", "n"), [(9, 20), (16, 1), (40, 0), (41, 40), (1000, 30)])
def test_scores_are_those_of_the_python_functions(words, n, kind):
    table, logits = table_of(words), KINDS[kind](normal(0, n, words))
    targets = np.random.default_rng(1).integers(0, words, n).astype(np.int32)
    loss, rank, keystrokes = same_bits(lambda variant: scored(variant, logits, targets, table))
    with np.errstate(all="ignore"):
        expected_rank = ranks(logits, targets)
        assert np.array_equal(rank, expected_rank)
        assert np.array_equal(keystrokes, word_keystrokes(table, logits, targets, expected_rank))
        np.testing.assert_allclose(loss, losses(logits, targets), rtol=1e-6, atol=1e-6)
    assert np.array_equal(same_bits(lambda variant: scored(variant, logits, targets, None))[0], loss, equal_nan=True)


def test_a_rank_does_not_depend_on_the_rows_beside_it():
    words = FIRST_WORD + 2
    logits, targets = np.zeros((2, words), np.float32), np.full(2, words - 1, np.int32)
    logits[0, -1] = np.nan  # a tie of two, and a row that equals nothing: as many as two rows without a tie
    _, rank, _ = same_bits(lambda variant: scored(variant, logits, targets, table_of(words)))
    assert rank.tolist() == ranks(logits, targets).tolist() == [0, 1]


@pytest.mark.parametrize(("n", "words", "width"), [(0, 20, 4), (1, 20, 4), (15, 49, 1), (16, 40, 9), (40, 300, 97)])
def test_scores_of_outputs_are_those_of_their_logits(n, words, width):
    outputs, embedding, bias = normal(0, n, width), normal(1, words, width), normal(2, words)
    targets, table = np.random.default_rng(1).integers(0, words, n).astype(np.int32), table_of(words)

    def of_outputs(variant):
        floats = np.full(kernel.scoring_floats(variant, words, width), np.nan, np.float32)
        kernel.prepare_scoring(variant, embedding, floats)
        loss, rank, keystrokes = np.full(n, np.nan, np.float32), np.full(n, -1), np.full(n, -1)
        for part in (slice(0, n // 2), slice(n // 2, n)):  # prepared once for all of them
            kernel.score_outputs(
                variant, outputs[part], bias, targets[part], table, loss[part], rank[part], keystrokes[part], floats
            )
        logits = np.empty((n, words), np.float32)
        kernel.product(variant, logits, outputs, embedding, bias, True, False)
        for one, two in zip((loss, rank, keystrokes), scored(variant, logits, targets, table), strict=True):
            assert np.array_equal(one, two)
        return [loss, rank, keystrokes]

    exactly = outputs.astype(np.float64) @ embedding.T + bias
    np.testing.assert_allclose(same_bits(of_outputs)[0], losses(exactly, targets), rtol=1e-5, atol=1e-5)


@each_variant
def test_a_target_less_likely_than_float32_holds_has_its_loss(variant):
    logits = np.zeros((3, 20), np.float32)
    logits[:, 9] = [50, 90, 3e4]
    loss, *_ = scored(variant, logits, np.full(3, 10, np.int32), table_of(20))
    np.testing.assert_allclose(loss, [50, 90, 3e4], rtol=1e-7)


def changed(table, **parts):
    return table._replace(**{name: change(getattr(table, name).copy()) for name, change in parts.items()})


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


BAD_TABLES = {
    "a place before the first": lambda table: changed(table, first=put(..., -1)),
    "a place after the last": lambda table: changed(table, last=put(..., 2**40)),
    "an end before its begin": lambda table: changed(table, first=put(..., 5), last=put(..., 4)),
    "an id that is no word": lambda table: changed(table, alphabetical=put(3, 3)),
    "an id beyond the words": lambda table: changed(table, alphabetical=put(3, 30)),
    "a negative id": lambda table: changed(table, alphabetical=put(3, -30)),
    "more letters than places": lambda table: changed(table, letters=put(..., 2**31 - 1)),
    "letters of other words": lambda table: changed(table, letters=lambda letters: letters[:-1].copy()),
    "places of other words": lambda table: changed(table, last=lambda last: last[:-1].copy()),
    "more words than there are": lambda table: changed(table, alphabetical=lambda ids: np.tile(ids, 3)),
    "places of another type": lambda table: changed(table, first=lambda first: first.astype(np.int32)),
    "no table": lambda table: KeystrokeTable(*[table.letters] * 4),
    "something else": lambda table: [*table],
}


@pytest.mark.parametrize("bad", BAD_TABLES)
def test_tables_that_lead_elsewhere_are_refused(bad):
    with pytest.raises(ValueError):
        scored("portable", normal(0, 22, 30), np.arange(8, 30, dtype=np.int32), BAD_TABLES[bad](table_of(30)))


def test_targets_and_workspaces_that_do_not_fit_are_refused():
    logits, table = normal(0, 2, 30), table_of(30)
    for targets in ([0, 30], [-1, 2], [1], [1, 2, 3]):
        with pytest.raises(ValueError):
            scored("portable", logits, np.array(targets, np.int32), table)
    with pytest.raises(ValueError, match="floats: expected at least"):
        kernel.score_logits(
            "portable",
            logits,
            np.zeros(2, np.int32),
            None,
            np.zeros(2, np.float32),
            None,
            None,
            np.zeros(7, np.float32),
        )
    with pytest.raises(ValueError):
        kernel.scoring_floats("portable", 0, 3)
