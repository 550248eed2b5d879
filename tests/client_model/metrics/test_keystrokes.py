import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.metrics.keystrokes import (
    SUGGESTIONS,
    keystroke_table,
    letters_of,
    ranks,
    shown_first,
    typing_cost,
    word_keystrokes,
)
from client_model.text.vocabulary import EOS, FIRST_WORD, OOV, PUNCTUATION, SPECIAL_TOKENS, build_vocabulary

FIXED = [*SPECIAL_TOKENS, *PUNCTUATION]
words_of_two_letters = st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=30, unique=True)


def strip(words, logits, prefix):
    """Places of the three likeliest words that begin with the prefix; of equals the first."""
    fitting = [i for i, word in enumerate(words) if word.startswith(prefix)]
    return sorted(fitting, key=lambda i: (-logits[i], i))[:SUGGESTIONS]


def keystrokes_by_hand(words, logits, wanted):
    word = words[wanted]
    for typed in range(len(word)):
        if wanted in strip(words, logits, word[:typed]):
            return typed + 1
    return len(word) + 1


@given(words_of_two_letters, st.data())
def test_every_word_costs_what_typing_it_by_hand_costs(words, data):
    levels = st.integers(-3, 3).map(float)  # many equal ones
    likely = np.array([data.draw(st.lists(levels, min_size=len(words), max_size=len(words))) for _ in words])
    logits = np.concatenate([np.full((len(words), FIRST_WORD), 9.0), likely], axis=1).astype(np.float32)
    targets = np.arange(FIRST_WORD, FIRST_WORD + len(words), dtype=np.int32)
    table = keystroke_table(FIXED + words)
    rank = ranks(logits, targets)
    found = word_keystrokes(table, logits, targets, rank)
    for i, row in enumerate(likely):
        assert rank[i] == sorted(range(len(words)), key=lambda j: (-row[j], j)).index(i)
        assert found[i] == keystrokes_by_hand(words, row, i)


@given(st.lists(st.lists(st.integers(-2, 2).map(float), min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_three_likeliest_words_are_those_of_a_stable_sort(rows):
    logits = np.concatenate([np.full((len(rows), FIRST_WORD), 9.0), rows], axis=1).astype(np.float32)
    before = logits.copy()
    sorted_ids = np.argsort(-logits[:, FIRST_WORD:], axis=1, kind="stable") + FIRST_WORD
    np.testing.assert_array_equal(shown_first(logits), sorted_ids[:, :SUGGESTIONS])
    np.testing.assert_array_equal(logits, before)


def test_letters_are_what_a_person_counts():
    family, flag = "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7"
    assert [len(letters_of(t)) for t in ("don't", "cafe\u0301", family, flag)] == [5, 4, 1, 1]
    assert keystroke_table([*FIXED, "hello", family]).letters.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 5, 1]


def test_cost_of_words_unknown_words_punctuation_and_ends():
    table = keystroke_table([*FIXED, "hello"])
    targets = np.array([FIRST_WORD, OOV, FIXED.index("!"), EOS], np.int32)
    suggested = np.array([1, 0, 0, 0])
    characters, keystrokes = typing_cost(table, targets, np.array([0, 7, 0, 0], np.int32), suggested)
    assert characters.tolist() == [6, 8, 1, 0]
    assert keystrokes.tolist() == [1, 8, 1, 0]


def test_targets_that_are_no_words_do_not_disturb_the_others():
    table = keystroke_table([*FIXED, "hello", "help", "held", "helm", "a"])
    logits = np.zeros((3, FIRST_WORD + 5), np.float32)
    targets = np.array([EOS, FIRST_WORD + 3, OOV], np.int32)
    rank = ranks(logits, targets)
    assert rank.tolist() == [0, 3, 0]
    assert word_keystrokes(table, logits, targets, rank).tolist() == [0, 4 + 1, 0]  # never among the first three


def test_a_row_that_is_no_number_hides_no_tie_of_another():
    logits = np.zeros((2, FIRST_WORD + 2), np.float32)
    logits[0, FIRST_WORD + 1] = np.nan
    targets = np.full(2, FIRST_WORD + 1, np.int32)
    assert ranks(logits, targets).tolist() == [0, 1]
    assert ranks(logits[1:], targets[1:]).tolist() == [1]


def by_prefix(tokens):
    """What `first` and `last` say, word by word: those that begin with the same letters."""
    spelled = {i: letters_of(token) for i, token in enumerate(tokens) if i >= FIRST_WORD}
    return {
        (i, typed): {j for j, other in spelled.items() if other[:typed] == own[:typed]}
        for i, own in spelled.items()
        for typed in range(1, len(own))
    }


@settings(max_examples=40)
@given(st.lists(st.text("ab\u0301\U0001f469\u200d", min_size=1, max_size=5), unique=True, max_size=12))
def test_the_table_has_the_words_that_begin_alike(words):
    tokens = [*FIXED, *words]
    table = keystroke_table(tokens)
    for (word, typed), alike in by_prefix(tokens).items():
        first, last = table.first[word, typed - 1], table.last[word, typed - 1]
        assert set(table.alphabetical[first:last].tolist()) == alike


def test_a_word_of_20_000_letters_enters_no_vocabulary_and_costs_no_table():
    lexicon, counts = ["a" * 20_000, "a" * 64, "a" * 65, "to"], np.array([9, 8, 7, 6])
    vocabulary = build_vocabulary(lexicon, counts, 100)
    assert vocabulary.tokens[FIRST_WORD:] == ("a" * 64, "to")
    assert keystroke_table(vocabulary.tokens).first.shape == (FIRST_WORD + 2, 63)
