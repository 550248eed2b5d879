import numpy as np

from client_model.text import word_counts
from client_model.text.population import PopulationSpec, open_population
from client_model.text.word_counts import type_counts, type_writers


def test_type_counts_ignore_private_words():
    population = open_population(PopulationSpec(0, 5))
    counts = type_counts(population, np.arange(5))
    flat = np.concatenate([population.types(p)[0] for p in range(5)])
    assert counts.sum() == (flat < len(population.lexicon)).sum() < len(flat)


def test_a_phone_counts_once_as_a_writer_whatever_blocks_there_are(monkeypatch):
    population, phones = open_population(PopulationSpec(3, 7)), np.array([0, 2, 3, 6])
    monkeypatch.setattr(word_counts, "_PHONES_AT_ONCE", 3)
    size = len(population.lexicon)
    wrote = [np.bincount(population.types(p)[0], minlength=size)[:size] > 0 for p in phones.tolist()]
    np.testing.assert_array_equal(type_writers(population, phones), np.sum(wrote, axis=0))
    assert type_writers(population, phones).max() > 1
