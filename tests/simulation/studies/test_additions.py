"""What personal words add is counted from a person's earlier messages only."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from client_model.suggestions.personal_words import PersonalSettings
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from simulation.studies.additions import (
    ALL,
    FILE,
    INSIDE,
    KNOWN,
    PERSONAL,
    UNREPEATED,
    Measured,
    Message,
    gain_of_personal,
    measure_person,
    print_measured,
)

VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "see", "you", "sea", "we", "they"))


def message(*tokens):
    """Whose words the model thinks equally likely, so that the lower id comes first."""
    return Message(list(tokens), np.zeros((len(tokens), len(VOCABULARY)), np.float32))


def test_each_keyboard_is_counted_on_the_same_words():
    words, hits = measure_person(
        VOCABULARY, [message("see", ".", "we"), message("we")], PersonalSettings(weight=0.9, half_weight=0.0)
    )
    assert words.tolist() == [3, 3, 0]
    assert hits[FILE, INSIDE].tolist() == hits[UNREPEATED, ALL].tolist() == [1, 1]
    assert hits[PERSONAL, INSIDE].tolist() == [1, 2]  # `we` is known by the second message, and behind "see" there


def test_a_word_outside_counts_as_known_from_the_third_message_on():
    messages = [message("zebras")] * 2
    assert measure_person(VOCABULARY, messages, PersonalSettings())[0].tolist() == [0, 2, 0]
    words, hits = measure_person(
        VOCABULARY, [*messages, message("zebras")], PersonalSettings(weight=0.9, half_weight=0.0)
    )
    assert words[KNOWN] == 1 and hits[PERSONAL, KNOWN].tolist() == [1, 1] and not hits[FILE].any()


def test_what_is_only_remembered_is_not_counted():
    words, _ = measure_person(VOCABULARY, [Message(["see"], None), message("see")], PersonalSettings())
    assert words[ALL] == 1


def test_the_table_fits_80_columns_and_has_the_gain_with_its_interval():
    words = np.array([[90_000, 100_000, 700]] * 4)
    hits = np.zeros((4, 3, 3, 2), np.int64)
    hits[:, PERSONAL] = 70
    measured = Measured(words, hits)
    gain = gain_of_personal(measured, KNOWN, 1)
    assert np.allclose((gain.mean, gain.low, gain.high), 0.1) and gain.over == "people"
    stream = io.StringIO()
    print_measured(Console(file=stream, width=80), measured)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "+10.00 (+10.00 to +10.00)" in stream.getvalue()
    assert len([line for line in lines if " three " in line]) == 3


@pytest.mark.slow
def test_the_script_types_the_messages_of_people_held_out(straight, script_here):
    done = script_here("measure_additions.py", straight[0], "--people", 6, "--newest", 30)
    assert done.returncode == 0, done.stderr
    assert "\n6 people, held-out\n" in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.split()[:1] == ["vocabulary"])
    alone, _, own, gain, low, high = map(float, re.findall(r"[-+]?\d+\.\d+", line))
    assert 0 < alone < 100 and gain == pytest.approx(own - alone, abs=0.011) and low <= gain <= high


@pytest.mark.parametrize(
    ("flag", "value"), [("half-life", 0), ("smoothing", 0), ("limit", -1), ("weight", 1), ("half-weight", -1)]
)
def test_a_setting_out_of_bounds_is_refused_in_one_line(flag, value, script_here, tmp_path):
    done = script_here("measure_additions.py", tmp_path, f"--personal.{flag}", value)
    assert done.returncode == 2 and done.stderr.startswith(f"error: --personal.{flag}: expected"), done.stderr


def test_a_folder_without_a_run_is_refused_in_one_line(script_here, tmp_path):
    done = script_here("measure_additions.py", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
