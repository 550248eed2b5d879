"""What of people's chats counts, and in what order."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.config import DataConfig
from client_model.text.formats import chitchat
from client_model.text.formats.base import DataError
from client_model.text.formats.chitchat import ChitChat, Cleaning
from client_model.text.population import prepare_population, text_source


def write(path, *turns):
    """A file of one conversation; a turn is (sender, minute, text)."""
    written = [[{"sender": who, "timestamp": f"2018-05-02T19:{minute:02}:00Z", "text": t}] for who, minute, t in turns]
    path.write_text(json.dumps({"c": {"messages": written}}))
    return path


def test_a_persons_messages_come_in_the_order_of_writing(tmp_path):
    path = write(tmp_path / "c.json", ("a", 5, "later"), ("b", 1, "hello there"), ("a", 2, "first"))
    read = list(ChitChat().read(path))
    assert [one[:2] for one in read] == [("a", "first"), ("a", "later"), ("b", "hello there")]
    assert all(one.is_dated for one in read) and read[1].time - read[0].time == 180


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a a a a a a a a", False),
        ("no no no no i mean it", False),  # more than half
        ("no no no i mean it", True),
        ("oiwhaetpoiheogihaoehigtxx", False),
        ("hahahahahahahahaha", True),
        ("no no no no", True),  # too short to say
        ("???", True),
    ],
)
def test_mashed_keys_are_left_out(text, kept):
    assert Cleaning().keep([text]) == [text] * kept


def test_pastes_and_the_oldest_of_very_many_are_left_out():
    assert Cleaning(same_text=2).keep(["Hello?", "x", "hello?", "HELLO ?"]) == ["x", "hello?", "HELLO ?"]
    assert Cleaning(most_messages=2).keep(["one", "two", "three"]) == ["two", "three"]


@given(st.lists(st.text(max_size=30), max_size=30))
def test_what_is_kept_was_written_and_stays_in_order(texts):
    kept = Cleaning(most_messages=7).keep(texts)
    assert len(kept) <= 7
    rest = iter(texts)
    assert all(text in rest for text in kept)  # a subsequence


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "c.json:1: expected JSON, found invalid JSON (Expecting property name enclosed in double quotes)"),
        ("[]", "c.json: expected an object of conversations, found a list"),
        ('{"c": {"messages": 3}}', "c.json: conversation 1: expected messages, a list of turns, found none"),
        ('{"c": 1}', "c.json: conversation 1: expected messages, a list of turns, found none"),
    ],
)
def test_another_file_is_refused_in_one_line(content, message, tmp_path):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(DataError) as error:
        list(ChitChat().read(tmp_path / "c.json"))
    assert str(error.value).endswith(message)


def test_a_bad_message_is_named_and_not_repeated(tmp_path):
    path = write(tmp_path / "c.json", ("a", 1, "hi"), ("b", 2, 4711))
    bad, good = ChitChat().read(path)
    assert str(bad) == f"{path}: conversation 1, turn 2: expected a text that is a string, found a number"
    assert good[:2] == ("a", "hi")


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(chitchat, "PACKAGE", "chitchat_dataset_that_is_not_there")
    with pytest.raises(DataError, match=r"--data\.format chitchat: expected the package .*; pip install chitchat-"):
        ChitChat().bundled()


def test_its_text_is_named_without_a_path():
    assert "1,315 people" in text_source(DataConfig(format="chitchat"))
    assert not DataConfig(format="chitchat").is_synthetic and DataConfig(format="synthetic").is_synthetic


@pytest.mark.slow
def test_the_packages_people_are_phones():
    messages = list(ChitChat().read(ChitChat().bundled()))
    assert len({message.user_id for message in messages}) == 1315
    assert "chitchat_dataset" not in sys.modules  # its file is read, its code is not run


def test_a_format_without_a_file_of_its_own_needs_one():
    with pytest.raises(DataError, match=r"--data\.path: expected a file for the format csv, found none"):
        prepare_population(DataConfig(format="csv"), 0, None)
