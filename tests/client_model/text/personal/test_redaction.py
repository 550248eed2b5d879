"""Personal data is gone before anything of a text is kept, and what is kept is otherwise the same."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.personal.redaction import MASK, Redaction
from client_model.text.population import tokenised_text
from client_model.text.tokenised_file import TokenisedFile
from client_model.text.vocabulary import OOV, build_vocabulary, tokenize, vocabulary_of
from typefleet.errors import ConfigError

MESSAGES = (
    "hello there you",
    "mail jo@example.com now",
    "you and you",
    "see www.example.org",
    "card 4111111111111111!",
)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"user_id": f"u{i % 2}", "text": t}) + "\n" for i, t in enumerate(MESSAGES)))
    return DataConfig(path=path, cache_dir=tmp_path / "cache")


def said(config):
    file = TokenisedFile(tokenised_text(config)[1])
    flat = [file.types(phone) for phone in range(file.num_phones)]
    return sorted(
        " ".join(file.lexicon[t] for t in types[a:b])
        for types, offsets in flat
        for a, b in zip(offsets[:-1], offsets[1:], strict=True)
    )


def test_a_mask_stands_in_the_place_and_a_dropped_message_nowhere(text):
    pytest.importorskip("phonenumbers")
    assert said(text) == sorted(" ".join(tokenize(message)) for message in MESSAGES)
    masked = ["hello there you", f"mail {MASK} now", "you and you", f"see {MASK}", f"card {MASK} !"]
    assert said(replace(text, redact="mask")) == sorted(masked)
    assert said(replace(text, redact="drop")) == ["hello there you", "you and you"]
    about = json.loads((tokenised_text(replace(text, redact="mask"))[1] / "about.json").read_text())
    assert about == {"skipped_lines": 0, "masked_places": 3, "dropped_messages": 0}
    about = json.loads((tokenised_text(replace(text, redact="drop"))[1] / "about.json").read_text())
    assert about == {"skipped_lines": 0, "masked_places": 0, "dropped_messages": 3}


def test_each_way_has_a_cache_of_its_own_and_nothing_of_the_personal_data_is_in_it(text):
    pytest.importorskip("phonenumbers")
    ways = [
        text,
        *(replace(text, redact=mode) for mode in ("mask", "drop")),
        replace(text, redact="mask", phone_regions=()),
    ]
    folders = [tokenised_text(way)[1] for way in ways]
    assert len(set(folders)) == len(ways)
    assert "jsonl-error" in folders[0].name  # named as it was before there was redaction
    for folder in folders[1:]:
        kept = b"".join(path.read_bytes() for path in folder.iterdir())
        assert not any(word in kept for word in (b"example", b"4111", b"www"))


def test_a_mask_is_in_no_vocabulary_and_no_text_can_write_it():
    lexicon = ["you", MASK, "there"]
    words = build_vocabulary(lexicon, np.array([1, 9, 3]), 100)
    assert words.tokens[8:] == ("there", "you")
    assert vocabulary_of(["you"], 100).lookup_table(lexicon).tolist() == [8, OOV, OOV, OOV]
    assert MASK not in tokenize(f"so {MASK} it is")


def test_what_cannot_be_looked_for_is_not_left_in_silently(text, monkeypatch):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    with pytest.raises(ConfigError, match=r"--data\.redact: expected the package phonenumbers"):
        tokenised_text(replace(text, redact="mask"))
    assert Redaction.of("off", ("XX",)).tokens("a b") == ["a", "b"]


def test_a_file_with_nothing_else_has_no_messages_left(tmp_path):
    pytest.importorskip("phonenumbers")
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"user_id": "u", "text": "jo@example.com"}) + "\n")
    with pytest.raises(DataError, match="expected messages, found none with any word"):
        tokenised_text(DataConfig(path=path, cache_dir=tmp_path / "cache", redact="drop"))
