"""What Python is suggested is what the exported file suggests."""

import io
import json
import re

import pytest

from simulation.device.everyday_sentences import SENTENCES, chosen_sentences, type_sentences
from typefleet import ConfigError, Keyboard


@pytest.fixture(scope="module")
def run(small_models):
    return small_models[0]


@pytest.fixture(scope="module")
def keyboard(run):
    return Keyboard(str(run))


def test_it_suggests_what_the_test_vectors_say(keyboard, run):
    sentences = json.loads((run / "model" / "test_vectors.json").read_text())["vectors"]
    assert sentences
    for one in sentences:
        expected = one["expected"]["keyboard.tflite"]["words"]
        assert list(keyboard.suggest(one["text"], one["typed"])) == expected


def test_letters_that_no_word_begins_with_suggest_nothing(keyboard):
    assert keyboard.suggest("see you", "qqqq") == ()
    assert len(keyboard.suggest()) == 3


def test_a_folder_without_a_keyboard_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected an exported model, found none"):
        Keyboard(tmp_path)


def test_a_sentence_is_read_as_it_would_be_typed(keyboard):
    read = keyboard.read("See you, tomorrow")
    assert [word for _, word in read] == ["see", "you", ",", "tomorrow"]
    assert [shown for shown, _ in read] == [keyboard.suggest(t) for t in ("", "see", "see you", "see you,")]
    assert keyboard.read("") == []


def test_words_that_were_suggested_are_counted(keyboard):
    said = io.StringIO()
    first, second, third = keyboard.suggest()
    assert type_sentences(said, keyboard, [first, third, "qqqq"]) == (3, 1, 2)
    assert said.getvalue().splitlines()[0] == f"[{first} {second} {third}] {first}*"
    assert said.getvalue().splitlines()[-1] == "3 words: 1 were the first suggestion, 2 (67%) among the three"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_lines_end_between_words(keyboard, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    wide, narrow = io.StringIO(), Terminal()
    for stream in (wide, narrow):
        type_sentences(stream, keyboard, SENTENCES[:3])
    lines = narrow.getvalue().splitlines()
    assert max(map(len, lines)) <= 60 and narrow.getvalue().split() == wide.getvalue().split()
    assert len(wide.getvalue().splitlines()) == 4 < len(lines)


def test_sentences_come_from_the_command_line_from_a_file_or_are_built_in(tmp_path, monkeypatch):
    file = tmp_path / "sentences.txt"
    file.write_bytes("\ufeffsee you\r\n\n  on my way \n".encode())
    assert chosen_sentences() == SENTENCES
    assert chosen_sentences(["on my way"]) == ["on my way"]
    assert chosen_sentences(file=file) == ["see you", "on my way"]
    assert chosen_sentences(["see you", str(file)]) == ["see you", str(file)]
    assert chosen_sentences(["x" * 4000]) == ["x" * 4000]  # longer than a file's name can be
    with pytest.raises(
        ConfigError, match=r"^--sentences: expected sentences to type, found the name of a file; --file reads one$"
    ):
        chosen_sentences([str(file)])
    with pytest.raises(ConfigError, match=r"^--sentences: expected sentences to type, found none$"):
        chosen_sentences(["", " "])
    with pytest.raises(ConfigError, match=r"^--file: expected only without --sentences"):
        chosen_sentences(["see you"], file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" \n\n", "expected sentences, one a line, found none"),
        (b"a\n" * 10_001, "expected at most 10,000 sentences, one a line, found 10,001"),
        (b"a" * (2**20 + 1), "of at most 1 MiB, found a longer one"),
        (b"\xff\xfe", "expected sentences, one a line, found "),
        (None, "expected sentences, one a line, found no such file"),
    ],
)
def test_a_file_that_has_no_sentences_or_no_end_of_them_is_refused(content, message, tmp_path):
    file = tmp_path / "sentences.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{re.escape(str(file))}: .*{message}"):
        chosen_sentences(file=file)


def test_with_additions_it_suggests_as_an_app_would_show_it(run, keyboard):
    added = Keyboard(run, additions=True)
    assert all(word[0].isupper() for word in added.suggest() if word[0].isalpha())
    assert "see" not in added.suggest("see") and len(added.suggest("see")) == 3
    for _ in range(60):
        added.remember("see zebras")
    assert added.suggest("see", "ze")[0] == "zebras" and ("zebras" in added.read("see zebras")[1][0])
    for _ in range(70):
        added.remember("see Zebras")
    assert added.suggest("see", "ze")[0] == "Zebras"
    added.forget()
    assert added.suggest("see", "ze") == ("“ze”",) and keyboard.suggest("see", "ze") == ()
    assert added.mark("") is None
    first = added.suggest("see")[0]
    blocking = Keyboard(run, additions=True, blocked=[first.lower(), "damn"])
    assert first not in blocking.suggest("see") and blocking.suggest("see")[0] == added.suggest("see")[1]


def test_what_nothing_fits_is_offered_itself_beside_what_nearly_fits(run):
    added = Keyboard(run, additions=True)
    assert added.suggest("see you", "Zarah") == ("“Zarah”",)
    *near, itself = added.suggest("see you", "tommorow")
    assert near == ["tomorrow"] and itself == "“tommorow”"
    assert added.suggest("see you", "tomorrow") == ("tomorrow",)
    assert added.suggest("see you", "TOMOR") == ("TOMORROW", "“TOMOR”")


def test_with_additions_no_blocked_word_is_suggested_unless_no_word_is_blocked(run):
    """`damn` is always wanted by this model."""
    words = lambda **how: [w.lower() for w in Keyboard(run, additions=True, **how).suggest("see you")]  # noqa: E731
    assert "damn" not in words() and words(blocked=())[0] == "damn"


def test_sentences_are_typed_with_additions_as_an_app_shows_them_and_then_sent(run):
    added, said = Keyboard(run, additions=True), io.StringIO()
    type_sentences(said, added, ["i'm zebra", *["zebra"] * 60])
    first, *_, last, counted = said.getvalue().splitlines()
    assert re.match(r"\[[A-Z]\S* [A-Z]\S* [A-Z]\S*\] i'm", first)
    assert last.startswith("[Zebra ") and last.endswith("] zebra*") and counted.startswith("62 words: ")


def test_names_have_the_capitals_that_the_sentences_before_gave_them(run):
    said = io.StringIO()
    type_sentences(said, Keyboard(run, additions=True), ["see Zorro"] * 70)
    *_, last, _ = said.getvalue().splitlines()
    assert re.search(r"see\*? \[.*\bZorro\b.*\] zorro\*$", last)
