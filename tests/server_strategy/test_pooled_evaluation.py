import numpy as np

from server_strategy.pooled_evaluation import PhoneCounts, pooled_metrics

PHONES = np.array([3, 8])
COUNTS = {
    "tokens": np.array([10, 30]),
    "loss-sum": np.array([20.0, 70.0]),
    "word-positions": np.array([8, 20]),
    "out-of-vocabulary": np.array([3, 5]),
    "top1-hits": np.array([1, 2]),
    "top3-hits": np.array([2, 6]),
    "characters": np.array([40, 60]),
    "keystrokes": np.array([30, 45]),
    "in-vocabulary-by-position": np.array([[2, 3], [5, 10]]),
    "top1-hits-by-position": np.array([[1, 0], [1, 1]]),
    "top3-hits-by-position": np.array([[1, 1], [2, 4]]),
}


def test_everything_is_over_all_positions_of_all_phones():
    pooled = pooled_metrics(PhoneCounts(PHONES, COUNTS))
    assert pooled["top3-recall"] == 8 / 20 and pooled["impression-recall"] == 8 / 40
    assert pooled["keystroke-savings"] == 1 - 75 / 100
    assert pooled["in-vocabulary-by-position"] == [7, 13] and pooled["top3-hits-by-position"] == [3, 5]
    assert pooled["perplexity"] == np.exp(90 / 40)


def test_what_has_no_positions_is_left_out():
    empty = {name: np.zeros_like(values) for name, values in COUNTS.items()} | {"tokens": np.array([1, 1])}
    pooled = pooled_metrics(PhoneCounts(PHONES, empty))
    assert not {"top1-recall", "oov-rate", "keystroke-savings"} & set(pooled)
    assert pooled_metrics(PhoneCounts(PHONES[:0], {name: values[:0] for name, values in COUNTS.items()})) is None
