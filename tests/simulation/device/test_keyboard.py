"""What Python is suggested is what the exported file suggests."""

import json

import pytest

from typefleet import ConfigError, Keyboard


@pytest.fixture(scope="module")
def run(small_models):
    return small_models[0]


@pytest.fixture(scope="module")
def keyboard(run):
    return Keyboard(str(run))


def test_it_suggests_what_the_test_vectors_say(keyboard, run):
    sentences = json.loads((run / "model" / "test_vectors.json").read_text())["vectors"]
    assert sentences
    for one in sentences:
        expected = one["expected"]["keyboard.tflite"]["words"]
        assert list(keyboard.suggest(one["text"], one["typed"])) == expected


def test_letters_that_no_word_begins_with_suggest_nothing(keyboard):
    assert keyboard.suggest("see you", "qqqq") == ()
    assert len(keyboard.suggest()) == 3


def test_a_folder_without_a_keyboard_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected an exported model, found none"):
        Keyboard(tmp_path)
