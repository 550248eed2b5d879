import json
import math
from collections import Counter

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.population import open_population, prepare_population
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import PUNCTUATION, tokenize
from client_model.text.word_weights import word_weights


def population_of(tmp_path, texts, name="messages"):
    """Each phone's messages, in a file in this order of phones."""
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"user_id": user, "text": text}) + "\n" for user, text in texts.items()))
    return open_population(prepare_population(DataConfig(path=path, cache_dir=tmp_path / "cache"), 0, None))


def by_word(population, phones, most):
    found = word_weights(population, phones, most)
    return {w: float(x) for w, x in zip(population.lexicon, found.weights, strict=True) if x}


def given(text, most):
    """What one phone gives, the plain way, with no tie among words of one length that is cut."""
    uses = Counter(token for token in tokenize(text) if token not in PUNCTUATION)
    words = sorted(uses, key=lambda word: (-uses[word], len(word)))[:most]
    return dict.fromkeys(words, 1 / math.sqrt(len(words))) if words else {}


def made_up_texts(seed, phones=40):
    rng = np.random.default_rng(seed)
    # Words of lengths of their own, so that no tie is left to the hash.
    words = ["abcdefghijklmnopqrstuvwxyz"[: n + 1] for n in range(26)]
    return {f"u{i}": " ".join(rng.choice(words, rng.integers(1, 60))) + ", ok?" for i in range(phones)}


@pytest.mark.parametrize("most", [1, 4, 1000])
def test_the_weights_are_those_of_plain_sums_over_phones(tmp_path, most):
    texts = made_up_texts(most)
    expected = Counter()
    for text in texts.values():
        expected.update(given(text, most))
    population = population_of(tmp_path, texts)
    assert by_word(population, np.arange(len(texts)), most) == pytest.approx(dict(expected))
    writers = word_weights(population, np.arange(len(texts)), most).writers
    wrote = Counter(token for text in texts.values() for token in set(tokenize(text)) - {*PUNCTUATION})
    assert {w: n for w, n in zip(population.lexicon, writers.tolist(), strict=True) if n} == wrote


@pytest.mark.parametrize("gone", [0, 3, 11])
def test_a_phone_that_leaves_takes_its_own_words_and_no_more_than_norm_1(tmp_path, gone):
    rng = np.random.default_rng(gone)
    words = [f"{a}{b}" for a in "abcdefgh" for b in "xyz"]  # of one length: ties are everywhere
    texts = {f"u{i}": " ".join(rng.permutation(words)[:20]) for i in range(12)}
    rest = {user: text for user, text in reversed(texts.items()) if user != f"u{gone}"}  # another order of all types
    before = by_word(population_of(tmp_path, texts), np.arange(12), 6)
    after = by_word(population_of(tmp_path, rest, "rest"), np.arange(11), 6)
    differences = np.array([before.get(w, 0.0) - after.get(w, 0.0) for w in before.keys() | after.keys()])
    changed = differences[np.abs(differences) > 1e-12]
    assert len(changed) <= 6 and np.all(changed > 0)
    assert float((changed**2).sum()) == pytest.approx(1.0)


def test_words_that_no_vocabulary_has_and_unlisted_ones_have_no_weight():
    population = SyntheticPopulation(0, 30)
    found = word_weights(population, np.arange(30), 50)
    assert len(found.weights) == len(population.lexicon)
    assert not any(found.weights[[list(population.lexicon).index(mark) for mark in PUNCTUATION]])
    total = (found.weights > 0).sum()
    assert 0 < total <= 30 * 50


def test_the_blocks_do_not_show(monkeypatch):
    population, phones = SyntheticPopulation(1, 60), np.arange(60)
    whole = word_weights(population, phones, 20)
    monkeypatch.setattr("client_model.text.word_counts._PHONES_AT_ONCE", 7)
    parts = word_weights(population, phones, 20)
    assert np.allclose(whole.weights, parts.weights) and np.array_equal(whole.writers, parts.writers)
    assert not word_weights(population, phones[:0], 20).weights.any()
