"""What is shown above the keys, held to the cases that the page is held to as well."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from client_model.suggestions.personal_words import START, PersonalSettings, PersonalWords
from client_model.suggestions.strip import WRITTEN, Strip, shown
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary, tokenize, tokens_as_written
from tests.conftest import ROOT

PAGE = ROOT / "simulation" / "device" / "keyboard_page"
CASES = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *CASES["words"]))


@pytest.mark.parametrize("case", CASES["cases"])
def test_it_answers_as_the_cases_say(case):
    strip, personal = Strip(VOCABULARY, CASES["blocked"]), PersonalWords()
    for _ in range(case.get("times", 1)):
        for message, written in zip(case["messages"], case.get("written", case["messages"]), strict=True):
            personal.remember(message, written)
    logits = np.array([case["logits"].get(token, 0.0) for token in VOCABULARY.tokens], np.float32)
    assert strip.offered(logits, case["before"], case["typed"], personal) == case["words"]
    assert strip.mark(logits, case["before"], case["typed"]) == case["mark"]


def test_a_letter_whose_capital_is_two_stays_small():
    assert shown("\N{LATIN SMALL LETTER SHARP S}", []) == "\N{LATIN SMALL LETTER SHARP S}"


def test_the_estimate_is_a_probability_and_newer_words_count_more():
    personal = PersonalWords(PersonalSettings(half_life=1.0))
    personal.remember(["see", "you", ",", "tom"])
    for before in (START, "see", ",", "never"):
        assert sum(personal.estimate(before).values()) == pytest.approx(1)
    assert personal.estimate("never")["tom"] == pytest.approx(4 / 7)  # counts 1/4, 1/2 and 1
    assert personal.estimate(",")["tom"] > personal.estimate("never")["tom"]


def test_a_few_words_weigh_little_and_many_up_to_the_weight():
    personal, weights = PersonalWords(PersonalSettings(weight=0.3, half_weight=50.0)), [0.0]
    assert personal.weight == 0.0
    for _ in range(300):
        personal.remember(["see", "you", "soon"])
        weights.append(personal.weight)
    assert weights[1] == pytest.approx(0.3 * 3 / 53, rel=0.01)  # the older two count a little less than one
    assert weights == sorted(weights) and 0.25 < weights[-1] < 0.3
    assert PersonalWords(PersonalSettings(half_weight=0.0)).weight == 0.0


def test_only_the_newest_words_are_kept_and_all_are_forgotten():
    personal = PersonalWords(PersonalSettings(limit=2))
    personal.remember(["a", "b", "b", "b"])
    assert list(personal.estimate(START)) == ["b"] == personal.repeated()
    personal.forget()
    assert personal.estimate(START) == {} and personal.repeated() == []


def test_completing_among_5000_words_finds_those_that_begin_so_by_one_wrong_letter():
    words = tuple(f"s{number:04}" for number in range(4992))
    strip, logits = Strip(Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *words))), np.zeros(5000, np.float32)
    assert strip.offered(logits, [], "sx12") == ["S0120", "S0121", "“sx12”"]


def test_words_with_capitals_of_their_own_are_the_same_in_the_page_and_no_other_words_in_small_letters():
    page = (PAGE / "additions.js").read_text(encoding="utf-8")
    (listed,) = re.findall(r"const WRITTEN = new Map\(\s*`([^`]+)`", page)
    assert listed.split() == list(WRITTEN.values())
    assert all(word == form.lower() != form for word, form in WRITTEN.items())
    assert not WRITTEN.keys() & {"may", "march", "polish", "turkey", "us", "mark", "bill", "will", "china", "id", "am"}


def test_tokens_as_written_are_those_of_the_text():
    assert tokens_as_written("Don\N{RIGHT SINGLE QUOTATION MARK}t CALL, Zoë!") == ["Don't", "CALL", ",", "Zoë", "!"]
    for text in ("", "\u0130stanbul", "\u24c2 A", "\u1e9e\u03a3", "Hi \U0001f44b\U0001f3fd"):
        assert [token.lower() for token in tokens_as_written(text)] == tokenize(text)
