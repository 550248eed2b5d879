"""Tokens of many phones together are those of each phone alone."""

import json

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.kept_text import KeptText, Limits
from client_model.text.population import PeopleSplit, open_population, prepare_population
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.text_lengths import CountsTokens, tokens_of_phones


def people(folder, size, **storage):
    lines = [{"user_id": f"u{i}", "text": "word " * (1 + (i + m) % 5)} for i in range(9) for m in range(i + 1)]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = DataConfig(path=folder / "m.jsonl", cache_dir=folder / "cache")
    return open_population(prepare_population(data, 3, size, split=PeopleSplit(3, 0.25), **storage))


@pytest.fixture(scope="module")
def populations(tmp_path_factory):
    """One of each kind, by name."""
    folder = tmp_path_factory.mktemp("lengths")
    further = people(folder, 60)
    return {
        "file": people(folder, None),
        "some of a file": people(folder, 5),
        "further phones": further,
        "synthetic": SyntheticPopulation(4, 500),
        "limited": KeptText(further, Limits(messages=2), np.arange(60) % 2 == 0),
    }


@pytest.mark.parametrize("kind", ["file", "some of a file", "further phones", "synthetic", "limited"])
def test_tokens_of_phones_are_the_sums_of_their_messages(populations, kind):
    population = populations[kind]
    everybody = np.arange(population.num_phones)
    for phones in (everybody, everybody[::-2], everybody[:1], everybody[:0]):
        found = tokens_of_phones(population, phones)
        assert found.dtype == np.int64
        assert found.tolist() == [int(population.message_lengths(int(p)).sum()) for p in phones]
    assert isinstance(population, CountsTokens) == (kind != "limited")


def test_an_encrypted_file_counts_the_same(tmp_path):
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    sealed, plain = people(tmp_path, 60, storage_key=str(key)), people(tmp_path, 60)
    assert tokens_of_phones(sealed, np.arange(60)).tolist() == tokens_of_phones(plain, np.arange(60)).tolist()


@pytest.mark.parametrize("size", [1, 90])
def test_texts_of_several_synthetic_phones_are_those_of_each(size):
    population = SyntheticPopulation(4, 500)
    phones = np.arange(400, 400 + size)
    for phone, (types, offsets) in zip(phones, population.types_of_phones(phones), strict=True):
        alone = population.types(int(phone))
        assert types.tolist() == alone[0].tolist() and offsets.tolist() == alone[1].tolist()
    assert population.types_of_phones(phones[:0]) == []
