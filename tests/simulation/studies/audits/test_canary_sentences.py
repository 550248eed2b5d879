"""Who writes canaries, what they are made of, and that nothing else of the text changes."""

from dataclasses import dataclass

import numpy as np
import pytest

from client_model.public_start import FOLDER
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import OOV, read_vocabulary, vocabulary_of
from simulation.studies.audits.canary_sentences import SECRET_WORDS, Forms, WithCanaries, draw_canaries

CELLS = ((1, 1), (1, 10), (4, 1), (4, 10))
PUBLIC = read_vocabulary(FOLDER / "vocab.txt")


@dataclass(frozen=True)
class Few:
    """Three phones of two words, one of them outside the lexicon."""

    num_phones, lexicon, unlisted_word_letters, skipped_lines = 3, ("see", "you"), 5, 0

    def digests(self):
        return np.arange(3, dtype=np.uint64)

    def message_lengths(self, phone):
        return np.array([1, 2])

    def types(self, phone, messages=None):
        if messages is None or messages.tolist() == [0, 1]:
            return np.array([0, 1, 2]), np.array([0, 1, 3])
        assert messages.tolist() == [1]
        return np.array([1, 2]), np.array([0, 2])

    def types_of_phones(self, phones):
        return [self.types(phone) for phone in phones.tolist()]


def test_sentences_are_english_where_the_vocabulary_has_the_words():
    forms = Forms.of(PUBLIC, 48, seed=0)
    assert [PUBLIC.tokens[i] for i in forms.digits][:4] == ["zero", "one", "two", "three"]
    assert [PUBLIC.tokens[i] for i in forms.prefixes[0]] == ["my", "garage", "password", "is"]
    assert len(set(forms.prefixes)) == 48


def test_and_of_other_words_where_it_has_not():
    other = vocabulary_of([f"wort{i}" for i in range(300)], 1000)
    forms = Forms.of(other, 12, seed=0)
    used = [*forms.digits, *(word for prefix in forms.prefixes for word in prefix)]
    assert len(set(used)) == len(used) == 10 + 12 * 4 and min(used) >= 8 and max(used) < len(other)
    assert Forms.of(other, 12, seed=0) == forms != Forms.of(other, 12, seed=1)


def test_no_phone_writes_two_and_each_cell_has_its_own():
    canaries = draw_canaries(Forms.of(PUBLIC, 4, 0), CELLS, np.arange(100, 200), seed=0)
    assert [(len(one.phones), one.times) for one in canaries] == list(CELLS)
    writers = [phone for one in canaries for phone in one.phones]
    assert len(set(writers)) == len(writers) == 10
    assert all(len(one.secret) == SECRET_WORDS for one in canaries)
    again = draw_canaries(Forms.of(PUBLIC, 4, 0), CELLS, np.arange(100, 200), seed=1)
    assert [one.secret for one in again] != [one.secret for one in canaries]


def test_phones_write_them_after_all_else_and_others_write_what_they_wrote():
    (one,) = draw_canaries(Forms.of(PUBLIC, 1, 0), [(1, 3)], np.array([1]), seed=0)
    some = WithCanaries.of(Few(), [one], PUBLIC)
    lookup = PUBLIC.lookup_table(some.lexicon)
    flat, offsets = some.types(1)
    ids = lookup[np.minimum(flat, len(lookup) - 1)]
    see, you = (PUBLIC.tokens.index(word) for word in ("see", "you"))
    assert ids.tolist() == [see, you, OOV, *one.words * 3]  # the unknown word is none still
    assert offsets.tolist() == [0, 1, 3, 11, 19, 27]
    assert np.diff(offsets).tolist() == some.message_lengths(1).tolist()
    flat, offsets = some.types(1, np.array([1, 4]))
    assert lookup[np.minimum(flat, len(lookup) - 1)].tolist() == [you, OOV, *one.words] and offsets.tolist() == [
        0,
        2,
        10,
    ]
    for phone in (0, 2):
        (flat, offsets), own = some.types(phone), Few().types(phone)
        assert lookup[np.minimum(flat, len(lookup) - 1)].tolist() == [see, you, OOV] and (offsets == own[1]).all()
        assert (some.message_lengths(phone) == Few().message_lengths(phone)).all()


@pytest.mark.parametrize("phone", [0, 1, 2])
def test_a_part_of_a_phones_messages_is_that_part_of_all(phone):
    inner = SyntheticPopulation(0, 3)
    (one,) = draw_canaries(Forms.of(PUBLIC, 1, 0), [(2, 2)], np.array([0, 1]), seed=0)
    some = WithCanaries.of(inner, [one], PUBLIC)
    flat, offsets = some.types(phone)
    assert np.diff(offsets).tolist() == some.message_lengths(phone).tolist()
    chosen = np.arange(len(offsets) - 1)[::2]
    part, starts = some.types(phone, chosen)
    for place, message in enumerate(chosen.tolist()):
        assert (part[starts[place] : starts[place + 1]] == flat[offsets[message] : offsets[message + 1]]).all()
