"""What is told, over all that a run can be."""

import re
from itertools import product
from types import SimpleNamespace

import pytest

from simulation.studies.phone_story.history import COUNTED, ENDED, GIVEN, IN_SUM, NOISED, NOT_USED, Asked, PhoneHistory
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
    outcomes=(), *, epsilon=6.3, modelled=20_000, source="secret", words=GIVEN, held_out=False, may_train=True
):
    asked = tuple(
        Asked(round=n, began_s=3600.0 * n, minutes=n, tokens=75, outcome=one, download_bytes=1000, upload_bytes=1000)
        for n, one in enumerate(outcomes, start=1)
    )
    plan = SimpleNamespace(
        mechanism=None if epsilon is None else object(), modelled_cohort=modelled, noise_source=source, vocabulary=None
    )
    return PhoneHistory(
        label="00c0ffee00c0ffee",
        held_out=held_out,
        may_train=may_train and not held_out,
        asked=asked,
        rounds=9,
        releases=9,
        most_participations=5,
        epsilon=epsilon,
        own_epsilon=epsilon,
        delta=None if epsilon is None else 1e-7,
        plan=plan,
        words=words,
    )


def told(history, config):
    return "\n".join(line for section in story_of(history, config).sections for line in section.paragraphs)


HISTORIES = [
    history_of(),
    history_of([IN_SUM, NOT_USED, *ENDED.values()], words=NOISED),
    history_of([IN_SUM] * 5, epsilon=4224.0, modelled=None, words=COUNTED),
    history_of([IN_SUM], epsilon=None),
    history_of([IN_SUM], source="seeded"),
    history_of(held_out=True),
    history_of(may_train=False),
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


def test_there_is_a_row_for_each_time():
    rows = story_of(HISTORIES[1], config_of()).sections[2].rows
    assert [row[0] for row in rows[1:]] == [f"2026-01-05 0{n}:00" for n in range(1, 7)]
    assert [row[3] for row in rows[1:]] == ["60 seconds", *(f"{n} minutes" for n in range(2, 7))]
