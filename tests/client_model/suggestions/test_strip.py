"""What is shown above the keys, held to the cases that the page is held to as well."""

import json
from pathlib import Path

import numpy as np
import pytest

from client_model.suggestions.personal_words import START, PersonalSettings, PersonalWords
from client_model.suggestions.strip import Strip, shown
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary

CASES = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))
VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *CASES["words"]))


@pytest.mark.parametrize("case", CASES["cases"])
def test_it_answers_as_the_cases_say(case):
    strip, personal = Strip(VOCABULARY, CASES["blocked"]), PersonalWords()
    for message in case["messages"] * case.get("times", 1):
        personal.remember(message)
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
