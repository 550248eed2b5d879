"""LEAF's JSON: read, refused in one line, nothing of it repeated."""

import gzip

import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError, Message
from client_model.text.formats.leaf import Leaf, LeafSettings
from client_model.text.population import open_population, prepare_population
from tests.client_model.text.formats.files import write_leaf

ROWS = [("ann", "hello"), ("bob", "hi"), ("ann", "see you")]


def test_users_come_in_their_order_with_all_their_samples(tmp_path):
    path = write_leaf(tmp_path / "all.json", ROWS)
    read = [Message("ann", "hello"), Message("ann", "see you"), Message("bob", "hi")]
    assert list(Leaf().read(path)) == read
    packed = tmp_path / "all.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(Leaf().read(packed)) == read


def test_a_sample_that_is_no_text_takes_only_its_own_place(tmp_path):
    path = write_leaf(tmp_path / "all.json", [("ann", ["secret"]), ("ann", "hello")])
    bad, good = Leaf().read(path)
    wanted = "a text, or --data.sample-index, its place in a list"
    assert str(bad) == f"{path}: user 1, sample 1: expected {wanted}, found a list"
    assert good == Message("ann", "hello")


def test_a_text_in_a_list_is_found_at_its_place(tmp_path):
    rows = [("ann", ["1", "today", "hello"]), ("ann", ["2", "today"]), ("bob", "secret"), ("bob", ["3", "today", 4])]
    path = write_leaf(tmp_path / "all.json", rows)
    good, short, text, number = Leaf(LeafSettings(sample_index=2)).read(path)
    assert good == Message("ann", "hello")
    assert str(short) == f"{path}: user 1, sample 2: expected a list of 3 or more, found one of 2"
    assert str(text) == f"{path}: user 2, sample 1: expected a list of 3 or more, found another value"
    assert str(number) == f"{path}: user 2, sample 2: expected a text that is a string, found a number"


def test_the_cache_knows_the_settings(tmp_path):
    path = write_leaf(tmp_path / "all.json", [("ann", ["hello", "you"]), ("bob", ["see", "you", "soon"])])
    found = []
    for index in (0, 1):
        settings = LeafSettings(sample_index=index)
        config = DataConfig(path=path, format="leaf", format_settings=settings, cache_dir=tmp_path / "cache")
        found.append(list(open_population(prepare_population(config, 0, None)).lexicon))
    assert found == [["hello", "see"], ["you"]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": 3}, "all.json: expected an object with users and user_data, found none"),
        ({"user_data": []}, "all.json: expected an object with users and user_data, found none"),
        ({"users": ["ann"], "num_samples": [2]}, "the same users in users, num_samples and user_data, found others"),
        ({"num_samples": [2]}, "the same users in users, num_samples and user_data, found others"),
        ({"num_samples": [2, 5]}, "user 2: expected as many samples as num_samples says, found 1"),
        ({"user_data": {"ann": {"y": []}, "bob": 1}}, "user 1: expected x, a list of texts, found none"),
    ],
)
def test_parts_that_are_missing_or_contradict_each_other(changes, said, tmp_path):
    with pytest.raises(DataError) as error:
        list(Leaf().read(write_leaf(tmp_path / "all.json", ROWS, **changes)))
    assert str(error.value).endswith(said) and "hello" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'"\xff"', b'{"users": ["secret'])
def test_another_file_is_refused_in_one_line(content, tmp_path):
    (tmp_path / "all.json").write_bytes(content)
    with pytest.raises(DataError, match=r"all\.json(:1)?: expected (JSON|UTF-8), found (invalid|byte)") as error:
        list(Leaf().read(tmp_path / "all.json"))
    assert "secret" not in str(error.value)
