import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.population import PeopleSplit, most_phones_of_a_person, open_population, prepare_population

SPLIT = PeopleSplit(seed=3, held_out_share=0.25)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve people, each with words of their own."""
    folder = tmp_path_factory.mktemp("further")
    lines = [{"user_id": f"u{i}", "text": f"own{i} message{m}"} for i in range(12) for m in range(i + 1)]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataConfig(path=folder / "m.jsonl", cache_dir=folder / "cache")


def opened(data, size, seed=3, split=SPLIT):
    spec = prepare_population(data, seed, size, split=split)
    return spec, open_population(spec)


def words_of(population, phone):
    return [population.lexicon[t] for t in population.types(phone)[0]]


def test_people_come_first_and_are_as_they_were(data):
    _, people = opened(data, None)
    spec, all_phones = opened(data, 30)
    assert (spec.num_people, spec.further, all_phones.num_phones) == (12, 18, 30)
    assert [words_of(all_phones, p) for p in range(12)] == [words_of(people, p) for p in range(12)]
    assert all_phones.digests()[:12].tolist() == people.digests().tolist()
    assert len(set(all_phones.digests().tolist())) == 30
    assert all_phones.lexicon == people.lexicon and all_phones.skipped_lines == 0


@pytest.mark.parametrize("validation", [False, True])
def test_further_phones_hold_messages_of_one_person_who_trains(data, validation):
    split = PeopleSplit(3, 0.25, validation)
    _, population = opened(data, 400, split=split)
    training, measured = split.of(population.digests()[:12])
    own = {p: set(words_of(population, p)) for p in range(12)}
    taken_after = set()
    for phone in range(12, 400):
        (name,) = {word for word in words_of(population, phone) if word.startswith("own")}
        (person,) = [p for p in range(12) if name in own[p]]
        assert person in training and person not in measured
        assert len(population.message_lengths(phone)) == len(population.message_lengths(person))
        taken_after.add(person)
    assert taken_after == set(training.tolist())  # each of them, on so many phones


@given(st.integers(12, 60), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_parts_of_a_phone_s_text_are_those_of_the_whole(data, phone, messages):
    _, population = opened(data, 61)
    lengths = population.message_lengths(phone)
    wanted = np.array(sorted({m % len(lengths) for m in messages}))
    whole, bounds = population.types(phone)
    part, offsets = population.types(phone, wanted)
    assert np.diff(bounds).tolist() == lengths.tolist()
    assert np.diff(offsets).tolist() == lengths[wanted].tolist()
    assert part.tolist() == [t for m in wanted for t in whole[bounds[m] : bounds[m + 1]].tolist()]


def test_they_are_the_same_again_whatever_the_size_and_others_with_another_seed(data):
    _, small = opened(data, 20)
    _, large = opened(data, 40)
    _, other = opened(data, 40, seed=4)
    assert [words_of(small, p) for p in range(20)] == [words_of(large, p) for p in range(20)]
    assert [words_of(large, p) for p in range(12, 40)] != [words_of(other, p) for p in range(12, 40)]
    texts = large.types_of_phones(np.array([3, 30]))
    assert [t[0].tolist() for t in texts] == [large.types(3)[0].tolist(), large.types(30)[0].tolist()]


def test_without_a_split_a_fleet_has_at_most_as_many_phones_as_the_file(data):
    with pytest.raises(DataError, match=r"--fleet\.size: expected at most the 12 phones of .*, found 13"):
        prepare_population(data, 0, 13)


def test_the_person_whose_messages_most_phones_hold_is_counted(data):
    spec, population = opened(data, 60)
    own = {word: p for p in range(12) for word in words_of(population, p) if word.startswith("own")}
    held = [own[next(word for word in words_of(population, p) if word in own)] for p in range(60)]
    assert most_phones_of_a_person(spec) == np.bincount(held).max() > 1
    assert most_phones_of_a_person(opened(data, 12)[0]) == 1
