"""What is told, over all that a run can be."""

import json
import re
import sys
from dataclasses import replace
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
from simulation.studies.phone_story.showing import print_story, story_as_json
from simulation.studies.phone_story.words import story_of
from simulation.tables import console_for

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
    epsilon=6.3,
    modelled=20_000,
    source="secret",
    words=GIVEN,
    role=TRAINS,
    sent=1000,
    counted=None,
    given_up=0,
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
        given_up=given_up,
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
    history_of(given_up=2),
    history_of([IN_SUM], given_up=1),
    history_of(role=REFUSED, given_up=1, epsilon=None),
    history_of(role=FORGOTTEN),
    history_of(role=FORGOTTEN, given_up=2),
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


def test_what_never_was_is_said_as_one_says_it():
    for history, said in ((HISTORIES[13], "did not take part"), (HISTORIES[1], "took part once")):
        text = told(history, config_of())
        assert f"Your phone {said}." in text and "not once" not in text and "0 times" not in text
    assert "Its work was never used." in told(HISTORIES[13], config_of())
    unchanged = told(replace(history_of(), most_participations=0, epsilon=None, plan=history_of().plan), config_of())
    assert "has not changed in this run so far" in unchanged and "unknown" not in unchanged.split("For it alone")[0]


def test_a_message_is_always_what_somebody_typed():
    for history, config in product(HISTORIES, CONFIGS):
        text = told(history, config)
        assert "A message here is what somebody typed" in text and "small messages" not in text


def test_the_keyboard_page_has_the_same_words():
    story = story_of(HISTORIES[1], config_of())
    shown = json.loads(story_as_json(story))
    assert shown["title"] == story.title
    for there, section in zip(shown["sections"], story.sections, strict=True):
        assert (there["title"], tuple(there["paragraphs"])) == (section.title, section.paragraphs)
        assert tuple(map(tuple, there["rows"])) == section.rows


def test_the_table_keeps_its_shape_on_a_usual_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_story(console_for(sys.stdout), story_of(HISTORIES[1], config_of()))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("words read" in line for line in lines) == 1


@pytest.mark.parametrize("role", [TRAINS, REFUSED, HELD_OUT, SMALL])
@pytest.mark.parametrize("outcomes", [[], [IN_SUM]])
@pytest.mark.parametrize("epsilon", [6.3, None])
def test_what_left_in_rounds_that_were_played_again_is_told_as_well(role, outcomes, epsilon):
    text = told(history_of(outcomes, role=role, given_up=2, epsilon=epsilon), config_of())
    assert "added in twice in rounds that were later played again" in text and "cannot be called back" in text
    for untrue in (
        "Nothing left it",
        "never asked",
        "No change to the keyboard",
        "cannot give you away",
        "nothing from",
        "did not train.",
    ):
        assert untrue not in text
    assert "was not hidden" in text
    assert epsilon is None or f"Your phone took part {'3 times' if outcomes else 'twice'}." in text


def test_there_is_a_row_for_each_time():
    rows = story_of(HISTORIES[1], config_of()).sections[2].rows
    assert [row[0] for row in rows[1:]] == [f"2026-01-05 0{n}:00" for n in range(1, 7)]
    assert [row[3] for row in rows[1:]] == ["60 seconds", *(f"{n} minutes" for n in range(2, 7))]


def test_a_phone_that_was_taken_out_is_told_so_and_what_went_out_before():
    gone, never = (told(one, config_of()) for one in (HISTORIES[-1], HISTORIES[-2]))
    assert "taken out of the run" in gone and "twice" in gone and "cannot be called back" in gone
    assert "out for good" in gone and "No change to the keyboard was sent from this phone" not in gone
    assert "cannot be called back" not in never and "does not shape the keyboard" in never


def test_the_promise_is_of_what_the_phone_sent_and_no_number_of_it_is_rounded_down():
    text = told(replace(HISTORIES[0], epsilon=2.50328, own_epsilon=3.66008), config_of())
    assert "nobody can be sure what your phone sent" in text and "took part, even" not in text
    assert "promises epsilon 2.51 at most" in text and "epsilon is 3.67" in text
    assert "epsilon is 6.30." in told(HISTORIES[0], config_of())


def test_where_rounds_were_played_again_a_number_of_the_others_is_a_least():
    again, once = (told(history_of([NOT_USED], given_up=given_up), config_of()) for given_up in (1, 0))
    for least in (
        "sent at least 0.0 MB",
        "asked to train at least once",
        "went out: at least",
        "keyboard at least once",
    ):
        assert least in again and "at least" not in once
    assert "Its work was not used in this keyboard." in again and "never used" not in again
    assert "Its work was never used." in once


@pytest.mark.parametrize(("goal", "aim"), [(1, "1 phone."), (10, "10 phones."), (2000, "2,000 phones.")])
def test_the_goal_of_a_round_is_told_as_an_aim(goal, aim):
    text = told(HISTORIES[1], config_of(goal=goal))
    assert f"aims for the work of {aim}" in text and "or more phones train" not in text
