import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_model.text.vocabulary import (
    FIRST_WORD,
    OOV,
    PUNCTUATION,
    SPECIAL_TOKENS,
    Vocabulary,
    VocabularyError,
    build_vocabulary,
    read_vocabulary,
    tokenize,
    vocabulary_from_text,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, world!", ["hello", ",", "world", "!"]),
        ("Don't stop", ["don't", "stop"]),
        ("don\u2019t", ["don't"]),
        ("ok...", ["ok", ".", ".", "."]),
        ("4 u 2?", ["4", "u", "2", "?"]),
        ("nice\U0001f44d\U0001f3fdday", ["nice", "\U0001f44d\U0001f3fd", "day"]),  # skin tone
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f600",
            ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f600"],
        ),  # family, then a face
        ("\U0001f1f8\U0001f1ec\U0001f1eb\U0001f1f7", ["\U0001f1f8\U0001f1ec", "\U0001f1eb\U0001f1f7"]),  # two flags
        ("press 1\ufe0f\u20e3", ["press", "1\ufe0f\u20e3"]),  # keycap
        ("\u2764\ufe0f", ["\u2764\ufe0f"]),
        ("caf\u00e9 \u4f60\u597d", ["caf\u00e9", "\u4f60\u597d"]),
        ("a/b#c@d", ["a", "b", "c", "d"]),
        ("", []),
        ("   \n\t ", []),
        ("'quoted'", ["quoted"]),
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


@given(st.text(max_size=60))
def test_tokens_are_lower_case_and_stable_under_tokenising_again(text):
    tokens = tokenize(text)
    assert all(t and not any(c.isspace() for c in t) for t in tokens)
    assert [u for t in tokens for u in tokenize(t)] == tokens


def test_vocabulary_is_by_frequency_then_alphabet_and_fits():
    lexicon = ["b", "a", "c", ".", "rare", "never"]
    counts = np.array([5, 5, 9, 100, 1, 0])
    vocabulary = build_vocabulary(lexicon, counts, FIRST_WORD + 3)
    assert vocabulary.tokens == (*SPECIAL_TOKENS, *PUNCTUATION, "c", "a", "b")
    assert len(build_vocabulary(lexicon, counts, 100)) == FIRST_WORD + 4  # no row for a word never seen


def test_lookup_maps_known_words_and_sends_the_rest_to_oov():
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "yes"))
    lookup = vocabulary.lookup_table(["no", "yes", "?"])
    assert lookup.tolist() == [OOV, FIRST_WORD, vocabulary.tokens.index("?"), OOV]


def test_text_round_trip():
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "a", "b"))
    assert vocabulary_from_text(vocabulary.to_text()) == vocabulary


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"secret\nb\n", "vocab.txt:1: expected <pad>, found another token"),
        (b"", "vocab.txt:1: expected <pad>, found another token"),
        (b"<pad>\n", "vocab.txt:2: expected <bos>, found none"),
        (
            "\n".join([*SPECIAL_TOKENS, *PUNCTUATION, "secret", "b", "secret"]).encode(),
            "vocab.txt:11: .* token 9 again",
        ),
        (b"\xff", "vocab.txt: expected a vocabulary, found bytes that are not utf-8"),
        (None, "vocab.txt: expected a vocabulary, found no such file"),
    ],
)
def test_bad_vocabulary_files_are_named(tmp_path, content, problem):
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyError, match=problem) as error:
        read_vocabulary(path)
    assert str(path) in str(error.value) and "secret" not in str(error.value)


def test_repeated_token_is_refused():
    with pytest.raises(VocabularyError, match=r"^token 10: expected a token of its own, found token 9 again"):
        Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "a", "a"))
