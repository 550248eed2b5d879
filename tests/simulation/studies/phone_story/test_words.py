"""What is told, over all that a run can be."""

import re
from itertools import product
from types import SimpleNamespace

import pytest

from simulation.studies.phone_story.history import (
    COUNTED,
    ENDED,
    FORGOTTEN,
    GIVEN,
    HELD_OUT,
    IN_SUM,
    MEASURED,
    NOISED,
    NOT_USED,
    REFUSED,
    SMALL,
    TRAINS,
    Asked,
    PhoneHistory,
)
from simulation.studies.phone_story.words import story_of

VOWELS = re.compile(r"[aeiouy]+")


def syllables(word):
    """Groups of vowels, without a silent e; a usual way to count them."""
    groups = len(VOWELS.findall(word.lower()))
    return max(groups - (word.lower().endswith("e") and not word.lower().endswith("le") and groups > 1), 1)


def grade(text):
    """Years of school that a text asks for (Kincaid et al. 1975): 0.39 words/sentence + 11.8 syllables/word - 15.59."""
    sentences = len(re.findall(r"[.!?:](?:\s|$)", text))
    words = re.findall(r"[A-Za-z']+", text)
    return 0.39 * len(words) / sentences + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def config_of(protocol="none", noise_place="server", latency=None, goal=20):
    aggregation = SimpleNamespace(protocol=protocol, step_latency_s=latency, robust="none")
    return SimpleNamespace(
        aggregation=aggregation,
        privacy=SimpleNamespace(noise_place=noise_place, mechanism="gaussian"),
        cohort=SimpleNamespace(goal=goal),
        fleet=SimpleNamespace(start_date="2026-01-05"),
    )


def history_of(
    outcomes=(),
    *,
    before=0,
    epsilon=6.3,
    modelled=20_000,
    source="secret",
    words=GIVEN,
    role=TRAINS,
    sent=1000,
    counted=None,
):
    asked = tuple(
        Asked(round=n, began_s=3600.0 * n, minutes=n, tokens=75, outcome=one, download_bytes=1000, upload_bytes=sent)
        for n, one in enumerate(outcomes, start=1)
    )
    plan = SimpleNamespace(
        mechanism=None if epsilon is None else object(), modelled_cohort=modelled, noise_source=source, vocabulary=None
    )
    return PhoneHistory(
        label="00c0ffee00c0ffee",
        role=role,
        asked=asked,
        before=before,
        rounds=9,
        releases=9,
        most_participations=5,
        epsilon=epsilon,
        own_epsilon=epsilon,
        delta=None if epsilon is None else 1e-7,
        plan=plan,
        words=words,
        words_counted=words != GIVEN if counted is None else counted,
    )


def told(history, config):
    return "\n".join(line for section in story_of(history, config).sections for line in section.paragraphs)


HISTORIES = [
    history_of(),
    history_of([IN_SUM, NOT_USED, *ENDED.values()], words=NOISED),
    history_of([IN_SUM] * 5, epsilon=4224.0, modelled=None, words=COUNTED),
    history_of([IN_SUM], epsilon=None),
    history_of([IN_SUM], source="seeded"),
    history_of(role=MEASURED),
    history_of(role=SMALL),
    history_of(role=HELD_OUT),
    history_of(role=REFUSED),
    history_of(role=SMALL, words=NOISED),
    history_of(words=COUNTED),
    history_of(words=COUNTED, epsilon=None),
    history_of(words=COUNTED, counted=False),
    history_of([*ENDED.values()], sent=0),
    history_of(role=FORGOTTEN),
    history_of(role=FORGOTTEN, before=2),
    history_of([IN_SUM], before=1),
    history_of(before=1),
]
CONFIGS = [config_of(*one) for one in product(("none", "secagg"), ("server", "phones"), (None, 0.5), (8, 20))]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda _: "history")
def test_it_reads_as_easily_as_a_newspaper(history):
    for config in CONFIGS:
        text = told(history, config)
        assert grade(text) < 8
        for sentence in re.split(r"(?<=[.!?:])\s", text):
            assert len(sentence.split()) <= 25, sentence


def test_it_has_no_jargon_but_what_it_explains():
    for history, config in product(HISTORIES, CONFIGS):
        text = told(history, config).lower()
        for word in ("gradient", "clip", "aggregat", "federat", "dp-", "rho", "cohort", "token", "--", "hyper"):
            assert word not in text
        if "epsilon" in text:
            assert "epsilon says how sure" in text


def test_nothing_is_promised_that_the_run_did_not_do():
    plain, hidden = told(HISTORIES[1], config_of()), told(HISTORIES[1], config_of("secagg"))
    assert "was not hidden" in plain
    assert "was not hidden" not in hidden
    assert "masked" in hidden and "masked" not in plain
    assert "arithmetic" not in told(HISTORIES[1], config_of("arithmetic"))
    assert "was not hidden" in told(HISTORIES[1], config_of("arithmetic"))  # it hides nothing
    assert "No noise" in told(HISTORIES[3], config_of())
    assert "protects nobody" in told(HISTORIES[4], config_of())
    assert "above 10 promises little" in told(HISTORIES[2], config_of())
    assert "without noise" in told(HISTORIES[2], config_of())  # its words
    assert "20,000 phones" in told(HISTORIES[0], config_of())
    assert "its own random numbers" in told(HISTORIES[1], config_of("secagg", "phones"))


def test_nobody_is_told_of_counts_that_was_not_measured():
    for role in (TRAINS, MEASURED, HELD_OUT, REFUSED, SMALL):
        text = told(history_of(role=role), config_of())
        assert ("sent back counts" in text) == ("counts of this phone" in text) == (role == MEASURED)
        assert ("Nothing left it" in text) == (role != MEASURED)
        assert ("did not agree to training" in text) == (role == REFUSED)
        assert ("kept aside" in text) == (role == HELD_OUT) and ("too little memory" in text) == (role == SMALL)


@pytest.mark.parametrize("role", [TRAINS, SMALL])
@pytest.mark.parametrize(("words", "how"), [(NOISED, "with noise mixed in"), (COUNTED, "without noise")])
def test_words_that_were_counted_have_left_the_phone(role, words, how):
    text = told(history_of(role=role, words=words), config_of())
    assert f"Words that you wrote were counted for the keyboard's list of words, {how}" in text
    assert "Nothing left it" not in text and "nothing from your phone" not in text
    assert ("Epsilon leaves that out" in text) == (words == COUNTED)
    other = told(history_of(role=role, words=words, counted=False), config_of())
    assert "Nothing left it" in other and "list of words" not in other


def test_of_a_change_that_was_not_sent_nothing_is_said():
    for protocol, outcomes in product(("none", "secagg"), ([], [*ENDED.values()])):
        text = told(history_of(outcomes, sent=0), config_of(protocol))
        assert "change from this phone" not in text.replace("No change from this phone", "")
        assert "masked" not in text and "went out:" not in text


def test_what_is_not_used_has_more_than_one_reason_and_leaving_is_of_real_phones():
    text = told(HISTORIES[1], config_of())
    for reason in ("comes last", "round was dropped", "left out", "said no"):
        assert reason in text
    assert "On a real phone you can leave" in text and "You can leave" not in text


def test_there_is_a_row_for_each_time():
    rows = story_of(HISTORIES[1], config_of()).sections[2].rows
    assert [row[0] for row in rows[1:]] == [f"2026-01-05 0{n}:00" for n in range(1, 7)]
    assert [row[3] for row in rows[1:]] == ["60 seconds", *(f"{n} minutes" for n in range(2, 7))]


def test_a_phone_that_was_taken_out_is_told_so_and_what_went_out_before():
    gone, never, other = (told(one, config_of()) for one in (HISTORIES[-3], HISTORIES[-4], HISTORIES[-2]))
    assert "taken out of the run" in gone and "used twice" in gone and "cannot be called back" in gone
    assert "out for good" in gone and "No change to the keyboard was sent" not in gone and "was not hidden" in gone
    assert "cannot be called back" not in never and "does not shape the keyboard" in never
    left = told(HISTORIES[-1], config_of())
    assert "never asked" not in left and "Nothing left it" not in left and "used once" in left
    assert "other phones were taken out" in other and "Your phone took part twice" in other
